"""The statements of docs/archive-sql.md, by their names. Must not know what runs them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "archive-sql.md"
_FENCED: Final = re.compile(r"^```sql ([a-z0-9-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ALL_FENCES: Final = re.compile(r"^```sql", re.MULTILINE)


def statements() -> dict[str, str]:
    """The text of each block, by the name that stands behind the word sql: there is none without a name."""
    text = PAGE.read_text()
    found = _FENCED.findall(text)
    assert len(found) == len(_ALL_FENCES.findall(text)), "a block of SQL has no name"
    named = dict(found)
    assert len(named) == len(found), "two blocks have one name"
    return named


def filled(text: str, values: dict[str, str]) -> str:
    """A statement with other words in place of the page's: each of them must be in it."""
    for word, value in values.items():
        assert word in text, f"{word!r} is not on the page any more:\n{text}"
        text = text.replace(word, value)
    return text
