"""The gateway as processes: start, restart, drain, end, with signals and kills."""
