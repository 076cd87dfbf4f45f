"""Proves what is taken for a configuration, whatever its coding; servers' whole answers are in tests/doctor."""

from __future__ import annotations

import gzip
import zlib
from itertools import count

import pytest

from proxy.doctor.asking import Answer
from proxy.doctor.configuration import about_content
from proxy.doctor.outside_findings import Outside

CONFIGURATION = b'{"configs":{"sessionReplay":{}}}'
ZIPPED = gzip.compress(CONFIGURATION, mtime=0)
BOMB = gzip.compress(b"[" * 20_000_000, 1, mtime=0)


@pytest.mark.parametrize(
    ("coding", "body", "expected"),
    [
        ("", CONFIGURATION, []),
        ("gzip", ZIPPED, []),
        ("GZIP", ZIPPED, []),
        ("deflate", zlib.compress(CONFIGURATION), []),
        ("identity", CONFIGURATION, []),
        ("gzip", CONFIGURATION, [Outside.CONFIG_CODING]),
        ("gzip", ZIPPED[:-9], [Outside.CONFIG_CODING]),
        ("deflate", b"", [Outside.CONFIG_CODING]),
        ("", ZIPPED, [Outside.CONFIG_NOT_JSON]),
        ("", b"", [Outside.CONFIG_NOT_JSON]),
        ("", b"[]", [Outside.CONFIG_NOT_JSON]),
        ("", b"[" * 100_000, [Outside.CONFIG_NOT_JSON]),
        ("gzip", BOMB, [Outside.CONFIG_NOT_JSON]),
        ("", b"\xff\xfe", [Outside.CONFIG_NOT_JSON]),
    ],
    ids=count(),
)
def test_about_content(coding: str, body: bytes, expected: list[Outside]) -> None:
    fields = (("content-type", "application/json"), *((("content-encoding", coding),) if coding else ()))
    found = list(about_content(Answer(200, fields, body, 0.1, True), "configuration"))
    assert [check.name for check in found] == [finding.label for finding in expected]


@pytest.mark.parametrize(("kind", "is_fine"), [("application/json; charset=utf-8", True), ("text/plain", False)])
def test_the_type_must_say_json(kind: str, is_fine: bool) -> None:
    found = list(about_content(Answer(200, (("content-type", kind),), CONFIGURATION, 0.1, True), "configuration"))
    assert (found == []) is is_fine
