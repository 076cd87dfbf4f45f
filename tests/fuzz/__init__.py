"""Coverage-guided fuzzing of what reads a stranger's bytes: `python -m tests.fuzz --seconds 3600`, or `make fuzz`."""
