"""How single values are written in the file, and how they are written back: sizes, durations, numbers, choices.

A `Parsed` is put on a field with `Annotated`: pydantic then reads the value through it, writes it back
through it, and takes its JSON Schema. Must not know which setting uses it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from proxy.settings.section import FAULT

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

SIZE_UNITS = {
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": KIB,
    "MiB": MIB,
    "GiB": GIB,
    "TiB": 1024 * GIB,
}
# Larger is a slip of the pen: no machine that runs this has more memory.
SIZE_MAX = 16 * SIZE_UNITS["TiB"]

DURATION_UNITS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
# Timers of the event loop and header values stay far from their ends below this.
DURATION_MAX = 366 * 86400.0

_SIZE = re.compile(r"([0-9]{1,15}) ?([A-Za-z]{1,3})?")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)")
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_WHOLE = re.compile(r"-?[0-9]{1,15}")


class UnreadableError(ValueError):
    """The value is not what is expected; the argument says what is, as the rest of `expected …`."""


@dataclass(frozen=True, eq=False)
class Parsed:
    """How one kind of value is read from the file, written back, and described to an editor.

    `parse` takes what the file holds, or a value parsed before, and raises UnreadableError.
    """

    parse: Callable[[Any], Any]
    schema: dict[str, Any]
    write: Callable[[Any], Any] = str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._checked,
            serialization=core_schema.plain_serializer_function_ser_schema(self.write, when_used="json"),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.schema)

    def _checked(self, value: Any) -> Any:
        # Plain text only: a subclass would stay in the settings, and be slower wherever it is used.
        plain = str(value) if isinstance(value, str) else value
        try:
            return self.parse(plain)
        except UnreadableError as wrong:
            raise PydanticCustomError(FAULT, "expected {expected}", {"expected": str(wrong)}) from None


def text_of(value: object, expected: str) -> str:
    """The value, if it is text; UnreadableError with `expected` otherwise."""
    if not isinstance(value, str):
        raise UnreadableError(expected)
    return value


def size(low: int = 0, high: int = SIZE_MAX) -> Parsed:
    """Bytes: `16MiB`, `1GB`, or a whole number of bytes."""

    def parse(value: object) -> int:
        number = _size_of(value)
        if not low <= number <= high:
            raise UnreadableError(f"a size from {size_text(low)} to {size_text(high)}")
        return number

    pattern = r"^[0-9]{1,15} ?(" + "|".join(SIZE_UNITS) + ")?$"
    schema = {"anyOf": [{"type": "integer", "minimum": low}, {"type": "string", "pattern": pattern}]}
    return Parsed(parse, schema, size_text)


def _size_of(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    unit = SIZE_UNITS.get(match[2] or "B") if match else None
    if match is None or unit is None:
        raise UnreadableError("a size such as 16MiB, 512KiB or 1GB")
    return int(match[1]) * unit


def size_text(number: int) -> str:
    """The shortest exact spelling: 16777216 is `16MiB`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if number and number % SIZE_UNITS[unit] == 0:
            return f"{number // SIZE_UNITS[unit]}{unit}"
    return f"{number}B"


def duration(zero: bool = False) -> Parsed:
    """Seconds as a float: `700ms`, `1.5s`, `2h`, `1d`. `zero` says whether 0 (off, or at once) is allowed."""

    def parse(value: object) -> float:
        seconds = _seconds_of(value)
        if not zero and seconds == 0:
            raise UnreadableError("a duration above zero, such as 700ms, 10s or 2h")
        if seconds > DURATION_MAX:
            raise UnreadableError(f"a duration of at most {duration_text(DURATION_MAX)}")
        return seconds

    text = {"type": "string", "pattern": rf"^{_DURATION.pattern}$"}
    schema = {"anyOf": [{"const": 0}, text | {"pattern": rf"^(0|{_DURATION.pattern})$"}]} if zero else text
    return Parsed(parse, schema, duration_text)


def _seconds_of(value: object) -> float:
    if (isinstance(value, int) and not isinstance(value, bool) and value == 0) or value == "0":
        return 0.0
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise UnreadableError("a duration with its unit, such as 700ms, 10s or 2h")
    return float(Decimal(match[1]) * DURATION_UNITS[match[2]])


def duration_text(seconds: float) -> str:
    """The shortest exact spelling: 7200.0 is `2h`, 0.7 is `700ms`."""
    exact = Decimal(repr(seconds))
    for unit in ("d", "h", "m", "s", "ms"):
        count = exact / DURATION_UNITS[unit]
        if exact and count == int(count):
            return f"{int(count)}{unit}"
    return f"{exact.normalize():f}s"


def plain_seconds() -> Parsed:
    """A duration for a key that names the unit itself, above zero: `300` is `5m`."""
    named = duration()

    def parse(value: object) -> float:
        text = str(value) if isinstance(value, int | float) else value
        is_number = isinstance(text, str) and _NUMBER.fullmatch(text)
        try:
            return float(named.parse(f"{text}s" if is_number else value))
        except UnreadableError:
            raise UnreadableError("a number of seconds above zero, or a duration such as 30s or 5m") from None

    number = {"type": "number", "exclusiveMinimum": 0, "maximum": DURATION_MAX}
    return Parsed(parse, {"anyOf": [number, named.schema]}, duration_text)


def whole(low: int, high: int) -> Parsed:
    """A whole number from `low` to `high`."""

    def parse(value: object) -> int:
        number = int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise UnreadableError(f"a whole number from {low} to {high}")
        return number

    return Parsed(parse, {"type": "integer", "minimum": low, "maximum": high}, int)


def per_second() -> Parsed:
    """A rate: a number of requests per second, 0 for off."""
    most = 1_000_000

    def parse(value: object) -> float:
        try:
            number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1.0
        except ValueError:
            number = -1.0
        if not 0 <= number <= most:
            raise UnreadableError(f"a number of requests per second from 0 (off) to {most}")
        return number

    return Parsed(parse, {"type": "number", "minimum": 0, "maximum": most}, float)


def flag() -> Parsed:
    """True or false."""

    def parse(value: object) -> bool:
        spelled = {"true": True, "false": False}.get(value) if isinstance(value, str) else value
        if not isinstance(spelled, bool):
            raise UnreadableError("true or false")
        return spelled

    return Parsed(parse, {"type": "boolean"}, bool)


def or_empty(some: Parsed) -> Parsed:
    """The same, or empty text where there is none."""

    def parse(value: object) -> Any:
        return "" if value == "" else some.parse(value)

    return Parsed(parse, {"anyOf": [{"const": ""}, some.schema]}, some.write)


def choice(*words: str) -> Parsed:
    """One of a few words."""
    listed = ", ".join(words[:-1]) + f" or {words[-1]}"

    def parse(value: object) -> str:
        if value not in words:
            raise UnreadableError(listed)
        return str(value)

    return Parsed(parse, {"enum": list(words)})
