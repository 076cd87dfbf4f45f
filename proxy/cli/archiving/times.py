"""Moments as they are written on the command line, and shown. Reads no clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import click

DAY_MS: Final = 86_400_000
_UNITS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
_AGO: Final = re.compile(r"([0-9]{1,9})([smhdw])")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_FIRST_MS: Final = -62_135_596_800_000  # years 1 to 9999 can be shown
_LAST_MS: Final = 253_402_300_799_999

# What --from and --to were given.
Given = tuple[str | None, str | None]


class Span(NamedTuple):
    """From `from_ms` until before `to_ms`, Unix time in ms."""

    from_ms: int
    to_ms: int

    def __str__(self) -> str:
        return f"{shown(self.from_ms)} to {shown(self.to_ms)}"


def span_of(given: Given, now_ms: int) -> Span:
    """The span that the options mean; by default the last 24 hours. Raises click.BadParameter."""
    begin, end = given
    to_ms = now_ms if end is None else _moment("--to", end, now_ms)
    from_ms = now_ms - DAY_MS if begin is None else _moment("--from", begin, now_ms)
    if from_ms >= to_ms:
        raise click.BadParameter(f"{shown(from_ms)} is not before --to, {shown(to_ms)}", param_hint="--from")
    return Span(from_ms, to_ms)


def shown(at_ms: int) -> str:
    """A moment for people, in UTC and to the second: 2026-11-21T05:05:13Z."""
    moment = _EPOCH + timedelta(milliseconds=min(max(at_ms, _FIRST_MS), _LAST_MS))
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _moment(option: str, text: str, now_ms: int) -> int:
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now_ms - int(ago[1]) * _UNITS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        expected = "a time such as 2026-11-21, 2026-11-21T05:30 or 2026-11-21T05:30+01:00, or 30m, 2h, 3d: so long ago"
        raise click.BadParameter(f"{text!r} is not {expected}", param_hint=option) from None
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // _MS
