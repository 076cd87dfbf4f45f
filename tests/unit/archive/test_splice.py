"""Proves that what is spliced into a line can be read by strict JSON readers, wherever it came from, and that checking
it costs little memory."""

from __future__ import annotations

import json
import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.archive import splice
from proxy.archive.splice import DEPTH_MAX, is_clean
from tests.unit.archive.segments import body_of

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
# What breaks readers is near JSON: bits of it in any order.
near_json = st.lists(
    st.sampled_from(
        [
            *(b"{", b"}", b"[", b"]", b",", b":", b'"a"', b'"\\u003a"', b'":"', b"1", b"-0", b"1e999", b"NaN", b"null"),
            *(b" ", b'"', b"\\", b"\n", b"\r", b"\xff", b"\xe2\x80\xa8", b"{}", b'{"a":1}', b'{"a":1,"a":2}'),
            *(b'"\\ud800"', b"01", b'{"x":["', b'"]}', b'{"x":[', b'"a:', b']"'),
        ]
    ),
    max_size=12,
).map(b"".join)


def strictly(body: bytes) -> Any:
    """The value of a JSON text, read as strictly as can be. Raises ValueError."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a repeated name")
        return dict(pairs)

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    return json.loads(body.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)


@pytest.mark.parametrize(
    "body",
    [
        b'{"version":1,"events":["{\\"type\\":4,\\"data\\":{\\"href\\":\\"http://a\\"}}"]}',
        b'{"version": 1, "events": []}',
        b' {"a":1}\t',
        b"null",
        b"1",
        b'""',
        b'"\\u2028\xe2\x80\xa8\xe2\x80\xa9"',
        b'{"a:b":":","c":{"a:b":"::"}}',
        b'{"\\u003a":1,":b":2}',
        b'{"a":"\\\\u003a"}',
        b"123456789012345678901234567890",
        b'{"":{"":{}}}',
        b'{"events": ["a","b"], "version": 1}',
        b'{"a":[],"b":["x"]}',
        b'{"[:":["]"]}',
        b'{"a":"]"}',
        b'["a"]',
        '{"größe":"😀"}'.encode(),
    ],
)
def test_json_on_one_line_is_clean(body: bytes) -> None:
    assert is_clean(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" ", id="blank"),
        pytest.param(b"no json", id="text"),
        pytest.param(b'{"a":1', id="cut"),
        pytest.param(b'{"a":1}{"b":2}', id="two texts"),
        pytest.param(b'1,"b":2', id="escapes its place"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b"[Infinity]", id="Infinity"),
        pytest.param(b"[-Infinity]", id="-Infinity"),
        pytest.param(b"[1e999]", id="beyond a double"),
        pytest.param(b"[-1e999]", id="beyond a double, negative"),
        pytest.param(b"9" * 400, id="beyond a double, whole"),
        pytest.param(b"[01]", id="leading zero"),
        pytest.param(b"[1,]", id="trailing comma"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b'"\xff"', id="not UTF-8"),
        pytest.param(b'"\xed\xa0\x80"', id="a surrogate in UTF-8"),
        pytest.param(b'"\\ud800"', id="half a surrogate pair"),
        pytest.param(b'"\xc0\x80"', id="overlong"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', id="byte order mark"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"a":\n1}', id="line feed"),
        pytest.param(b'{"a":1}\r', id="carriage return"),
        pytest.param(b'"\t"', id="control character"),
        pytest.param(b'"\0"', id="NUL"),
        pytest.param(b'{"a":1,"a":1}', id="repeated name"),
        pytest.param(b'{"a":1,"\\u0061":1}', id="repeated name, escaped"),
        pytest.param(b'[{"b":{"a":":","a":1}}]', id="repeated name, within"),
        pytest.param(b'{"events":["a"],"events":["b"]}', id="a batch twice"),
        pytest.param(b'{"version":1,"events":["a"],"version":1}', id="repeated name around a batch"),
        pytest.param(b'{"events":[{"a":1,"a":2}]}', id="repeated name in a batch"),
        pytest.param(b'{"x":"["a"]"}', id="an array in the place of a string"),
        pytest.param(b'{"x":"a:["b"]"}', id="an array in the place of a string, behind a colon"),
        pytest.param(b'{"x":"\\["b"]}', id="an array behind a backslash"),
        pytest.param(b'{["a"]:1}', id="an array as a name"),
        pytest.param(b'{"x":: ["a"]}', id="two colons"),
        pytest.param(b'"x":["a"]', id="a batch without its object"),
        pytest.param(b'{"x":["a",]}', id="trailing comma in a batch"),
        pytest.param(b'{"x":["\xff"]}', id="not UTF-8 in a batch"),
        pytest.param(b'{"x":["a"]}]}', id="too much behind a batch"),
        pytest.param(b'{"a":{"x":"\\u003a"},"b":"\\u003a","b":1}', id="repeated name beside escaped colons"),
        pytest.param(b'{"a":"\\u003a","b":2,"b":3}', id="repeated name made up for by an escaped colon"),
        pytest.param(b'{"a":1,"a":"\\u003A"}', id="repeated name made up for by an escaped colon, capital"),
        pytest.param(b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), id="too deep"),
        pytest.param(b"[" * 100_000, id="far too deep"),
    ],
)
def test_what_some_reader_would_refuse_is_not_clean(body: bytes) -> None:
    assert not is_clean(body)


def test_nesting_has_a_limit() -> None:
    assert is_clean(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX)
    assert is_clean(b'{"a":' * (DEPTH_MAX - 1) + b"1" + b"}" * (DEPTH_MAX - 1))
    assert not is_clean(b'{"a":' * DEPTH_MAX + b"1" + b"}" * DEPTH_MAX)


@given(values)
def test_every_value_is_clean(value: Any) -> None:
    assert is_clean(orjson.dumps(value))
    assert is_clean(json.dumps(value).encode())


@given(near_json)
def test_what_is_clean_can_be_read_strictly_in_its_line(body: bytes) -> None:
    if is_clean(body):
        line = b'{"before":1,"body":' + body + b"}"
        assert strictly(line) == {"before": 1, "body": strictly(body)}
        assert b"\n" not in line
        assert orjson.loads(line)["before"] == 1


@given(near_json)
def test_what_is_refused_had_a_reason(body: bytes) -> None:
    if not is_clean(body) and b"e999" not in body:
        is_refused = b"\n" in body or b"\r" in body or b"\\ud800" in body
        try:
            strictly(body)
        except ValueError:
            is_refused = True
        assert is_refused


@pytest.mark.parametrize("size", [splice._SMALL // 2, splice._SMALL + 1, 6_000_000, 10_000_000])
def test_a_body_of_the_sdk_is_clean_at_every_size_it_may_have(size: int) -> None:
    body = body_of(100_000, random.Random(1))
    events = body[len(b'{"version":1,"events":[') : -2]
    assert is_clean(b'{"version":1,"events":[' + b",".join([events] * (size // len(events) + 1)) + b"]}")


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(b"{},", id="objects"),
        pytest.param(b"[],", id="arrays"),
        pytest.param(b'{"a":1},', id="objects of one"),
        pytest.param(b"1.5,", id="floats"),
        pytest.param(b'"a",', id="strings"),
        pytest.param(b'"\\"{},",', id="objects in strings, with quotes"),
    ],
)
def test_a_large_body_that_would_cost_much_memory_is_not_looked_into(
    part: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = (b"[" + part * (size // len(part)) + b"1]" for size in (splice._SMALL // 2, 12_000_000))
    assert is_clean(small)
    monkeypatch.setattr(orjson, "loads", None)  # it would fail if it were called
    assert not is_clean(large)


def test_a_body_that_looks_costly_because_of_its_strings_is_clean() -> None:
    assert is_clean(b'["' + b'{[,\\\\\\"' * 1_500_000 + b'"]')


def test_unclosed_strings_are_refused_at_once() -> None:
    assert not is_clean(b'["' + b'\\"' * 2_000_000)
    assert not is_clean(b'"' * 4_000_001)
