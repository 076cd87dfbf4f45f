"""The words every other layer speaks: heads, verdicts, failures, records.

Values only. This package must not know of sockets, clocks, settings or policy.
"""
