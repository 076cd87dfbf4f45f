"""What the process's exit code means."""

FINE = 0
FAILURE = 1
CONFIGURATION = 2
