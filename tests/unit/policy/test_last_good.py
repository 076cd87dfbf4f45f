"""Proves when a last known good configuration may stand in for the vendor, for how long, how old it says it is, how
many are kept, and that what the workers tell each other arrives unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policy.last_good import (
    DIGEST,
    RENEW,
    TELL_AGAIN,
    TELL_BURST,
    LastGood,
    LastGoodAnswers,
    is_good,
    is_refusal,
    speaks_for_itself,
)
from proxy.settings import ConfigCache
from proxy.wire.answer import AnswerHead, AnswerReader

BODY = b'{"configs":{"sessionReplay":{}}}'
KEY, OTHER = b"k" * DIGEST, b"o" * DIGEST
HOUR, DAY = 3600.0, 86400.0


def head(status: int = 200, *lines: bytes, kind: bytes = b"application/json") -> AnswerHead:
    fields = (b"HTTP/1.1 %d x" % status, *((b"Content-Type: " + kind,) if kind else ()), *lines)
    return AnswerReader(fields=20).read(b"\r\n".join(fields))


def answers(**settings: Any) -> LastGoodAnswers:
    return LastGoodAnswers(ConfigCache.model_validate(settings))


def good(body: bytes, now: float, *lines: bytes, asker: str = "192.0.2.0/24", wall: float = 0.0) -> LastGood:
    answer = head(200, *lines)
    return LastGood(answer.status_line, answer.fields, body, now, now, wall, asker)


def kept(one: LastGoodAnswers, key: bytes, now: float) -> bytes | None:
    usable = one.usable(key, now)
    return usable.body if usable else None


@pytest.mark.parametrize("kind", [b"application/json", b"Application/JSON; charset=utf-8", b"application/problem+json"])
def test_a_200_with_json_is_good(kind: bytes) -> None:
    assert is_good(head(kind=kind), BODY)
    assert speaks_for_itself(head(kind=kind), BODY)


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, b"application/json", b""),
        (200, b"text/html", b"<html>"),
        (200, b"", BODY),
        (201, b"application/json", BODY),
        (204, b"", b""),
        (500, b"application/json", BODY),
        (503, b"text/html", b"x"),
        (429, b"application/json", BODY),
        (408, b"application/json", BODY),
    ],
)
def test_what_would_only_stop_the_recording_is_replaced(status: int, kind: bytes, body: bytes) -> None:
    assert not is_good(head(status, kind=kind), body)
    assert not speaks_for_itself(head(status, kind=kind), body)


@pytest.mark.parametrize("status", [304, 302, 400, 401, 403, 404, 410, 451])
def test_what_the_vendor_means_for_this_client_is_relayed(status: int) -> None:
    assert speaks_for_itself(head(status), b"")
    assert is_refusal(status) is (status in (401, 403))


def test_an_answer_is_usable_while_the_vendor_is_out() -> None:
    one = answers()
    one.store(KEY, good(BODY, 10.0))
    one.failed(KEY, 20.0)
    assert kept(one, KEY, 20.0) == BODY
    assert kept(one, OTHER, 20.0) is None


def test_an_outage_is_bridged_for_so_long_and_no_longer() -> None:
    one = answers(stale_if_error="1h")
    one.store(KEY, good(BODY, 0.0))
    one.failed(KEY, 100.0)
    one.failed(KEY, 2000.0)  # the same outage: it began with the first failure
    assert kept(one, KEY, 100.0 + HOUR) == BODY
    assert kept(one, KEY, 100.1 + HOUR) is None


def test_before_the_first_failure_is_noted_the_outage_has_just_begun() -> None:
    one = answers(stale_if_error="1s")
    one.store(KEY, good(BODY, 0.0))
    assert kept(one, KEY, 5000.0) == BODY


def test_an_answer_ends_the_outage() -> None:
    one = answers(stale_if_error="1h")
    one.store(KEY, good(BODY, 0.0))
    one.failed(KEY, 100.0)
    one.store(KEY, good(BODY, 200.0))
    one.failed(KEY, 50_000.0)
    assert kept(one, KEY, 50_000.0) == BODY


def test_an_answer_that_is_not_kept_ends_the_outage_too() -> None:
    one = answers(stale_if_error="1h")
    one.store(KEY, good(BODY, 0.0))
    one.failed(KEY, 100.0)
    one.answered(KEY)  # a 304, say
    one.failed(KEY, 50_000.0)
    assert kept(one, KEY, 50_000.0) == BODY
    one.answered(OTHER)


def test_what_is_too_old_is_not_served_whatever_the_vendor_does() -> None:
    one = answers(max_age="24h")
    one.store(KEY, good(BODY, 0.0))
    assert kept(one, KEY, DAY) == BODY
    assert kept(one, KEY, DAY + 0.1) is None


def test_what_the_vendor_refuses_is_forgotten() -> None:
    one = answers()
    one.store(KEY, good(BODY, 0.0))
    assert one.forget(KEY)
    assert not one.forget(KEY)
    assert not one.forget(OTHER)
    assert kept(one, KEY, 0.0) is None
    one.failed(KEY, 1.0)
    assert kept(one, KEY, 1.0) is None


def test_switched_off_nothing_is_kept_or_taken() -> None:
    entry = answers().store(KEY, good(BODY, 0.0))
    off = answers(stale_if_error="0s")
    assert not off.active
    assert off.store(KEY, good(BODY, 0.0)) is None
    assert entry is not None
    off.load(entry)
    assert kept(off, KEY, 0.0) is None


def test_fields_that_speak_of_the_moment_or_to_one_client_are_not_served() -> None:
    lines = (b"AGE: 3", b"cache-control: max-age=9", b"ETag: e", b"Set-Cookie: consent=1", b"X-Aged: y", b"Date: x")
    served = good(BODY, 0.0, *lines, b"content-length: 5").served(9.0)
    assert served == [b"Content-Type: application/json", b"ETag: e", b"X-Aged: y", b"Date: x", b"Age: 12"]


def test_a_date_that_the_vendor_does_not_give_is_added_and_its_own_is_kept() -> None:
    moment = 784111777.0  # the example of RFC 9110, 5.6.7
    assert good(BODY, 5.0, wall=moment).served(6.0)[-2:] == [b"Date: Sun, 06 Nov 1994 08:49:37 GMT", b"Age: 1"]
    own = b"DATE: Sat, 05 Nov 1994 08:49:37 GMT"
    assert [line for line in good(BODY, 5.0, own, wall=moment).served(6.0) if line.lower().startswith(b"date")] == [own]


@pytest.mark.parametrize(
    ("lines", "age"),
    [
        ((), 2),
        ((b"Age: 30",), 32),
        ((b"aGE:\t30 ",), 32),
        ((b"Age: 0",), 2),
        ((b"Age: -5",), 2),
        ((b"Age: soon",), 2),
        ((b"Age:",), 2),
        ((b"X-Age: 30",), 2),
        ((b"Age: 30", b"Age: 40"), 32),
        ((b"Age: \xb2",), 2),
        ((b"Age: " + b"9" * 4000,), 2 + 999_999_999),
    ],
)
def test_the_age_is_that_of_the_answer_and_not_of_our_copy(lines: tuple[bytes, ...], age: int) -> None:
    answer = head(200, *lines)
    kept = LastGood(answer.status_line, answer.fields, BODY, 9.0, asked=8.0, wall=0.0, asker="")
    assert kept.served(10.0)[-1] == b"Age: %d" % age


def test_when_full_the_answer_refreshed_longest_ago_goes() -> None:
    one = answers(entries=3)
    keys = [bytes([number]) * DIGEST for number in range(4)]
    for number, key in enumerate(keys[:3]):
        one.store(key, good(b"%d" % number, float(number)))
    one.store(keys[0], good(b"0", 3.0))
    one.store(keys[3], good(b"3", 4.0))
    assert [kept(one, key, 5.0) for key in keys] == [b"0", None, b"2", b"3"]


def test_using_an_answer_does_not_refresh_it() -> None:
    one = answers(entries=2)
    keys = [bytes([number]) * DIGEST for number in range(3)]
    for key in keys[:2]:
        one.store(key, good(BODY, 0.0))
    kept(one, keys[0], 1.0)
    one.store(keys[2], good(BODY, 2.0))
    assert kept(one, keys[0], 3.0) is None


def test_the_others_are_told_what_is_new_and_now_and_then_that_it_still_holds() -> None:
    one = answers()
    assert one.store(KEY, good(BODY, 0.0)) is not None
    assert one.store(KEY, good(BODY, 1.0)) is None
    assert one.store(KEY, good(b"{}", 2.0)) is not None
    assert one.store(KEY, good(b"{}", 1.9 + TELL_AGAIN)) is None
    assert one.store(KEY, good(b"{}", 2.0 + TELL_AGAIN)) is not None
    assert one.store(KEY, good(b"{}", 2.1 + TELL_AGAIN)) is None


def test_a_newer_answer_is_not_replaced_by_an_older_one_of_another_worker() -> None:
    one, other = answers(), answers()
    old, new = other.store(KEY, good(b"old", 1.0)), other.store(KEY, good(b"new", 3.0))
    assert old is not None
    assert new is not None
    one.store(KEY, good(b"own", 2.0))
    one.load(old)
    assert kept(one, KEY, 4.0) == b"own"
    one.load(new)
    assert kept(one, KEY, 4.0) == b"new"


def test_the_answers_of_other_workers_are_bounded_too() -> None:
    one, other = answers(entries=2), answers()
    for number in range(5):
        entry = other.store(bytes([number]) * DIGEST, good(BODY, float(number)))
        assert entry is not None
        one.load(entry)
    assert sum(kept(one, bytes([number]) * DIGEST, 9.0) is not None for number in range(5)) == 2


def test_what_the_vendor_refused_another_worker_is_forgotten_here() -> None:
    one = answers()
    one.store(KEY, good(BODY, 0.0))
    one.store(OTHER, good(BODY, 0.0))
    one.load(KEY)
    assert kept(one, KEY, 0.0) is None
    assert kept(one, OTHER, 0.0) == BODY


def test_an_answer_of_another_worker_need_not_be_told_again_at_once() -> None:
    one, other = answers(), answers()
    entry = other.store(KEY, good(BODY, 0.0))
    assert entry is not None
    one.load(entry)
    assert one.store(KEY, good(BODY, 1.0)) is None


@pytest.mark.parametrize("entry", [b"", b"short", KEY + b"\n", KEY + b"[]\nx", KEY + b"not json\nx"])
def test_an_entry_that_cannot_be_read_is_an_error_and_changes_nothing(entry: bytes) -> None:
    one = answers()
    with pytest.raises(ValueError):
        one.load(entry)
    assert kept(one, entry[:DIGEST], 0.0) is None


lines = st.binary(max_size=40).map(lambda raw: b"X-" + raw.translate(None, b"\r\n\0"))


@given(
    st.binary(min_size=DIGEST, max_size=DIGEST), st.lists(lines, max_size=5), st.binary(min_size=1), st.floats(0, 1e9)
)
def test_what_one_worker_tells_another_arrives_unchanged(
    key: bytes, fields: list[bytes], body: bytes, now: float
) -> None:
    one, other = answers(), answers()
    entry = one.store(key, good(body, now, *fields, asker="2001:db8::/48"))
    assert entry is not None
    other.load(entry)
    stored, loaded = one.usable(key, now), other.usable(key, now)
    assert stored is not None
    assert loaded is not None
    assert list(other.entries()) == list(one.entries()) == [entry]
    assert (loaded.body, loaded.served(now)) == (stored.body, stored.served(now))
    assert loaded.told == stored.told


steps = st.tuples(
    st.sampled_from(["store", "failed", "forget", "answered", "load"]), st.integers(0, 5), st.floats(0, 5000)
)


@given(st.lists(steps, max_size=60))
@settings(max_examples=200)
def test_whatever_happens_nothing_outlives_its_bounds(steps: list[tuple[str, int, float]]) -> None:
    one, now = answers(entries=3, stale_if_error="1h", max_age="2h"), 0.0
    since: dict[bytes, float] = {}
    out: dict[bytes, float] = {}
    for step, number, wait in steps:
        now, key = now + wait, bytes([number]) * DIGEST
        if step == "store":
            one.store(key, good(BODY, now))
            since[key] = now
            out.pop(key, None)
        elif step == "load":
            entry = answers().store(key, good(BODY, now))
            assert entry is not None
            one.load(entry)
            since[key] = now
            out.pop(key, None)
        elif step == "failed":
            one.failed(key, now)
            out.setdefault(key, now)
        else:
            getattr(one, step)(key)
            out.pop(key, None)
            if step == "forget":
                since.pop(key, None)
        usable = [bytes([n]) * DIGEST for n in range(6) if kept(one, bytes([n]) * DIGEST, now) is not None]
        assert len(usable) <= 3
        for each in usable:
            assert now - since[each] <= 2 * HOUR
            assert now - out.get(each, now) <= HOUR


def test_the_same_answer_a_moment_later_is_not_kept_anew() -> None:
    one = answers()
    assert not one.is_fresh(KEY, BODY, 100.0)
    one.store(KEY, good(BODY, 100.0))
    assert one.is_fresh(KEY, BODY, 100.0 + RENEW * 0.9)
    assert not one.is_fresh(KEY, BODY, 100.0 + RENEW)
    assert not one.is_fresh(KEY, BODY + b" ", 100.0)
    assert not one.is_fresh(OTHER, BODY, 100.0)


def test_a_flood_of_new_answers_is_told_at_a_bounded_rate_and_later_all_the_same() -> None:
    one = answers(entries=10_000)
    told = [one.store(b"%032d" % number, good(BODY, 100.0)) for number in range(TELL_BURST + 100)]
    assert [entry is not None for entry in told] == [True] * TELL_BURST + [False] * 100
    assert kept(one, b"%032d" % (TELL_BURST + 99), 100.0) == BODY
    assert one.store(b"%032d" % (TELL_BURST + 99), good(BODY, 101.0)) is not None
    assert one.store(b"%032d" % 0, good(BODY, 101.0)) is None  # told a second ago


def test_a_worker_that_begins_gets_all_that_is_kept_and_what_was_refreshed_last_at_the_end() -> None:
    one, other = answers(), answers()
    for key, moment in ((KEY, 102.0), (OTHER, 101.0), (b"%032d" % 1, 103.0)):
        one.store(key, good(BODY, moment))
    entries = list(one.entries())
    assert [entry[:DIGEST] for entry in entries] == [OTHER, KEY, b"%032d" % 1]
    for entry in entries:
        other.load(entry)
    assert list(other.entries()) == entries
