"""The decisions about a request: which route, which region, which origin, whose address, how often.

Pure code: bytes and `now` in, values out. Everything that settings alone decide is worked out in the
constructors, because most of these decisions are made for each request. This package must not know of
sockets, clocks, loggers, or the order in which its decisions are asked for.
"""
