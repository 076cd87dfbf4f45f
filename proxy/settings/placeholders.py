"""`${env:NAME}` and `${file:/path}` in texts: replaced before anything is validated.

What was replaced remembers how it was written, so that a secret never appears in a message.
Reads nothing itself: the environment and the file reader are arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.settings.section import Location

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^{}]*)\}?")


class Substituted(str):
    """Text that came out of a placeholder; `written` is what the file says."""

    written: str

    def __new__(cls, text: str, written: str) -> Substituted:
        made = super().__new__(cls, text)
        made.written = written
        return made


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A placeholder without a value: where, what was found, and what is expected."""

    location: Location
    found: str
    expected: str


class _NoValueError(Exception):
    """Arguments: what was found, what is expected."""


@dataclass(slots=True)
class Filling:
    """One pass over a document. `read` returns a file's text and raises OSError or ValueError."""

    environment: Mapping[str, str]
    read: Callable[[str], str]
    unfilled: list[Unfilled] = field(default_factory=list)

    def fill(self, value: Any, location: Location = ()) -> Any:
        """The same tree with every placeholder replaced, in keys too; failures are added to `unfilled`."""
        if isinstance(value, str):
            return self._text(value, location)
        if isinstance(value, list):
            return [self.fill(item, (*location, number)) for number, item in enumerate(value)]
        if isinstance(value, dict):
            return dict(self._entries(value, location))
        return value

    def _entries(self, table: dict[str, Any], location: Location) -> Iterator[tuple[str, Any]]:
        seen = set()
        for key, value in table.items():
            where = (*location, key)
            name = self._text(key, where)
            if name in seen:
                self.unfilled.append(Unfilled(where, "a key a second time", "each key once"))
            seen.add(name)
            yield name, self.fill(value, where)

    def _text(self, text: str, location: Location) -> str:
        if "${" not in text:
            return text
        try:
            filled = _PLACEHOLDER.sub(self._value, text)
        except _NoValueError as missing:
            self.unfilled.append(Unfilled(location, *missing.args))
            return text
        return Substituted(filled, text)

    def _value(self, match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        kind, _, name = match[1].partition(":")
        if kind == "env" and name and match[0].endswith("}"):
            return self._variable(name)
        if kind == "file" and name and match[0].endswith("}"):
            return self._file(name)
        raise _NoValueError("a placeholder of another form", "${env:NAME} or ${file:/path}; $${ stands for a plain ${")

    def _variable(self, name: str) -> str:
        value = self.environment.get(name)
        if value is None:
            raise _NoValueError(f"${{env:{name}}}", f"the environment variable {name} to be set")
        return value

    def _file(self, name: str) -> str:
        try:
            return self.read(name).removesuffix("\n").removesuffix("\r")
        except OSError as error:
            raise _NoValueError(f"${{file:{name}}}", f"a file that can be read ({error.strerror})") from None
        except ValueError as error:
            raise _NoValueError(f"${{file:{name}}}", str(error)) from None
