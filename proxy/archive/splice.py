"""Whether a body may stand in a line as it is, so that every strict JSON reader reads the line.

One object of a hostile client must not make a whole object of the archive unreadable for a query engine; what is
refused here is kept as base64. Pure. Must not know what the rest of a line is.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any, Final

import orjson

DEPTH_MAX: Final = 64  # levels of nesting; the SDK's bodies have 2, the narrowest common reader takes 128
# Bytes that the check may take beside the body. An SDK's body of 10 MB takes 20 to 50 MB for its strings; one of empty
# objects would take 250. What exceeds it is not looked into.
MEMORY_MAX: Final = 64 * 1024 * 1024
_SMALL: Final = MEMORY_MAX // 40  # a body below it can't exceed it, whatever it consists of
_AROUND_MAX: Final = 1000  # bytes of a batch that are not its events
_STRING: Final = re.compile(rb'"[^"]*"?')  # as it is when no quote is escaped in it
_ESCAPED: Final = b"\\u003"
_COLON: Final = re.compile(rb"\\u003[aA]")


def is_clean(body: bytes) -> bool:
    """Whether `body` is one JSON text (RFC 8259) on one line, in UTF-8, without NaN, with no name twice in an object,
    no number beyond a double's range, not too deep, and not too costly to look into."""
    if b"\n" in body or b"\r" in body or not _is_affordable(body):
        return False
    return _is_batch(body) or _is_strict(body)


def _is_batch(body: bytes) -> bool:
    """Whether this is clean because it is an object with an array of strings in it, as the SDK's bodies are: no name
    can be repeated among these, so nobody has to look."""
    first, last = body.find(b"["), body.rfind(b"]")
    before, behind = body[: max(first, 0)], body[last + 1 :]
    if last < first or len(before) + len(behind) > _AROUND_MAX or not before.rstrip(b" ").endswith(b":"):
        return False
    try:
        events = orjson.loads(memoryview(body)[first : last + 1])
    except orjson.JSONDecodeError:
        return False
    # If the brackets were within a string, the two quotes in their place would end one where another begins.
    return set(map(type, events)) <= {str} and _is_strict(before + b'""' + behind)


def _is_strict(body: bytes) -> bool:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    if _ESCAPED in body and _COLON.search(body):
        return len(body) <= _SMALL and _colons(value) is not None and _has_unique_names(body)
    # What a reader makes of an object with a repeated name has lost a colon.
    return _colons(value) == body.count(b":")


def _is_affordable(body: bytes) -> bool:
    if len(body) <= _SMALL:
        return True
    # The parser's copy, and the strings: of 1, 2 or 4 bytes for each character, as the widest one needs.
    strings = len(body) * (2 if body.isascii() else 5)
    # At first too high, because of what is in strings; then without them.
    left = MEMORY_MAX - strings
    return left > 0 and (_structure(body) <= left or _structure(_unquoted(body)) <= left)


def _unquoted(body: bytes) -> bytes:
    """Without the text of strings, if it is JSON."""
    return _STRING.sub(b"", body.replace(b"\\\\", b"").replace(b'\\"', b""))


def _structure(text: bytes) -> int:
    """No fewer bytes than the objects take that are not strings' text (CPython, 64 bits)."""
    return text.count(b"{") * 256 + text.count(b"[") * 64 + text.count(b",") * 80


def _colons(value: Any) -> int | None:
    """How many colons were in the text that this was made of, if no name in it is repeated and no colon escaped. None:
    too deep, or a number was too large."""
    level, count = [value], 0
    for _ in range(DEPTH_MAX):
        inner: list[Any] = []
        for each in level:
            kind = type(each)
            if kind is str:
                count += each.count(":")
            elif kind is list:
                inner += each
            elif kind is dict:
                count += len(each)
                inner += each
                inner += each.values()
            elif kind is float and not isfinite(each):
                return None
        if not inner:
            return count
        level = inner
    return None


def _has_unique_names(body: bytes) -> bool:
    """The slow way, for the rare text with an escaped colon."""
    try:
        json.loads(body, object_pairs_hook=_unique)
    except _RepeatedName:
        return False
    return True


class _RepeatedName(Exception):
    """An object has a name twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _RepeatedName
    return made
