"""Proves how YAML is read: without its surprises, with duplicate keys told, and never quoting a secret."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings.document import BadDocumentError, parse

# YAML ends the search for a key's colon after 1024 characters; escaped, one of these may take twelve.
KEYS = st.text(max_size=64)
SIMPLE = st.one_of(st.none(), st.booleans(), st.integers(-(10**15), 10**15), st.text())
DOCUMENTS = st.recursive(SIMPLE, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


def value(text: str) -> Any:
    document, repeated = parse(text)
    assert repeated == []
    return document


def refused(text: str) -> BadDocumentError:
    with pytest.raises(BadDocumentError) as wrong:
        parse(text)
    return wrong.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("a:", {"a": None}),
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-12", -12),
        ("0123", 123),
        ("1.5", 1.5),
        ("'12'", "12"),
        ("a: b # c", {"a": "b"}),
        ("[a, 1, {b: c}]", ["a", 1, {"b": "c"}]),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_plain_values(text: str, expected: object) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "NO",
        "yes",
        "on",
        "off",
        "y",
        "n",
        "10:30",
        "2001-01-01",
        "1e3",
        "0x10",
        "0o7",
        "1_000",
        ".inf",
        ".nan",
        "=",
        "<<",
    ],
)
def test_what_usually_surprises_is_text(text: str) -> None:
    assert value(text) == text


def test_keys_are_always_text() -> None:
    assert value("{1: a, true: b, null: c, 01: d, 1.50: e, NO: f}") == {
        "1": "a",
        "true": "b",
        "null": "c",
        "01": "d",
        "1.50": "e",
        "NO": "f",
    }


def test_a_key_given_twice_is_told_with_its_line() -> None:
    assert parse("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")[1] == [(("b", "c"), 4), (("a",), 5)]
    assert parse("- x: 1\n- x: 1\n  'x': 2\n")[1] == [((1, "x"), 3)]


def test_a_merge_key_is_a_key_like_any_other() -> None:
    assert value("{<<: {a: 1}}") == {"<<": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: [", 1, 5),
        ("a: b: c", 1, 5),
        ("a: 1\n b: 2", 2, 3),
        ("\t- a", 1, 1),
        ("a: 'x", 1, 6),
        ("a: {b", 1, 6),
        ("ok: 1\nbad: \x00", 2, 6),
        ("a: 1\n---\nb: 2", 2, 1),
        ("? [a]\n: b", 1, 3),
        ("a: !x 1", 1, 4),
        ("a: !!int x", 1, 4),
        ("a: !!python/object:os.system x", 1, 4),
        ("a: !!binary eA==", 1, 4),
        ("a: &x 1\nb: *x", 2, 4),
        ("a: *nowhere", 1, 4),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, line: int, column: int) -> None:
    bad = refused(text)
    assert (bad.line, bad.column) == (line, column)
    assert bad.reason


def test_too_many_levels_are_a_mistake_and_not_a_crash() -> None:
    assert refused("[" * 10_000).reason == "too many levels"
    assert refused("{a: " * 10_000).reason == "too many levels"


def test_a_bomb_of_aliases_is_refused_at_its_first() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{name}: &{name} [*{last}, *{last}]\n" for last, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert refused(bomb).reason.startswith("aliases")


@pytest.mark.parametrize(
    "text",
    [
        "a: *SECRETSECRET",
        "a: !SECRETSECRET x",
        "a: !SECRETSECRET!x y",
        "a: &SECRETSECRET 1\nb: &SECRETSECRET 2",
        "a: 'SECRETSECRET",
        "SECRETSECRET\n: : x",
        "a: !!int SECRETSECRET",
        "a: 1\nSECRETSECRET",
        "a: |SECRETSECRET",
    ],
)
def test_a_mistake_never_quotes_the_text(text: str) -> None:
    assert "SECRET" not in str(refused(text))


@given(DOCUMENTS)
def test_json_is_read_as_what_it_says(document: Any) -> None:
    assert value(json.dumps(document)) == document


@given(st.text(max_size=60))
def test_any_text_is_a_document_or_a_mistake(text: str) -> None:
    with suppress(BadDocumentError):
        parse(text)


@pytest.mark.parametrize("text", [r'"\ud83d"', r'{"\ude00": 1}', r'["\ude00\ud83d"]'])
def test_half_a_character_is_a_mistake(text: str) -> None:
    assert refused(text).reason == "a value that can't be read"
