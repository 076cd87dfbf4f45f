"""Proves that keys follow from the segment alone, and that a span of time names all hours that it touches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.archive.naming import (
    HOUR_MS,
    SUFFIXES,
    Codec,
    codec_of,
    data_key,
    hour_of,
    hours,
    index_key,
    index_key_of,
)
from tests.unit.archive.segments import NAME, OPENED

moments = st.integers(0, 253_402_300_799_999)


def test_keys_name_the_hour_and_the_segment() -> None:
    where = "dt=2026-11-21/hr=05/node-1-00112233445566ff-00000007"
    assert data_key(NAME, OPENED, Codec.ZSTD) == f"v1/data/{where}.ndjson.zst"
    assert index_key(NAME, OPENED, Codec.GZIP) == f"v1/index/{where}.ndjson.gz"
    assert index_key(NAME, OPENED, Codec.NONE) == f"v1/index/{where}.ndjson"


@pytest.mark.parametrize("codec", Codec)
def test_a_key_tells_its_codec(codec: Codec) -> None:
    assert codec_of(data_key(NAME, OPENED, codec)) is codec


@pytest.mark.parametrize("key", ["v1/data/dt=2026-11-21/hr=05/_SUCCESS", "v1/data/x.ndjson.bz2", "", "v1/data/x.json"])
def test_what_is_not_the_archives_has_no_codec(key: str) -> None:
    assert codec_of(key) is None


def test_all_codecs_have_names() -> None:
    assert set(SUFFIXES) == set(Codec)


def test_only_data_objects_have_an_index() -> None:
    with pytest.raises(ValueError, match="no key of a data object"):
        index_key_of("v1/index/dt=2026-11-21/hr=05/x.ndjson")


def test_an_hour_begins_with_its_first_millisecond() -> None:
    begins = OPENED - OPENED % HOUR_MS
    assert [hour_of(begins - 1), hour_of(begins)] == ["dt=2026-11-21/hr=04", "dt=2026-11-21/hr=05"]


def test_a_span_ends_before_its_end() -> None:
    begins = OPENED - OPENED % HOUR_MS
    assert list(hours(begins, begins + HOUR_MS)) == ["dt=2026-11-21/hr=05"]
    assert list(hours(begins - 1, begins + HOUR_MS + 1)) == [f"dt=2026-11-21/hr=0{hour}" for hour in (4, 5, 6)]
    assert list(hours(OPENED, OPENED)) == []


@pytest.mark.parametrize("at_ms", [-1, 2**64 - 1])
def test_a_clock_that_was_set_wrongly_gives_an_hour_all_the_same(at_ms: int) -> None:
    assert hour_of(at_ms) in ("dt=1970-01-01/hr=00", "dt=9999-12-31/hr=23")


@given(moments, moments)
def test_later_hours_sort_behind(one: int, other: int) -> None:
    assert (hour_of(one) < hour_of(other)) == (one // HOUR_MS < other // HOUR_MS)


@given(moments, st.integers(0, 50 * HOUR_MS))
def test_every_moment_of_a_span_is_in_one_of_its_hours(from_ms: int, length: int) -> None:
    found = list(hours(from_ms, from_ms + length))
    assert found == sorted(set(found))
    assert {hour_of(from_ms + length * part // 7) for part in range(7)} <= set(found) or not length
