"""What `replay-gateway export` prints, started for real in front of the stand-in vendor."""
