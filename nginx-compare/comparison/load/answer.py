"""Just enough HTTP to know that an answer is there: its status, and where it ends."""

from __future__ import annotations

HEAD_END = b"\r\n\r\n"


def status_of(data: bytes) -> int:
    """The status of the answer that `data` holds, 0 while it is not whole. One answer at a time."""
    head, found, body = data.partition(HEAD_END)
    return int(head[9:12]) if found and _is_whole(head.lower(), body) else 0


def closes(data: bytes) -> bool:
    """Whether the answer says that its connection ends."""
    head = data.partition(HEAD_END)[0].lower()
    return b"\r\nconnection: close" in head or head.startswith(b"http/1.0")


def _is_whole(head: bytes, body: bytes) -> bool:
    if b"\r\ntransfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    at = head.find(b"\r\ncontent-length:")
    return at < 0 or len(body) >= int(head[at + 17 :].partition(b"\r")[0])
