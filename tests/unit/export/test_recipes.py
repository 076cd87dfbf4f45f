"""Proves that docs/recipes.md says what the exports do: its table is that of the code, its settings can be exported,
and what it shows is what is printed. Its commands are proved in tests/unit/test_docs.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.export import FORMATS, Wishes
from proxy.export.gaps import GAPS, Server
from tests.unit.export.plans import exported

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "recipes.md"
HEADING = "| setting | not in | what it means |"


def blocks(language: str) -> list[str]:
    """The fenced blocks of the document."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


def page(name: str, text: str) -> str:
    """What is printed for the page, with the address of the document."""
    return exported(name, text, Wishes(public_url="https://replay.example.com"))


def table_rows() -> Iterator[str]:
    """The table of what other servers can't do."""
    for gap in GAPS:
        servers = "all" if gap.servers == tuple(Server) else ", ".join(server.value for server in gap.servers)
        yield f"| {', '.join(f'`{setting}`' for setting in gap.settings)} | {servers} | {gap.meaning} |"


def test_the_table_is_that_of_the_code() -> None:
    lines = DOCUMENT.read_text().splitlines()
    begin = lines.index(HEADING) + 2
    rows = list(table_rows())
    assert lines[begin : begin + len(rows)] == rows
    assert not lines[begin + len(rows)].startswith("|")


@pytest.mark.parametrize("name", FORMATS)
def test_its_settings_can_be_exported(name: str) -> None:
    [settings] = blocks("yaml")
    assert page(name, settings)


@pytest.mark.parametrize(("name", "language"), [("sdk", "js"), ("csp", "text")])
def test_what_it_shows_is_what_is_printed(name: str, language: str) -> None:
    [settings] = blocks("yaml")
    assert blocks(language) == [page(name, settings)]


def test_it_names_every_export() -> None:
    commands = re.findall(r"^replay-gateway export (\w+)", "\n".join(blocks("sh")), re.MULTILINE)
    assert set(commands) == set(FORMATS)
