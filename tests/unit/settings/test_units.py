"""Proves how sizes, durations, numbers and words are read, what is refused, and that writing them back is exact."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings.units import (
    DURATION_MAX,
    DURATION_UNITS,
    SIZE_MAX,
    SIZE_UNITS,
    UnreadableError,
    choice,
    duration,
    duration_text,
    flag,
    or_empty,
    per_second,
    plain_seconds,
    size,
    size_text,
    whole,
)

NO_SIZE = [
    "",
    "MiB",
    "16 parsecs",
    "1.5MiB",
    "-1",
    "16 mib",
    "16MIB",
    "1_000",
    "0x10",
    "١6",
    1.5,
    -1,
    True,
    None,
    [],
    {},
]
NO_DURATION = ["", "s", "10", "10 parsecs", "-1s", "1e3s", "1h30m", "10S", ".5s", "1.s", "١s", 10, 1.5, True, None, []]


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("16MiB", 16 * 1024**2),
        ("32KiB", 32 * 1024),
        ("1 GB", 10**9),
        ("1kB", 1000),
        ("1KB", 1000),
        ("2TiB", 2 * 1024**4),
        ("12B", 12),
        ("12", 12),
        (12, 12),
        (0, 0),
    ],
)
def test_a_size_is_bytes(written: object, number: int) -> None:
    assert size().parse(written) == number


@pytest.mark.parametrize("written", NO_SIZE)
def test_what_is_no_size_is_refused_with_an_example(written: object) -> None:
    with pytest.raises(UnreadableError, match="a size such as 16MiB"):
        size().parse(written)


@pytest.mark.parametrize("written", ["1KiB", 4 * 1024**3])
def test_a_size_out_of_range_is_refused_with_the_range(written: object) -> None:
    with pytest.raises(UnreadableError, match="from 2KiB to 1GiB"):
        size(2048, 1024**3).parse(written)


def test_an_absurd_size_is_refused() -> None:
    with pytest.raises(UnreadableError, match="to 16TiB"):
        size().parse("999999999999999TiB")


@given(st.integers(0, SIZE_MAX))
def test_a_size_survives_being_written(number: int) -> None:
    assert size().parse(size_text(number)) == number


@given(st.integers(0, 16), st.sampled_from(sorted(SIZE_UNITS)))
def test_every_unit_multiplies(count: int, unit: str) -> None:
    assert size().parse(f"{count}{unit}") == count * SIZE_UNITS[unit]


def test_a_size_is_written_in_its_largest_whole_unit() -> None:
    assert [size_text(number) for number in (0, 1, 1024, 16 * 1024**2, 1000)] == ["0B", "1B", "1KiB", "16MiB", "1000B"]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("700ms", 0.7), ("10s", 10.0), ("1.5s", 1.5), ("2h", 7200.0), ("1d", 86400.0), ("5 m", 300.0), ("0.1ms", 0.0001)],
)
def test_a_duration_is_seconds(written: str, seconds: float) -> None:
    assert duration().parse(written) == seconds


@pytest.mark.parametrize("zero", [0, "0", "0s", "0ms", "0.0h"])
def test_zero_needs_no_unit_where_it_makes_sense(zero: object) -> None:
    assert duration(zero=True).parse(zero) == 0.0


@pytest.mark.parametrize("zero", [0, "0", "0s"])
def test_zero_is_refused_where_it_makes_none(zero: object) -> None:
    with pytest.raises(UnreadableError, match="above zero"):
        duration().parse(zero)


@pytest.mark.parametrize("written", NO_DURATION)
def test_a_duration_without_its_unit_or_sense_is_refused(written: object) -> None:
    with pytest.raises(UnreadableError, match="with its unit, such as 700ms"):
        duration(zero=True).parse(written)


def test_an_absurd_duration_is_refused() -> None:
    with pytest.raises(UnreadableError, match="at most 366d"):
        duration().parse("367d")


@given(st.integers(0, 999_999_999), st.sampled_from(["ms", "s"]))
def test_a_duration_survives_being_written(count: int, unit: str) -> None:
    seconds = float(count * DURATION_UNITS[unit])
    if seconds <= DURATION_MAX:
        assert duration(zero=True).parse(duration_text(seconds)) == seconds


@given(st.decimals(0, 86400, places=6))
def test_a_fraction_survives_being_written(seconds: Any) -> None:
    number = duration(zero=True).parse(f"{seconds}s")
    assert duration(zero=True).parse(duration_text(number)) == number


def test_a_duration_is_written_in_its_largest_whole_unit() -> None:
    written = [duration_text(seconds) for seconds in (0.0, 0.7, 1.5, 90.0, 300.0, 7200.0, 86400.0, 0.0005)]
    assert written == ["0s", "700ms", "1500ms", "90s", "5m", "2h", "1d", "0.0005s"]


@pytest.mark.parametrize(
    ("written", "seconds"), [(300, 300.0), ("300", 300.0), (0.25, 0.25), (1.5, 1.5), ("5m", 300.0), ("250ms", 0.25)]
)
def test_seconds_need_no_unit_where_the_key_names_it(written: object, seconds: float) -> None:
    assert plain_seconds().parse(written) == seconds
    assert plain_seconds().parse(plain_seconds().write(seconds)) == seconds


@pytest.mark.parametrize("written", [0, "0", "0s", -1, 1e-300, float("nan"), float("inf"), "5 parsecs", True, None])
def test_what_is_no_number_of_seconds_is_refused(written: object) -> None:
    with pytest.raises(UnreadableError, match="a number of seconds above zero, or a duration such as 30s or 5m"):
        plain_seconds().parse(written)


@pytest.mark.parametrize("written", [1, 256, "17", "1"])
def test_a_whole_number_may_be_text(written: object) -> None:
    assert whole(1, 256).parse(written) == int(str(written))


@pytest.mark.parametrize("written", [0, 257, -1, "0", "many", "", "1.0", 1.0, True, None, "9" * 40])
def test_another_number_is_refused_with_the_range(written: object) -> None:
    with pytest.raises(UnreadableError, match="a whole number from 1 to 256"):
        whole(1, 256).parse(written)


@pytest.mark.parametrize(("written", "rate"), [(0, 0.0), (2.5, 2.5), ("50", 50.0)])
def test_a_rate_is_a_number(written: object, rate: float) -> None:
    assert per_second().parse(written) == rate


@pytest.mark.parametrize("written", [-1, "fast", "nan", float("nan"), float("inf"), 10**7, True, None, "10/s"])
def test_what_is_no_rate_is_refused(written: object) -> None:
    with pytest.raises(UnreadableError, match="requests per second"):
        per_second().parse(written)


@pytest.mark.parametrize(("written", "value"), [(True, True), (False, False), ("true", True), ("false", False)])
def test_a_flag_is_true_or_false(written: object, value: bool) -> None:
    assert flag().parse(written) is value


@pytest.mark.parametrize("written", ["yes", "on", "True", 1, 0, None, ""])
def test_any_other_flag_is_refused(written: object) -> None:
    with pytest.raises(UnreadableError, match="true or false"):
        flag().parse(written)


@pytest.mark.parametrize("written", ["d", "", "A", None, 1, ["a"]])
def test_an_unknown_word_is_refused_with_the_list(written: object) -> None:
    with pytest.raises(UnreadableError, match=re.escape("a, b or c")):
        choice("a", "b", "c").parse(written)


def test_empty_text_may_stand_for_none() -> None:
    word = or_empty(choice("a", "b"))
    assert (word.parse(""), word.parse("a")) == ("", "a")


@pytest.mark.parametrize("written", [None, 0, [], "c", " "])
def test_nothing_else_stands_for_none(written: object) -> None:
    with pytest.raises(UnreadableError, match="a or b"):
        or_empty(choice("a", "b")).parse(written)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.lists(st.text())))
def test_nothing_but_unreadable_is_ever_raised(value: object) -> None:
    for parsed in (size(), duration(), plain_seconds(), whole(0, 9), per_second(), flag(), choice("a", "b")):
        with suppress(UnreadableError):
            parsed.parse(value)
