"""How counts, sizes, ages and texts of strangers are shown to people. Pure."""

from __future__ import annotations

from typing import Final

_SIZES: Final = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))
_AGES: Final = (("d", 86_400), ("h", 3600), ("min", 60))


def counted(number: int, one: str) -> str:
    """1 payload, 2 payloads."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def sized(size: int) -> str:
    """Bytes in the largest unit of which there is one: 512 B, 1.5 MiB."""
    for unit, of in _SIZES:
        if size >= of:
            return f"{size / of:.1f} {unit}"
    return f"{size} B"


def aged(seconds: float) -> str:
    """A length of time, roughly: 45 s, 3.5 min, 2.0 h."""
    for unit, of in _AGES:
        if seconds >= of:
            return f"{seconds / of:.1f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def printable(text: str) -> str:
    """What a client calls its session may hold anything, and must not steer the terminal; nothing is a dash."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text) or "-"
