"""What the doctor can find, as closed lists: each kind of finding has a name, a state, a text and a remedy.

Must not know how anything is found.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from proxy.model.check import Check, State

_SHOWN: Final = 400  # characters of a word


class Finding(Enum):
    """Without members: `inside_findings` and `outside_findings` have them. A value is (state, what, remedy); {names} in
    the texts are filled in by whoever found it."""

    @property
    def label(self) -> str:
        """The name that a Check has: it stays the same between versions."""
        return self.name.lower().replace("_", "-")

    @property
    def state(self) -> State:
        state: State = self.value[0]
        return state

    @property
    def what(self) -> str:
        return str(self.value[1])

    @property
    def remedy(self) -> str:
        return str(self.value[2])

    def at(self, where: str, **words: object) -> Check:
        """The finding itself: there, and with these words."""
        shown = {name: printable(str(word)) for name, word in words.items()}
        return Check(self.label, self.state, self.what.format(**shown), self.remedy.format(**shown), where)


def fine(name: str, where: str, what: str) -> Check:
    """That something was looked at and is as it should be."""
    return Check(name, "ok", printable(what), "", where)


def printable(text: str) -> str:
    """What another server said, so that it can do nothing to a terminal: no control characters, and not too much."""
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[: _SHOWN + 1])
    return shown if len(text) <= _SHOWN else f"{shown[:_SHOWN]}…"
