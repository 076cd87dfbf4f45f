"""Proves the archive's promise: whatever was uploaded comes back byte for byte, through sealing, a store, the index and
ranges."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from typing import Literal

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.archive.coding import decoded
from proxy.archive.line import Line
from proxy.archive.naming import Codec
from proxy.archive.problem import Problem
from proxy.archive.reader import Reader
from proxy.archive.seal import SealOptions
from proxy.spool.segment import TRUNCATED
from tests.unit.archive.segments import OPENED, SPAN, Lost, Outcome, Upload, lines_of, segment_of, stored, visits

INFLATE_MAX = 2000
texts = st.recursive(
    st.none() | st.integers(-(2**60), 2**60) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
).map(orjson.dumps)
plain = (
    st.binary(max_size=100)
    | texts
    | st.sampled_from([b"", b"{}\n", b'{"a":1}\r\n', b"NaN", b"\xff", b" {} ", b"a" * 3000])
)
packed = st.lists(plain, min_size=1, max_size=3).map(lambda each: b"".join(map(gzip.compress, each)))
wires = st.one_of(
    plain,
    packed,
    st.builds(bytes.__add__, packed, st.sampled_from([b"\0", b"junk"])),
    packed.map(lambda each: each[:-1]),
)
uploads = st.builds(
    Upload,
    wire=wires,
    encoding=st.sampled_from(["gzip", "", "br", "deflate", "identity"]),
    query=st.text(max_size=30)
    | st.sampled_from(["device_id=a&session_id=1", "device_id=%F0%9F%98%80&session_id=%00", 'session_id="\n,"body":']),
    time_ms=st.integers(OPENED, OPENED + 1000),
    sequence=st.just(1),
    flags=st.sampled_from([0, 0, 0, TRUNCATED]),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(uploads, max_size=5),
    st.sampled_from(Codec),
    st.sampled_from(["decoded", "wire"]),
)
def test_any_upload_comes_back(given_uploads: list[Upload], codec: Codec, body: Literal["decoded", "wire"]) -> None:
    sent = {number: each._replace(sequence=number) for number, each in enumerate(given_uploads, 1)}
    with tempfile.TemporaryDirectory() as folder:
        store, _ = stored(Path(folder), segment_of(sent.values()), SealOptions(codec, 1, body, INFLATE_MAX))
        found = {line.head["seq"]: line for line in lines_of(store)}
    assert set(found) == set(sent)
    for number, upload in sent.items():
        check(upload, found[number], body)


def check(upload: Upload, line: Line, body: str) -> None:
    """The line gives back the upload."""
    is_spliced = b',"body":' in line.text and b',"body_b64":"' not in line.text
    assert {name: line.head[name] for name in upload.meta()} == upload.meta()
    assert line.body() == (None if upload.flags else decoded(upload.wire, upload.encoding, INFLATE_MAX))
    assert line.wire() == (None if is_spliced and upload.encoding == "gzip" else upload.wire)
    assert line.original() == (upload.wire if line.body() is None else line.body())
    assert not (is_spliced and body == "wire")


def test_a_session_is_found_among_others(tmp_path: Path) -> None:
    sent = [each for each in visits(60) if isinstance(each, Upload)]
    store, _ = stored(tmp_path, segment_of([*visits(60), Lost(), Outcome(59), Outcome(60)]))
    found = []
    for row in Reader(store).find(session_id="1", device_id="device-1", **SPAN):
        assert not isinstance(row, Problem)
        found += [line for line in Reader(store).read_block(row) if isinstance(line, Line)]
    wanted = [each for each in sent if "session_id=1&" in each.query]
    assert [line.body() for line in found] == [decoded(each.wire, each.encoding, 10**6) for each in wanted]
    assert {line.head["status"] for line in found} == {200}
    assert all(b',"body":{"version":1,' in line.text for line in found)


@pytest.mark.parametrize("encoding", ["", "br"])
def test_every_byte_there_is_comes_back(tmp_path: Path, encoding: str) -> None:
    wire = bytes(range(256)) * 3
    store, _ = stored(tmp_path, segment_of([Upload(wire, encoding=encoding)]))
    assert [line.wire() for line in lines_of(store)] == [wire]
