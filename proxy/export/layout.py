"""How the exported text is laid out: comments that wrap, blocks that are indented. Knows no
server's own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap

WIDTH = 116
INDENT = "    "
YAML_INDENT = "  "


def comment(text: str) -> Iterator[str]:
    """The text as comment lines. What is quoted in it may hold line breaks: they end no comment."""
    yield from (
        f"# {line}" for line in wrap(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)
    )


def indented(lines: Iterable[str], indent: str = INDENT) -> Iterator[str]:
    """The lines moved to the right; empty ones stay empty."""
    yield from (f"{indent}{line}" if line else "" for line in lines)


def block(head: str, lines: Iterable[str]) -> Iterator[str]:
    """A block in braces, as nginx and Caddy write it."""
    yield f"{head} {{".lstrip()
    yield from indented(lines)
    yield "}"


def document(lines: Iterable[str]) -> str:
    """The lines as a text that ends in a line break."""
    return "\n".join(lines) + "\n"


def mapping(head: str, lines: Iterable[str]) -> Iterator[str]:
    """A key of YAML with what is below it."""
    yield f"{head}:"
    yield from indented(lines, YAML_INDENT)


def listing(head: str, items: Iterable[str]) -> Iterator[str]:
    """A key of YAML with a list of one-line items."""
    yield from mapping(head, (f"- {item}" for item in items))
