"""Proves which moments --from and --to mean, and how moments, counts and strangers' texts are shown."""

from __future__ import annotations

import click
import pytest

from proxy.cli.archiving.times import DAY_MS, Given, Span, shown, span_of
from proxy.cli.archiving.wording import aged, counted, printable, sized

NOW = 1_795_237_513_000  # 2026-11-21, 05:05:13 UTC


def test_by_default_it_is_the_last_day() -> None:
    assert span_of((None, None), NOW) == Span(NOW - DAY_MS, NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21", "2026-11-21T00:00:00Z"),
        ("2026-11-21T05:00", "2026-11-21T05:00:00Z"),
        ("2026-11-21 05:00:01", "2026-11-21T05:00:01Z"),
        ("2026-11-21T05:00Z", "2026-11-21T05:00:00Z"),
        ("2026-11-21T06:00+01:30", "2026-11-21T04:30:00Z"),
        ("2h", "2026-11-21T03:05:13Z"),
        ("3d", "2026-11-18T05:05:13Z"),
        ("90s", "2026-11-21T05:03:43Z"),
        ("30m", "2026-11-21T04:35:13Z"),
        ("1w", "2026-11-14T05:05:13Z"),
    ],
)
def test_times_are_utc_unless_they_have_an_offset_or_are_so_long_ago(text: str, expected: str) -> None:
    assert shown(span_of((text, None), NOW).from_ms) == expected


def test_milliseconds_are_exact() -> None:
    assert span_of(("2026-11-21T05:05:12.999", None), NOW).from_ms == NOW - 1


@pytest.mark.parametrize("given", [("tomorrow", None), (None, "2026-13-01"), ("-2h", None), ("2y", None), ("", None)])
def test_what_is_no_time_is_told_with_the_option(given: Given) -> None:
    with pytest.raises(click.BadParameter, match="is not a time such as") as raised:
        span_of(given, NOW)
    assert raised.value.param_hint == ("--from" if given[0] is not None else "--to")


@pytest.mark.parametrize("given", [("1h", "2h"), ("1h", "1h"), ("2027-01-01", None)])
def test_an_end_before_the_beginning_is_told(given: Given) -> None:
    with pytest.raises(click.BadParameter, match="is not before --to"):
        span_of(given, NOW)


def test_no_moment_is_too_far_away_to_be_shown() -> None:
    assert shown(span_of(("999999999w", None), NOW).from_ms) == "0001-01-01T00:00:00Z"
    assert shown(1 << 64) == "9999-12-31T23:59:59Z"


def test_what_a_client_sent_does_not_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\nc\x9b") == "a\\x1b[2Jb\\nc\\x9b"
    assert printable("日本 ü") == "日本 ü"
    assert printable("") == "-"


def test_numbers_have_their_units() -> None:
    assert (counted(0, "block"), counted(1, "block"), counted(2, "block")) == ("0 blocks", "1 block", "2 blocks")
    assert (sized(0), sized(1023), sized(1536), sized(3 << 30)) == ("0 B", "1023 B", "1.5 KiB", "3.0 GiB")
    assert (aged(-1), aged(59), aged(90), aged(7200), aged(172_800)) == ("0 s", "59 s", "1.5 min", "2.0 h", "2.0 d")
