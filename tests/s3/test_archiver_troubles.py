"""Proves that whatever happens on the way to a server, or to what the server allows, an archiver keeps each segment
until it is stored, says why it is not, and needs nobody to go on when that is over."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from proxy.archive.s3_client import open_client
from proxy.observe.ledger import LedgerMemory
from tests.gateway import eventually
from tests.s3.archiving import (
    PATIENCE,
    PAYLOADS,
    Program,
    archived,
    archiving,
    failures,
    finish,
    objects,
    segment,
    waiting,
)
from tests.s3.chaos import Answer, Chaos, Cut, Lost, Request, Reset, Trouble, read_body, refusal
from tests.s3.servers.fetch import ensure_ceph
from tests.s3.servers.server import S3Server, certificates
from tests.s3.site import Site, new_bucket

NOISE = 200_000  # bytes, so that an object can break off in the middle


class Swallowed:
    """The client is told that its object is stored, and nobody has stored it."""

    def meet(self, request: Request, client: socket.socket, chaos: Chaos) -> None:
        """Read it all, and thank for it."""
        read_body(client, request)
        client.sendall(b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')


class HalfAHead:
    """The server does what it is asked to; of its answer comes the first line and a part of the next."""

    def meet(self, request: Request, client: socket.socket, chaos: Chaos) -> None:
        """Forward, and answer with next to nothing."""
        answer = chaos.ask(request.head + read_body(client, request))
        client.sendall(answer[: answer.index(b"\r\n") + 5])


class Late:
    """The client gets no answer; the request comes to the server when `land` is called."""

    def __init__(self) -> None:
        self._request = b""

    def meet(self, request: Request, client: socket.socket, chaos: Chaos) -> None:
        """Keep it, and say nothing."""
        self._request = request.head + read_body(client, request)

    def land(self, chaos: Chaos) -> bytes:
        """The server's answer."""
        return chaos.ask(self._request)


@pytest.fixture
def bucket(ceph: S3Server) -> Site:
    return Site(ceph, "http", new_bucket(ceph))


@pytest.fixture
def chaos(bucket: Site) -> Iterator[Chaos]:
    with Chaos(int(bucket.server.http.rpartition(":")[2])) as running:
        yield running


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


TROUBLES: dict[str, Trouble] = {
    "503": refusal("503 Slow Down", "SlowDown"),
    "500": refusal("500 Internal Server Error", "InternalError"),
    "expired": refusal("400 Bad Request", "ExpiredToken"),
    "login-page": Answer("200 OK", b"<html>Please log in</html>", "Content-Type: text/html\r\n"),
    "reset-mid-body": Reset(NOISE),
    "answer-lost": Lost(),
    "answer-cut": HalfAHead(),
    "swallowed": Swallowed(),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_trouble_that_lasts_delays_and_spoils_nothing(bucket: Site, chaos: Chaos, spool: Path, name: str) -> None:
    path, expected = segment(spool, noise=NOISE)
    with archiving(spool, bucket.with_endpoint(chaos.endpoint)) as memory:
        chaos.meets(*[TROUBLES[name]] * 8)  # what is sent and what is asked afterwards alike
        eventually(lambda: failures(memory) >= 2 or not path.exists(), PATIENCE)
        assert path.exists()
        assert archived(memory) == 0
        chaos.meets()
        eventually(lambda: not waiting(spool), PATIENCE)
    assert objects(bucket.options) == expected
    assert archived(memory) == PAYLOADS
    assert list(spool.iterdir()) == []


def test_an_object_that_lands_after_all_is_the_same_one(bucket: Site, chaos: Chaos, spool: Path) -> None:
    _, expected = segment(spool, noise=NOISE)
    late = Late()
    chaos.meets(late)
    finish(spool, bucket.with_endpoint(chaos.endpoint))
    assert objects(bucket.options) == expected
    assert late.land(chaos).startswith(b"HTTP/1.1 200")
    assert objects(bucket.options) == expected


def test_answers_that_are_cut_short_are_never_taken_for_whole_ones(bucket: Site, chaos: Chaos, spool: Path) -> None:
    """Those to a question for the size have no body: what is cut is the head."""
    _, expected = segment(spool)
    chaos.meets(Cut(0), HalfAHead(), HalfAHead(), HalfAHead(), HalfAHead())
    memory = finish(spool, bucket.with_endpoint(chaos.endpoint))
    assert failures(memory) >= 1
    assert objects(bucket.options) == expected


def kept_and_told(memory: LedgerMemory, path: Path, log: pytest.LogCaptureFixture, *words: str) -> None:
    """The segment waits, after some tries, and the log says why."""
    before = failures(memory)
    eventually(lambda: failures(memory) >= before + 2, PATIENCE)
    assert path.exists()
    for each in words:
        assert each in log.text


def test_a_bucket_that_is_removed_is_told_and_used_when_it_is_back(
    bucket: Site, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = open_client(bucket.options)
    first, expected = segment(spool, 1)
    with archiving(spool, bucket.options) as memory:
        eventually(lambda: not first.exists(), PATIENCE)
        for key in expected:
            client.delete_object(Bucket=bucket.bucket, Key=key)
        client.delete_bucket(Bucket=bucket.bucket)
        second, expected = segment(spool, 2)
        kept_and_told(memory, second, caplog, "there is no such bucket", "create it")
        client.create_bucket(Bucket=bucket.bucket)
        eventually(lambda: not second.exists(), PATIENCE)
    assert objects(bucket.options) == expected
    assert {record.levelno for record in caplog.records if "can't archive" in record.message} == {logging.ERROR}


def allow_limited(site: Site) -> None:
    """The second user may do what the archive does."""
    allowed = {
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam:::user/limited"]},
        "Action": ["s3:PutObject", "s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{site.bucket}", f"arn:aws:s3:::{site.bucket}/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    open_client(site.options).put_bucket_policy(Bucket=site.bucket, Policy=policy)


def test_a_permission_that_is_taken_away_is_named_and_used_when_it_is_back(
    bucket: Site, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    access_key, secret_key = bucket.server.limited
    allow_limited(bucket)
    first, expected = segment(spool, 1)
    limited = bucket.with_options(access_key=access_key, secret_key=secret_key)
    with archiving(spool, limited) as memory:
        eventually(lambda: not first.exists(), PATIENCE)
        open_client(bucket.options).delete_bucket_policy(Bucket=bucket.bucket)
        second, more = segment(spool, 2)
        kept_and_told(memory, second, caplog, f"grant s3:PutObject for {bucket.bucket}")
        allow_limited(bucket)
        eventually(lambda: not second.exists(), PATIENCE)
    assert objects(limited) == expected | more  # they are its own, and nobody else's
    assert secret_key not in caplog.text


def test_who_is_vouched_for_by_a_stranger_gets_nothing(
    bucket: Site, spool: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, expected = segment(spool)
    stranger = certificates(tmp_path).ca
    trusting = bucket.with_options(endpoint=bucket.server.https, ca_file=bucket.server.ca_file)
    with archiving(spool, bucket.with_options(endpoint=bucket.server.https, ca_file=stranger)) as memory:
        kept_and_told(memory, path, caplog, f"set archive.s3.ca_file (now {stranger})")
    assert objects(bucket.options) == {}
    finish(spool, trusting, memory)
    assert objects(bucket.options) == expected


def test_a_clock_that_is_wrong_is_told_and_nothing_is_lost_by_it(bucket: Site, spool: Path) -> None:
    path, expected = segment(spool)
    memory = LedgerMemory.create(1)
    library = next((ensure_ceph() / "usr/lib").glob("*/faketime/libfaketime.so.1"))
    wrong = {"LD_PRELOAD": str(library), "FAKETIME": "-20m", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with Program(spool, bucket.options, memory, stays=True, changes=wrong) as program:
        eventually(lambda: failures(memory), PATIENCE)
        text = program.killed()
    assert "the clocks differ too much" in text
    assert "s behind the server's" in text
    assert "set this machine's clock (NTP)" in text
    assert path.exists()
    finish(spool, bucket.options, memory)
    assert objects(bucket.options) == expected
    assert archived(memory) == PAYLOADS


class Metadata(BaseHTTPRequestHandler):
    """Gives whoever asks the keys that it has now, for a minute; none: it fails."""

    keys: ClassVar[tuple[str, str] | None] = None
    asked: ClassVar[int] = 0

    def do_GET(self) -> None:
        """As the endpoint for containers answers."""
        Metadata.asked += 1
        if Metadata.keys is None:
            self.send_error(500)
            return
        access_key, secret_key = Metadata.keys
        ends = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
        keys = {"AccessKeyId": access_key, "SecretAccessKey": secret_key, "Token": None, "Expiration": ends}
        body = json.dumps(keys).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Metadata]]:
    """Where this machine's credentials come from."""
    Metadata.keys, Metadata.asked = None, 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_port}/keys")
        yield Metadata
        server.shutdown()
        thread.join()


def test_credentials_that_end_are_renewed_while_it_works(
    bucket: Site, spool: Path, metadata: type[Metadata], caplog: pytest.LogCaptureFixture
) -> None:
    """The first keys are good until the policy goes, the endpoint fails for a while, and then gives other keys."""
    allow_limited(bucket)
    metadata.keys = bucket.server.limited
    first, expected = segment(spool, 1)
    options = bucket.with_options(access_key="", secret_key="")
    with archiving(spool, options) as memory:
        eventually(lambda: not first.exists(), PATIENCE)
        assert metadata.asked > 1  # they end so soon that each call is one of the last
        open_client(bucket.options).delete_bucket_policy(Bucket=bucket.bucket)
        second, more = segment(spool, 2)
        kept_and_told(memory, second, caplog, "grant s3:PutObject")
        metadata.keys = None
        kept_and_told(memory, second, caplog, "there are no credentials")
        metadata.keys = (bucket.server.access_key, bucket.server.secret_key)
        eventually(lambda: not second.exists(), PATIENCE)
    allow_limited(bucket)  # the first object is that user's own
    access_key, secret_key = bucket.server.limited
    assert objects(bucket.with_options(access_key=access_key, secret_key=secret_key)) == expected | more
    assert bucket.server.secret_key not in caplog.text
