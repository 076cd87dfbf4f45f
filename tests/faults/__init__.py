"""Disasters, one file each: what the gateway owes its clients, its upstream and its operator when they happen."""
