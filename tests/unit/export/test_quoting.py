"""Proves that a value means itself in each language, or is refused: it never ends where it should not."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from proxy.export import ExportError, quoting

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126))
LANGUAGES = (quoting.nginx, quoting.haproxy, quoting.haproxy_format, quoting.caddy, quoting.yaml)


@pytest.mark.parametrize("quote", LANGUAGES)
@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\x7fb", "a\x85b", "a\u2028b"])
def test_no_language_is_given_a_second_line(quote: quoting.Quote, value: str) -> None:
    with pytest.raises(ExportError, match=r"some\.path: line breaks"):
        quote(value, "some.path")


def unquoted_nginx(text: str) -> str:
    """What nginx reads: a backslash takes the special meaning from a quote and a backslash."""
    assert text[0] == text[-1] == '"'
    value, rest = "", text[1:-1]
    while rest:
        if rest[0] == "\\" and rest[1] in '"\\':
            rest = rest[1:]
        else:
            assert rest[0] not in '"\\$'
        value, rest = value + rest[0], rest[1:]
    return value


@given(PRINTABLE.filter(lambda value: "$" not in value))
def test_nginx_reads_the_value_itself(value: str) -> None:
    assert unquoted_nginx(quoting.nginx(value, "")) == value


def test_nginx_is_not_given_a_variable() -> None:
    with pytest.raises(ExportError, match=r"headers: nginx can't be given a value with \$"):
        quoting.nginx("a$host", "headers")


@given(PRINTABLE)
def test_haproxy_reads_the_value_itself(value: str) -> None:
    pieces = quoting.haproxy(value, "").split("'\\''")
    text = "'".join(pieces)
    assert text == f"'{value}'"
    assert all("'" not in piece.removeprefix("'").removesuffix("'") for piece in pieces)


@given(PRINTABLE)
def test_haproxy_finds_no_variable_of_its_own_in_a_value(value: str) -> None:
    assert quoting.haproxy_format(value, "").replace("%%", "").count("%") == 0


@given(PRINTABLE.filter(lambda value: not set(value) & set("{}\\`")))
def test_caddy_reads_the_value_itself(value: str) -> None:
    text = quoting.caddy(value, "")
    assert text[1:-1].replace('\\"', "\0").count('"') == 0
    assert text[1:-1].replace('\\"', '"') == value


@pytest.mark.parametrize("char", "{}\\`")
def test_caddy_is_not_given_a_placeholder(char: str) -> None:
    with pytest.raises(ExportError, match="Caddy can't be given"):
        quoting.caddy(f"a{char}b", "headers")


@given(PRINTABLE)
def test_yaml_and_scripts_read_the_value_itself(value: str) -> None:
    assert yaml.safe_load(quoting.yaml(value, "")) == value
    assert json.loads(quoting.script(value)) == value
    assert "</" not in quoting.script(value)
