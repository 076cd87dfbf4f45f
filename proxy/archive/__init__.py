"""The archive: what becomes of a segment of the spool. It is sealed into an object, which is kept in a store (a folder,
S3), found again by an index, and read back exactly.

Must not know of exchanges, connections or an event loop: it runs in a process of its own, and its calls block.
"""
