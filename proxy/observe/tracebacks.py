"""Tracebacks for the log, without what an error's own text may quote: the value that it met may be a visitor's, or a
secret. Must not know who asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from traceback import format_tb
from typing import Final

# What these say is mostly the value: int() of a text, a key that is missing, bytes that are no UTF-8.
_QUOTING: Final = (ValueError, LookupError)
_LINKS: Final = {
    True: "\nThe above exception was the direct cause of the following exception:\n\n",
    False: "\nDuring handling of the above exception, another exception occurred:\n\n",
}


def trace(error: BaseException) -> str:
    """As Python prints it: what led to the error first, lines of code with it, the error's type and text at the end.
    No line feed at its end."""
    return "".join(_parts(error, set())).rstrip("\n")


def _parts(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in seen:
        yield from _parts(earlier, seen)
        yield _LINKS[error.__cause__ is not None]
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from format_tb(error.__traceback__)
    yield f"{type(error).__qualname__}{_text(error)}\n"
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            if id(each) not in seen:
                yield from _parts(each, seen)


def _text(error: BaseException) -> str:
    if isinstance(error, _QUOTING):
        return ": (left out, it may quote what was received)" if error.args else ""
    text = str(error)
    return f": {text}" if text else ""
