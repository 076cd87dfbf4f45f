"""Times and foreign words as they may stand in a log line."""

from __future__ import annotations

import time

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F)}


def printable(text: str) -> str:
    """`text` with control characters shown, not obeyed: a line stays a line, a terminal stays itself."""
    return text.translate(_CONTROL)


class Stamps:
    """Times of day as text (RFC 3339, UTC, milliseconds); the second's part is worked out once per second."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self, seconds: float) -> str:
        """`seconds` since 1970 as text."""
        second = int(seconds)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{int((seconds - second) * 1000):03d}Z"
