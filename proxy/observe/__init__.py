"""What is known about the gateway from outside: counters, metrics, log lines.

All three are derived from `model.record`, so they can't disagree. They must not know sockets, routes'
meaning or settings other than `log`, and must never be the reason that a request fails or waits.
"""
