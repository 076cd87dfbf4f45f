"""What bad days cost: each fault is caused for some seconds, under steady traffic of visitors who behave as the SDK.

`make faults`, or `python -m tests.reliability`, writes the table of docs/reliability.md.
"""
