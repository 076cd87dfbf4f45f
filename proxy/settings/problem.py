"""What is wrong with a configuration (a problem), and what is merely unwise (an advice), as values and text.

A problem keeps the gateway from starting; an advice is a warning. Must not know how either was found.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from proxy.settings.section import Location

# Longer values are cut in messages: enough to recognise one's own line.
SHOWN_MAX = 60

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Problem:
    """`path`: where (`listen[0].address`), `found`: what is there, `expected`: what belongs there.

    An empty `expected` means that `found` says it all, what to do included.
    """

    path: str
    found: str
    expected: str

    def __str__(self) -> str:
        return (
            f"{self.path}: found {self.found}; expected {self.expected}"
            if self.expected
            else f"{self.path}: {self.found}"
        )


@dataclass(frozen=True, slots=True)
class Advice:
    """Something that works, but hardly as meant."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


def path_text(location: Location) -> str:
    """`("listen", 0, "tls")` is `listen[0].tls`; the document itself is `(top level)`."""
    return "".join(map(step_text, location)).removeprefix(".") or "(top level)"


def step_text(step: int | str) -> str:
    """One step of a path: `.tls`, `[0]`, or `["a.b"]` for a key that is not a plain word."""
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN.fullmatch(step) else f"[{json.dumps(step)}]"


def value_text(value: Any) -> str:
    """A value as a problem shows it; what lists and mappings hold is never shown."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    shown = json.dumps(
        _without_credentials(value) if isinstance(value, str) else value, ensure_ascii=False, default=str
    )
    return shown if len(shown) <= SHOWN_MAX else f"{shown[:SHOWN_MAX]}…"


def _without_credentials(text: str) -> str:
    """URLs may carry a password before the host, or a token in the query."""
    return re.sub(r"\?.*", "?…", re.sub(r"//[^/]*@", "//…@", text), flags=re.DOTALL)
