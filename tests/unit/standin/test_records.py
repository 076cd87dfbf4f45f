"""Proves that records are bounded, counts exact whatever is forgotten, and bodies kept only on demand."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from proxy.standin.body import Digest
from proxy.standin.head import read_head
from proxy.standin.records import VIOLATIONS, Log, Peer, Record

HEAD = b"POST /x?a=1 HTTP/1.1\r\nHost: a\r\nX-B: \xe4\r\n\r\n"
PEER = Peer("us", 7)


def begin(log: Log, raw: bytes = HEAD) -> Record:
    return log.begin(PEER, 1, read_head(raw, None, False)[0], 10.0)


def end(log: Log, record: Record, body: bytes = b"body", complete: bool = True) -> None:
    digest = Digest(gzip=False, keep=log.keep_bodies > 0)
    digest.feed(body)
    log.end(record, digest, complete, 11.5)


def test_a_record_as_json() -> None:
    log = Log(("us",))
    record = begin(log)
    end(log, record)
    record.answered(200)
    assert record.as_json() == {
        "seq": 1,
        "site": "us",
        "connection": 7,
        "nth_on_connection": 1,
        "tls_sni": None,
        "tls_version": None,
        "method": "POST",
        "target": "/x?a=1",
        "version": "HTTP/1.1",
        "headers": [("Host", "a"), ("X-B", "ä")],
        "body_length": 4,
        "body_sha256": hashlib.sha256(b"body").hexdigest(),
        "complete": True,
        "framing": "none",
        "decoded_ok": None,
        "violations": [],
        "status": 200,
        "began": 10.0,
        "ended": 11.5,
    }


def test_a_request_under_way_is_seen_without_an_end() -> None:
    log = Log(("us",))
    begin(log)
    assert [record.as_json()["ended"] for record in log.since(0, None)] == [None]


@given(st.integers(1, 5), st.integers(0, 12))
def test_records_are_bounded_and_counts_are_not(limit: int, number: int) -> None:
    log = Log(("us",), limit)
    for _ in range(number):
        end(log, begin(log))
    assert len(list(log.since(0, None))) == min(limit, number)
    assert (log.counts["us"].requests, log.counts["us"].complete) == (number, number)


def test_since_and_site() -> None:
    log = Log(("us", "eu"))
    begin(log)
    log.begin(Peer("eu", 8), 1, read_head(HEAD, None, False)[0], 0.0)
    begin(log)
    assert [record.seq for record in log.since(1, None)] == [2, 3]
    assert [record.seq for record in log.since(0, "us")] == [1, 3]


def test_an_incomplete_request_is_no_digest() -> None:
    log = Log(("us",))
    end(log, begin(log), b"half", complete=False)
    end(log, begin(log), b"whole")
    assert log.digests() == [hashlib.sha256(b"whole").hexdigest()]
    assert (log.counts["us"].ended, log.counts["us"].complete) == (2, 1)


def test_digests_are_remembered_for_longer_than_records() -> None:
    log = Log(("us",), limit=1)
    for body in (b"1", b"2", b"3"):
        end(log, begin(log), body)
    assert [record.seq for record in log.since(0, None)] == [3]
    assert log.digests() == [hashlib.sha256(body).hexdigest() for body in (b"1", b"2", b"3")]


def test_violations_are_counted_all_and_listed_some() -> None:
    log = Log(("us",))
    record = begin(log, HEAD.replace(b"Host: a", b"TE: trailers\r\nHost: a"))
    for number in range(VIOLATIONS * 2):
        record.note(str(number))
    assert log.counts["us"].violations == VIOLATIONS * 2 + 1
    assert len(record.violations) == VIOLATIONS


def test_bodies_are_kept_only_on_demand_and_only_the_last() -> None:
    log = Log(("us",))
    end(log, begin(log), b"before")
    log.set_keep_bodies(2)
    for body in (b"1", b"2", b"3"):
        end(log, begin(log), body)
    assert [log.body(seq) for seq in (1, 2, 3, 4)] == [None, None, b"2", b"3"]
    log.set_keep_bodies(1)
    assert [log.body(seq) for seq in (3, 4)] == [None, b"3"]


def test_a_body_under_way_when_keeping_is_switched_off_is_not_kept() -> None:
    log = Log(("us",))
    record = begin(log)
    digest = Digest(gzip=False, keep=True)
    log.end(record, digest, True, 0.0)
    assert log.body(1) is None


def test_clearing_begins_the_counts_anew_but_not_the_numbers() -> None:
    log = Log(("us",))
    log.counts["us"].open = 3
    late = begin(log)
    log.clear()
    end(log, late)
    assert (log.counts["us"].ended, log.counts["us"].open) == (0, 3)
    assert (list(log.since(0, None)), log.digests()) == ([], [])
    assert begin(log).seq == 2


def test_counts_by_status() -> None:
    log = Log(("us",))
    for status in (200, 503, 200):
        begin(log).answered(status)
    assert log.counts["us"].as_json()["by_status"] == {"200": 2, "503": 1}
