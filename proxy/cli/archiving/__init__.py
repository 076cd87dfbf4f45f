"""What is behind the commands `replay-gateway archive …`: a module for each, and what they share.

Each command asks the settings which archive is meant, does its work with `proxy.archive` and `proxy.spool`, and shows
what came of it. Must not hold anything that the gateway itself needs.
"""
