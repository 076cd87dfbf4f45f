"""Proves that the tables of docs/configuration.md are those of the settings, and that they would show a change."""

from __future__ import annotations

from proxy.settings import Settings

from . import page
from .test_reference import keys, with_sections

TEXT = page.PAGE.read_text()
REFERENCE = with_sections(page.REFERENCE.read_text())


def test_the_page_is_up_to_date() -> None:
    assert page.with_tables(TEXT, REFERENCE) == TEXT, "make it anew: python -m tests.unit.settings.page"


def test_every_key_has_its_row() -> None:
    rows = {(key.section.__name__, key.name) for key in page.keys(Settings, "")}
    assert rows == set(keys(Settings))


def test_a_comment_that_changes_changes_the_page() -> None:
    assert page.with_tables(TEXT, REFERENCE.replace("# Where uploads are archived.", "# Elsewhere.")) != TEXT


def test_every_meaning_leads_to_a_comment() -> None:
    said = page.comments(REFERENCE)
    rows = [line.split(" | ") for line in page.generated(REFERENCE).splitlines() if line.startswith("| `")]
    pointed = [row[-1].removesuffix(" |") for row in rows if row[-1].startswith(("as `", "see `"))]
    assert pointed
    assert [each for each in pointed if page.in_reference(each.split("`")[1]) not in said] == []
