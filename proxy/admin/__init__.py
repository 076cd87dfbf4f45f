"""The admin server: what people, probes and Prometheus ask the gateway about itself.

It runs in the supervisor, so it answers while workers are busy, starting or dead. It has no password and must stay
on a private address. It must not know of processes or sockets: it is given functions to ask.
"""
