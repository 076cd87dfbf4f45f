"""Proves what is concluded from an answer's CORS fields, by the rules of the Fetch standard. What a whole answer leads
to is proved in tests/doctor/test_one_flaw.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.doctor import cors
from proxy.doctor.asking import Answer
from proxy.doctor.outside_findings import Outside
from proxy.model.check import Check

ORIGIN = "https://app.example.com"
NAMED = (cors.ALLOW_ORIGIN, ORIGIN)
CREDENTIALS = (cors.ALLOW_CREDENTIALS, "true")
VARY = ("vary", "Accept-Encoding, origin")


def answer(*fields: tuple[str, str], status: int = 200) -> Answer:
    return Answer(status, fields, b"", 0.1, True)


def labels(checks: Iterator[Check]) -> list[str]:
    return [check.name for check in checks]


@pytest.mark.parametrize(
    ("fields", "plain", "with_credentials"),
    [
        ((NAMED, CREDENTIALS, VARY), None, None),
        ((NAMED, VARY), None, Outside.CORS_NO_CREDENTIALS),
        ((NAMED, (cors.ALLOW_CREDENTIALS, "TRUE"), VARY), None, Outside.CORS_NO_CREDENTIALS),
        ((NAMED, CREDENTIALS, CREDENTIALS, VARY), None, Outside.CORS_TWICE),
        ((NAMED, CREDENTIALS), Outside.VARY_ORIGIN, Outside.VARY_ORIGIN),
        ((NAMED, CREDENTIALS, ("vary", "*")), None, None),
        (((cors.ALLOW_ORIGIN, "*"),), None, Outside.CORS_STAR),
        (((cors.ALLOW_ORIGIN, "*"), CREDENTIALS), None, Outside.CORS_STAR),
        ((), Outside.CORS_MISSING, Outside.CORS_MISSING),
        ((NAMED, NAMED), Outside.CORS_TWICE, Outside.CORS_TWICE),
        (((cors.ALLOW_ORIGIN, f"{ORIGIN}, *"),), Outside.CORS_TWICE, Outside.CORS_TWICE),
        (((cors.ALLOW_ORIGIN, f"{ORIGIN}/"),), Outside.CORS_OTHER_ORIGIN, Outside.CORS_OTHER_ORIGIN),
        (((cors.ALLOW_ORIGIN, "null"),), Outside.CORS_OTHER_ORIGIN, Outside.CORS_OTHER_ORIGIN),
    ],
)
def test_readable(fields: tuple[tuple[str, str], ...], plain: Outside | None, with_credentials: Outside | None) -> None:
    assert labels(cors.readable(answer(*fields), "x", ORIGIN)) == ([plain.label] if plain else [])
    found = labels(cors.readable(answer(*fields), "x", ORIGIN, with_credentials=True))
    assert found == ([with_credentials.label] if with_credentials else [])
    assert cors.is_readable(answer(*fields), ORIGIN) is (plain in (None, Outside.VARY_ORIGIN))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Authorization, X-A"], []),
        (["authorization", " x-a "], []),
        (["x-a"], [Outside.ALLOW_HEADERS]),
        ([], [Outside.ALLOW_HEADERS]),
        (["*"], [Outside.ALLOW_HEADERS_STAR]),
        (["*, authorization, x-a"], []),
    ],
)
def test_granted(lines: list[str], expected: list[Outside]) -> None:
    found = cors.granted(answer(*((cors.ALLOW_HEADERS, line) for line in lines)), "x", "authorization,x-a")
    assert labels(found) == [finding.label for finding in expected]


def test_only_what_is_missing_is_named() -> None:
    (found,) = cors.granted(answer((cors.ALLOW_HEADERS, "x-a")), "x", "authorization,x-a")
    assert "lacks authorization:" in found.what


@pytest.mark.parametrize(
    ("value", "is_fine"),
    [("7200", True), ("600", True), ("599", False), ("-1", False), ("9" * 5000, False), ("", False)],
)
def test_remembered(value: str, is_fine: bool) -> None:
    assert (labels(cors.remembered(answer((cors.MAX_AGE, value)), "x")) == []) is is_fine


def test_a_preflight_that_says_nothing_of_its_age_is_forgotten_in_5_seconds() -> None:
    (found,) = cors.remembered(answer(), "x")
    assert "for 5 s, as nothing is said" in found.what


@pytest.mark.parametrize(
    ("value", "missing"),
    [
        ("x-session-replay-event-skipped, RETRY-AFTER, x-more", ""),
        ("*", ""),
        ("Retry-After", "X-Session-Replay-Event-Skipped"),
        ("X-Session-Replay-Event-Skipped", "Retry-After"),
    ],
)
def test_exposed(value: str, missing: str) -> None:
    found = list(cors.exposed(answer((cors.EXPOSE_HEADERS, value)), "x"))
    assert [f"lacks {missing}:" in check.what for check in found] == ([True] if missing else [])
