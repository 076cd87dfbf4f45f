"""HTTP/1.1 as bytes: heads read into values, bodies taken out of their framing.

Pure: bytes in, values out. Must not know of sockets, settings, routes or policy. Every head is
read twice, by llhttp (the referee, strict) and by the reader here that picks out what the
gateway acts on; where the two disagree about a message's bounds, the message is refused.
"""
