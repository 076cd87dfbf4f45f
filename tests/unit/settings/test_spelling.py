"""Proves which texts pass as header names and values, keys, regions, paths, origins and files, and which not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from proxy.settings.spelling import (
    RESERVED_FIELDS,
    api_key,
    field_value,
    file_path,
    origin_pattern,
    public_path,
    region_name,
    token,
    upstream_field_name,
)
from proxy.settings.units import UnreadableError


@pytest.mark.parametrize("name", ["X-A", "a", "!#$%&'*+-.^_`|~0"])
def test_a_token(name: str) -> None:
    assert token("a header name", "X-A").parse(name) == name


@pytest.mark.parametrize("name", ["", "X A", "X:", "X\n", "é", "a" * 257, "(a)", 3, None, True])
def test_what_is_no_token_is_refused(name: object) -> None:
    with pytest.raises(UnreadableError, match="a header name such as X-A"):
        token("a header name", "X-A").parse(name)


@pytest.mark.parametrize("name", sorted(RESERVED_FIELDS))
def test_a_field_that_frames_the_message_can_not_be_edited(name: str) -> None:
    for spelled in (name, name.title(), name.upper()):
        with pytest.raises(UnreadableError, match="does not frame the message"):
            upstream_field_name().parse(spelled)


def test_other_fields_can_and_keep_their_spelling() -> None:
    assert upstream_field_name().parse("X-Proxy-Token") == "X-Proxy-Token"


@pytest.mark.parametrize("value", ["", "a", "a b", "a\tb", "Bearer x=y;z", "~" * 8192])
def test_a_field_value_is_kept_secret(value: str) -> None:
    parsed = field_value().parse(value)
    assert isinstance(parsed, SecretStr)
    assert parsed.get_secret_value() == value
    assert field_value().parse(parsed) == parsed


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0", " a", "a ", "\t", "é", "\x7f", 12, None, ["a"]])
def test_a_field_value_that_breaks_out_of_its_line_is_refused(value: object) -> None:
    with pytest.raises(UnreadableError, match="printable ASCII on one line") as wrong:
        field_value().parse(value)
    assert "X: y" not in str(wrong.value)


@given(st.text())
def test_an_accepted_field_value_never_holds_a_line_break(text: str) -> None:
    try:
        value = field_value().parse(text).get_secret_value()
    except UnreadableError:
        return
    assert not set(value) & set("\r\n\0")
    assert value.isascii()


@pytest.mark.parametrize("key", ["0123abcd", "a", "!~", "a" * 256])
def test_an_api_key(key: str) -> None:
    assert api_key().parse(key) == key


@pytest.mark.parametrize("key", ["", "a b", "a\n", "é", "a" * 257, 123, None])
def test_what_can_be_no_api_key_is_refused_without_being_repeated(key: object) -> None:
    with pytest.raises(UnreadableError, match="visible ASCII") as wrong:
        api_key().parse(key)
    assert "a b" not in str(wrong.value)


@pytest.mark.parametrize("name", ["US", "", "-a", "a b", "é", "a" * 33, "a.b", None])
def test_a_region_name_that_makes_no_label_is_refused(name: object) -> None:
    with pytest.raises(UnreadableError, match="lower-case letters"):
        region_name().parse(name)


@pytest.mark.parametrize("path", ["/config", "/sessions/v2/track", "/a.b/c_d~e-f", "/..."])
def test_a_public_path(path: str) -> None:
    assert public_path().parse(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "config",
        "/config/",
        "//config",
        "/a?b",
        "/a#b",
        "/a/../b",
        "/a/.",
        "/a b",
        "/a%2fb",
        "/a;b",
        "/é",
        "/a\\b",
        None,
        1,
    ],
)
def test_a_path_that_could_mean_two_things_is_refused(path: object) -> None:
    with pytest.raises(UnreadableError, match="no query, no dot segments, no slash at the end"):
        public_path().parse(path)


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("*", "*"),
        ("https://app.example.com", "https://app.example.com"),
        ("HTTPS://App.Example.COM", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("http://app.example.com:443", "http://app.example.com:443"),
        ("https://app.example.com:08443", "https://app.example.com:8443"),
        ("https://*.example.org", "https://*.example.org"),
        ("https://*.example.org:8443", "https://*.example.org:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_is_written_as_browsers_send_it(written: str, origin: str) -> None:
    assert origin_pattern().parse(written) == origin
    assert origin_pattern().parse(origin) == origin


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("null", "sandboxed"),
        ("app.example.com", "the scheme is missing"),
        ("https://app.example.com/", "leave the slash at the end out"),
        ("https://app.example.com/path", "scheme, host, no path"),
        ("https://app.example.com?x", "scheme, host, no path"),
        ("https://user@app.example.com", "scheme, host, no path"),
        ("https://*", "scheme, host, no path"),
        ("https://*.*.example.com", "scheme, host, no path"),
        ("https://app.*.example.com", "scheme, host, no path"),
        ("https://*.1.2.3.4", "scheme, host, no path"),
        ("https://*.[::1]", "scheme, host, no path"),
        ("https://app.example.com:0", "scheme, host, no path"),
        ("https://app.example.com:65536", "scheme, host, no path"),
        ("https://bücher.example", "scheme, host, no path"),
        ("https://.example.com", "scheme, host, no path"),
        ("https://", "scheme, host, no path"),
        ("//app.example.com", "scheme, host, no path"),
        ("*.example.com", "scheme, host, no path"),
        ("", "scheme, host, no path"),
        (None, "scheme, host, no path"),
    ],
)
def test_what_is_no_origin_is_refused_with_a_hint(written: object, hint: str) -> None:
    with pytest.raises(UnreadableError, match=re.escape("such as https://app.example.com")) as wrong:
        origin_pattern().parse(written)
    assert hint in str(wrong.value)


@given(st.from_regex(r"[a-z]{1,8}://(\*\.)?[a-z0-9.-]{1,20}(:[0-9]{1,5})?", fullmatch=True))
def test_reading_an_origin_twice_changes_nothing(text: str) -> None:
    try:
        once = origin_pattern().parse(text)
    except UnreadableError:
        return
    assert origin_pattern().parse(once) == once


def test_a_file_is_not_looked_at() -> None:
    assert file_path().parse("no/such/file.pem") == Path("no/such/file.pem")
    assert file_path().parse(Path("x")) == Path("x")


@pytest.mark.parametrize("written", ["", "a\0b", None, 3, []])
def test_what_can_be_no_path_of_a_file_is_refused(written: object) -> None:
    with pytest.raises(UnreadableError, match="the path of a file"):
        file_path().parse(written)
    with pytest.raises(UnreadableError, match="the path of a folder"):
        file_path("a folder").parse(written)
