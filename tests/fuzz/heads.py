"""One message, read by llhttp and by the gateway's own readers: what both accept, both understand alike.

An input is a byte that says whether it is a request or an answer, and the message.
"""

from __future__ import annotations

from tests.unit.wire.alike import compare_answers, compare_requests


def check(data: bytes) -> None:
    """AssertionError where the two disagree."""
    if data:
        (compare_answers if data[0] & 1 else compare_requests)(data[1:])
