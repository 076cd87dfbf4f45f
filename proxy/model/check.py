"""What a check finds, as data: for people as one line, for programs as fields. Must not know what is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

# "warn": works, but not for long or not as it should; "unknown": it could not be found out.
State = Literal["ok", "warn", "fail", "unknown"]


class Check(NamedTuple):
    """`name` stays the same between versions, `what` was found, `remedy` says what to do unless all is well. `where` is
    the address, file or request that it is about, if the name does not say it."""

    name: str
    state: State
    what: str
    remedy: str = ""
    where: str = ""


def never_raising(name: str, checks: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """The checks, and "unknown" for the rest when one of them breaks: a diagnosis must not end by what it looks for."""
    try:
        yield from checks()
    except Exception as error:
        yield Check(name, "unknown", f"the check broke off: {type(error).__name__}: {error}", "look at the cause")
