"""The gateway under its usual traffic for a long time: with faults, with reloads, with an archive."""
