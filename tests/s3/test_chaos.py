"""Proves that what happens between here and the server neither loses nor falsifies anything: refusals, resets, answers
that are cut short or get lost, altered bodies."""

from __future__ import annotations

import io
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.archive.s3 import S3Store
from proxy.archive.store import StoreError
from tests.s3.chaos import Altered, Answer, Chaos, Cut, Lost, Pass, Reset, refusal
from tests.s3.servers.server import certificates
from tests.s3.site import Site

SLOW_DOWN = refusal("503 Slow Down", "SlowDown")
FAILED = refusal("500 Internal Server Error", "InternalError")
DATA = bytes(range(256)) * 4000  # 1 MB


@pytest.fixture(params=["http", "https"])
def spoiled(request: pytest.FixtureRequest, plain_site: Site, tmp_path: Path) -> Iterator[tuple[Chaos, S3Store]]:
    """The proxy before the server, and a store that goes through it."""
    made = certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.chain, made.key)
    port = int(plain_site.server.http.rpartition(":")[2])
    is_tls = request.param == "https"
    with Chaos(port, context if is_tls else None) as chaos:
        yield (
            chaos,
            S3Store(plain_site.with_options(endpoint=chaos.endpoint, ca_file=made.ca if is_tls else None)),
        )


def test_without_trouble_all_passes(spoiled: tuple[Chaos, S3Store]) -> None:
    chaos, store = spoiled
    store.put("a", DATA)
    assert store.read("a", 1000, 5) == DATA[1000:1005]
    assert [line.split(" ")[0] for line in chaos.seen] == ["PUT", "GET"]


@pytest.mark.parametrize("trouble", [SLOW_DOWN, FAILED, Reset(1000), Lost()], ids=["503", "500", "reset", "lost"])
def test_a_trouble_that_passes_at_once_is_not_noticed(spoiled: tuple[Chaos, S3Store], trouble: Answer) -> None:
    chaos, store = spoiled
    chaos.meets(trouble)
    store.put("a", DATA)
    assert len(chaos.seen) == 2
    assert store.read("a") == DATA


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (SLOW_DOWN, "SlowDown"),
        (FAILED, "ServerError"),
        (Answer("502 Bad Gateway", b"<html>bad gateway</html>", "Content-Type: text/html\r\n"), "ServerError"),
        (Answer("429 Too Many Requests"), "SlowDown"),
        (Reset(0), "ConnectionLost"),
        (Reset(500_000), "ConnectionLost"),
    ],
    ids=["503", "500", "html", "429", "reset-at-once", "reset-mid-body"],
)
def test_a_trouble_that_stays_is_told_and_nothing_is_stored(
    spoiled: tuple[Chaos, S3Store], trouble: Answer, code: str
) -> None:
    chaos, store = spoiled
    chaos.meets(trouble, trouble)
    with pytest.raises(StoreError) as raised:
        store.put("a", DATA)
    assert (raised.value.code, raised.value.is_transient) == (code, True)
    chaos.meets()
    assert store.size("a") is None


def test_a_put_whose_answer_gets_lost_can_be_repeated(spoiled: tuple[Chaos, S3Store]) -> None:
    chaos, store = spoiled
    chaos.meets(Lost(), Lost())
    with pytest.raises(StoreError) as raised:
        store.put("a", DATA)
    assert raised.value.code == "ConnectionLost"
    assert store.size("a") == len(DATA)
    store.put("a", DATA)
    assert store.read("a") == DATA


def test_a_body_that_was_altered_on_the_way_is_not_stored(spoiled: tuple[Chaos, S3Store]) -> None:
    chaos, store = spoiled
    chaos.meets(Altered())
    with pytest.raises(StoreError) as raised:
        store.put("a", DATA)
    assert (raised.value.code, raised.value.is_transient) == ("BadDigest", True)
    assert store.size("a") is None


@pytest.mark.parametrize("after", [0, 1, 500_000, len(DATA) - 1])
def test_an_answer_that_was_cut_short_is_never_taken_for_whole(spoiled: tuple[Chaos, S3Store], after: int) -> None:
    chaos, store = spoiled
    store.put("a", DATA)
    copy = io.BytesIO()
    for asked in (lambda: store.read("a"), lambda: store.read("a", 0, len(DATA)), lambda: store.download("a", copy)):
        chaos.meets(Cut(after))
        with pytest.raises(StoreError) as raised:
            asked()
        assert raised.value.code in ("BadAnswer", "ConnectionLost")
        assert raised.value.is_transient


def test_a_listing_that_was_cut_short_is_asked_for_again_or_fails(spoiled: tuple[Chaos, S3Store]) -> None:
    chaos, store = spoiled
    for number in range(5):
        store.put(f"{number}", b"")
    chaos.meets(Cut(300))
    assert [entry.key for entry in store.entries("")] == list("01234")
    chaos.meets(Cut(300), Cut(300))
    with pytest.raises(StoreError):
        list(store.entries(""))


def test_an_answer_that_is_none_of_s3_is_told(spoiled: tuple[Chaos, S3Store]) -> None:
    chaos, store = spoiled
    page = Answer("200 OK", b"<html>please log in</html>", "Content-Type: text/html\r\n")
    chaos.meets(page, page)
    with pytest.raises(StoreError) as raised:
        list(store.entries(""))
    assert (raised.value.code, raised.value.is_transient) == ("BadAnswer", True)
    chaos.meets(page)
    with pytest.raises(StoreError) as raised:
        store.put("a", DATA)
    assert (raised.value.code, raised.value.is_transient) == ("BadAnswer", True)


def test_a_server_that_ignores_ranges_does_not_give_other_bytes(spoiled: tuple[Chaos, S3Store]) -> None:
    chaos, store = spoiled
    chaos.meets(Answer("200 OK", DATA), Pass())
    assert store.read("a", 1000, 300) == DATA[1000:1300]


@pytest.mark.parametrize(("trouble", "code"), [(SLOW_DOWN, "SlowDown"), (FAILED, "ServerError")], ids=["503", "500"])
def test_a_head_that_fails_is_no_missing_object(spoiled: tuple[Chaos, S3Store], trouble: Answer, code: str) -> None:
    chaos, store = spoiled
    store.put("a", DATA)
    chaos.meets(trouble, trouble, trouble, trouble)  # a HEAD and a GET, each twice
    with pytest.raises(StoreError) as raised:
        store.size("a")
    assert raised.value.code == code


def test_a_head_that_fails_once_too_often_is_answered_by_what_is_there(spoiled: tuple[Chaos, S3Store]) -> None:
    chaos, store = spoiled
    chaos.meets(FAILED, FAILED)
    assert store.size("a") is None
    store.put("a", DATA)
    chaos.meets(FAILED, FAILED)
    assert store.size("a") == len(DATA)
