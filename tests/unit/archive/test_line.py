"""Proves what a line says, that the payload comes back from it exactly, and that a damaged one is not believed."""

from __future__ import annotations

import binascii
import gzip
import json
from hashlib import sha256
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.archive.line import (
    BadLine,
    GapLine,
    Line,
    Payload,
    gap_line,
    gap_of,
    payload_line,
    read_line,
    session_of,
)
from tests.unit.archive.segments import DELIVERED, OPENED, Lost, Upload

BODY = b'{"version":1,"events":["{\\"type\\":4}"]}'
MOST = 1024 * 1024


def text_of(
    wire: bytes = BODY, *, splice: bool = True, outcome: Any = DELIVERED, is_cut: bool = False, **meta: Any
) -> bytes:
    """The line of a payload, without its line feed."""
    told = orjson.dumps(Upload().meta() | meta)
    ending = b"" if outcome is None else orjson.dumps(outcome)
    payload = Payload(7, OPENED, told, ending, wire, is_cut)
    text = b"".join(payload_line(payload, splice=splice, inflate_max=MOST))
    assert text.endswith(b"\n")
    assert b"\n" not in text[:-1]
    return text[:-1]


def read(text: bytes) -> Line:
    line = read_line(text)
    assert isinstance(line, Line)
    assert line.problems() == []
    return line


def test_a_line_says_everything_and_ends_in_the_body() -> None:
    wire = gzip.compress(BODY, mtime=0)
    text = text_of(wire, encoding="gzip")
    head = (
        '{"v":1,"seq":7,"ts":1795239913000,"id":"request-1","device_id":"device-1","session_id":"session-1",'
        '"path":"/sessions/v2/track","query":"device_id=device-1&session_id=session-1&type=replay",'
        '"key":"0123456789abcdef","ip":"203.0.113.0","region":"us",'
        '"headers":{"content-type":"application/json","user-agent":"Mozilla/5.0"},"encoding":"gzip",'
        f'"wire":{len(wire)},"raw":{len(BODY)},"sha256":"{sha256(BODY).hexdigest()}",'
        f'"wire_sha256":"{sha256(wire).hexdigest()}","status":200,"upstream":200,"skip":null,"outcome":"delivered",'
        '"ms":12'
    )
    assert text == f'{head},"body":'.encode() + BODY + b"}"
    assert json.loads(text)["body"] == json.loads(BODY)


def test_a_coded_body_comes_back_decoded() -> None:
    line = read(text_of(gzip.compress(BODY), encoding="gzip"))
    assert (line.body(), line.wire(), line.original()) == (BODY, None, BODY)


def test_an_uncoded_body_comes_back_as_it_came() -> None:
    line = read(text_of())
    assert (line.body(), line.wire(), line.original()) == (BODY, BODY, BODY)
    assert line.head["sha256"] == line.head["wire_sha256"] == line.digest


@pytest.mark.parametrize(
    ("wire", "encoding", "body"),
    [
        pytest.param(b"", "", b"", id="empty"),
        pytest.param(b"", "gzip", None, id="empty, said to be gzip"),
        pytest.param(b"no json", "", b"no json", id="text"),
        pytest.param(gzip.compress(b"no json"), "gzip", b"no json", id="text, gzip"),
        pytest.param(gzip.compress(b""), "gzip", b"", id="nothing, gzip"),
        pytest.param(b'{"a":\n1}', "", b'{"a":\n1}', id="two lines"),
        pytest.param(gzip.compress(BODY) + b"\0", "gzip", None, id="gzip with something behind it"),
        pytest.param(gzip.compress(BODY)[:-1], "gzip", None, id="cut gzip"),
        pytest.param(BODY, "gzip", None, id="not gzip"),
        pytest.param(BODY, "br", None, id="another coding"),
        pytest.param(gzip.compress(bytes(MOST + 1)), "gzip", None, id="too large"),
        pytest.param(bytes(range(256)), "", bytes(range(256)), id="all bytes"),
    ],
)
def test_what_is_no_clean_json_is_kept_as_it_came(wire: bytes, encoding: str, body: bytes | None) -> None:
    text = text_of(wire, encoding=encoding)
    line = read(text)
    assert (line.wire(), line.body(), line.original()) == (wire, body, wire if body is None else body)
    assert json.loads(text)["body_b64"] == binascii.b2a_base64(wire, newline=False).decode()
    assert line.head["raw"] == (None if body is None else len(body))
    assert line.head["sha256"] == (None if body is None else sha256(body).hexdigest())


def test_the_wire_bytes_are_kept_where_that_is_wished() -> None:
    wire = gzip.compress(BODY)
    line = read(text_of(wire, splice=False, encoding="gzip"))
    assert (line.wire(), line.body()) == (wire, BODY)


def test_a_body_that_was_cut_is_kept_as_it_came_and_said_to_be() -> None:
    line = read(text_of(b"123", is_cut=True))
    assert (line.wire(), line.body(), line.head["truncated"]) == (b"123", None, True)
    assert "truncated" not in read(text_of()).head


def test_without_an_outcome_nothing_is_said_of_it() -> None:
    head = read(text_of(outcome=None)).head
    assert [head[name] for name in DELIVERED] == [None] * 5


def test_what_the_vendor_threw_away_is_said() -> None:
    assert read(text_of(outcome=DELIVERED | {"skip": 4004})).head["skip"] == 4004


@pytest.mark.parametrize("meta", [b"", b"no json", b"[]", b"\xff"])
def test_a_payload_without_readable_meta_is_archived(meta: bytes) -> None:
    line = read(b"".join(payload_line(Payload(1, 2, meta, b"", BODY, False), splice=True, inflate_max=MOST))[:-1])
    assert (line.wire(), binascii.a2b_base64(line.head["meta_b64"])) == (BODY, meta)
    assert (line.head["device_id"], line.head["path"]) == ("", None)


@pytest.mark.parametrize("name", ["body", "body_b64"])
@pytest.mark.parametrize("wire", [BODY, b"no json", b'{"a":0,"body":{"b":1,"body":2}}'])
def test_headers_and_bodies_may_be_called_like_a_body(name: str, wire: bytes) -> None:
    line = read(text_of(wire, headers={"a": "b", name: "x", "z": f'"{name}":,"{name}":'}, query=f',"{name}":"'))
    assert line.body() == wire


def test_devices_and_sessions_are_read_from_the_query() -> None:
    for query, found in {
        "device_id=d&session_id=s&type=replay": ("d", "s"),
        "session_id=1795239913738": ("", "1795239913738"),
        "device_id=a%2Fb%20c+d&session_id=%F0%9F%98%80": ("a/b c d", "😀"),
        "device_id=first&device_id=second&session_id": ("first", ""),
        "device_id=%ff%00&session_id=a=b": ("\ufffd\0", "a=b"),
        "Device_Id=d;session_id=s": ("", ""),
        "device%5Fid=d": ("", ""),
        "": ("", ""),
    }.items():
        assert session_of(orjson.dumps({"query": query})) == found
    assert session_of(b'{"query":null}') == session_of(b"no json") == ("", "")


def test_a_gap_says_what_the_worker_said() -> None:
    meta = orjson.dumps(Lost().meta())
    text = gap_line(OPENED, gap_of(meta))
    assert read_line(text[:-1]) == GapLine(Lost().meta(), OPENED)
    assert gap_of(b"no json") == {"reason": "unknown", "meta_b64": "bm8ganNvbg=="}


@pytest.mark.parametrize("wire", [BODY, b"no json"])
def test_every_damaged_byte_is_noticed(wire: bytes) -> None:
    text = text_of(wire)
    harmless = 0
    for at in range(len(text)):
        broken = bytearray(text)
        broken[at] ^= 1
        try:
            line = read_line(bytes(broken))
        except BadLine:
            continue
        assert isinstance(line, Line)
        if not line.problems():
            # No hash is kept of what is said about the body; zstd's checksum is there for that.
            assert line.original() == wire
            harmless += 1
    assert harmless < len(text) - len(wire)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b'{"v":1}', b'{"v":2,"body":1}', b'{"v":1,"gap":1,"ts":2}', b'{"v":1,"gap":{}}', b"\xff" * 99]
)
def test_other_lines_are_refused(text: bytes) -> None:
    with pytest.raises(BadLine):
        read_line(text)


def test_a_part_of_a_line_is_refused_or_does_not_fit_its_hashes() -> None:
    for wire in (BODY, b"no json"):
        text = text_of(wire)
        for cut in range(len(text)):
            try:
                line = read_line(text[:cut])
            except BadLine:
                continue
            assert isinstance(line, Line)
            assert line.problems()


def test_a_line_full_of_marks_is_refused_at_once() -> None:
    with pytest.raises(BadLine):
        read_line(b"{" + b',"body":' * 500_000)


@given(
    wire=st.binary(max_size=200) | st.binary(max_size=200).map(gzip.compress),
    encoding=st.sampled_from(["gzip", "", "br", "deflate", "identity", "x-gzip"]),
    query=st.text(max_size=40),
    headers=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    splice=st.booleans(),
)
def test_everything_comes_back(wire: bytes, encoding: str, query: str, headers: dict[str, str], splice: bool) -> None:
    text = text_of(wire, splice=splice, encoding=encoding, query=query, headers=headers)
    line = read(text)
    assert (line.head["query"], line.head["headers"], line.head["encoding"]) == (query, headers, encoding)
    if line.wire() is None:
        assert line.body() == gzip.decompress(wire)
    else:
        assert line.wire() == wire
    assert json.loads(text)["query"] == query
