"""Field lines met before, so that what becomes of them is known without taking them apart.

Most lines of most heads are the same for all visitors of a site (Accept, Content-Type, Sec-Fetch-*, the SDK's version)
and for all answers of a vendor. A table of bounded size holds them; a line not in it costs one look more. Must not
know what the kinds mean.
"""

from __future__ import annotations

from typing import Final

# Together at most about 400 KiB per reader, and a worker has two.
LINES: Final = 1024
LONGEST_LINE: Final = 256


def remember(known: dict[bytes, int], line: bytes, kind: int) -> None:
    """Enter a line; a full table is emptied first, for whoever fills it with lines of his own would defeat any finer
    order, and those in use come back at the price of one reading each."""
    if len(line) > LONGEST_LINE:
        return
    if len(known) >= LINES:
        known.clear()
    known[line] = kind
