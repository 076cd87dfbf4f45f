"""The spool: payloads on the local disk, on their way to the archive. So far, the format of its files.

Must not know of stores, sockets or the exchanges that the payloads come from.
"""
