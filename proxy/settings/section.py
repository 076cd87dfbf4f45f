"""What every section of the settings has in common: frozen, no unknown keys, all faults at once.

Must not know any single setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

Location = tuple[int | str, ...]

FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Fault:
    """Two or more values, each fine by itself, that don't go together.

    `where` is relative to the section, `about` names the fields compared: when one of them could
    not be read at all, the comparison means nothing and is left out.
    """

    where: Location
    found: str
    expected: str
    about: frozenset[str] = frozenset()


class Section(BaseModel):
    """A part of the settings. Subclasses state cross-field checks in `conflicts`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def conflicts(self, written: Mapping[str, object]) -> Iterator[Fault]:
        """Cross-field faults of a section whose fields are valid. `written` is what was given, by field name."""
        return iter(())

    @model_validator(mode="wrap")
    @classmethod
    def _everything_at_once(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        # `limits:` with nothing below it, or only comments, means the defaults.
        data = {} if data is None else data
        written = data if isinstance(data, dict) else {}
        try:
            section = handler(data)
        except ValidationError as error:
            raise_again(error, cls._conflicts_among_valid(written, error, handler))
        faults = list(section.conflicts(written))
        if faults:
            refuse(faults)
        return section

    @classmethod
    def _conflicts_among_valid(
        cls, written: dict[str, object], error: ValidationError, handler: ModelWrapValidatorHandler[Self]
    ) -> list[Fault]:
        """Compares what could be read, so that a fault in one field doesn't hide one between two others."""
        broken = {str(item["loc"][0]) for item in error.errors(include_url=False) if item["loc"]}
        valid = {name: value for name, value in written.items() if name not in broken}
        try:
            section = handler(valid)
        except ValidationError:
            return []
        return [fault for fault in section.conflicts(written) if not fault.about & broken]


def fault(where: Location, found: str, expected: str) -> InitErrorDetails:
    """One line error of our own kind: what was found, and what is expected there."""
    kind = PydanticCustomError(FAULT, "expected {expected}", {"found": found, "expected": expected})
    return InitErrorDetails(type=kind, loc=where, input=None)


def refuse(faults: Iterable[Fault]) -> NoReturn:
    """Raises ValidationError with one line error for each fault."""
    lines = [fault(item.where, item.found, item.expected) for item in faults]
    raise ValidationError.from_exception_data("settings", lines)


def raise_again(error: ValidationError, faults: Iterable[Fault]) -> NoReturn:
    """Raises ValidationError with what `error` holds, and the faults besides."""
    lines = [_line(item) for item in error.errors(include_url=False)]
    lines += [fault(item.where, item.found, item.expected) for item in faults]
    raise ValidationError.from_exception_data("settings", lines)


def _line(item: Any) -> InitErrorDetails:
    context = {**item.get("ctx", {}), "message": item["msg"]}
    kind = PydanticCustomError(item["type"], "{message}", context)
    return InitErrorDetails(type=kind, loc=item["loc"], input=item["input"])
