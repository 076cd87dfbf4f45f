"""Proves that the traffic of a whole gateway does not notice what becomes of its archive's server, and that memory and
disk stay within their bounds: while it hangs, while it is slower than the uploads, and under hostile uploads."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxy.archive.audit import verify
from proxy.archive.index import GapRow, Row
from proxy.archive.line import Line
from proxy.archive.problem import Problem
from proxy.archive.reader import Reader
from proxy.archive.s3 import S3Options, S3Store
from tests.faults.traffic import resident, upload
from tests.gateway import Gateway, eventually
from tests.processes.client import Client
from tests.processes.test_archive import PREFIX, account, is_settled
from tests.s3.chaos import Chaos, Request, read_body
from tests.s3.servers.server import S3Server
from tests.s3.site import Site, new_bucket
from tests.standin import StandIn
from tests.unit.archive.segments import Span
from tests.unit.archive.test_seal_memory import bomb

MIB = 1024 * 1024
PATIENCE = 90.0
HOUR_MS = 3_600_000
MEMORY_BOUND = 150_000_000  # bytes: what boto3 takes, and one body of archive.inflate_max; two at once are more


@pytest.fixture(scope="module")
def vendor() -> Iterator[StandIn]:
    with StandIn("--quiet") as running:
        yield running


@pytest.fixture
def bucket(ceph: S3Server) -> Site:
    """Over TLS, with a certificate of a private authority."""
    return Site(ceph, "https", new_bucket(ceph))


def config(options: S3Options, folder: Path, spool: Mapping[str, Any], **archive: Any) -> dict[str, Any]:
    """A gateway that archives to there, quick to seal and to try again."""
    s3: dict[str, Any] = {
        "endpoint": options.endpoint,
        "region": options.region,
        "accessKey": options.access_key,
        "secretKey": options.secret_key,
        "recordingsBucket": options.bucket,
        "tags": {},
    }
    if options.ca_file:
        s3["ca_file"] = str(options.ca_file)
    usual: dict[str, Any] = {
        "s3": s3,
        "spool": {"directory": str(folder / "spool"), "min_free_bytes": 0, **spool},
        "rotate": {"seconds": 1},
        "upload": {"backoff": "200ms", "backoff_max": "1s", "timeout": "1s"},
    }
    return {"archive": usual | archive}


def sent(gateway: Gateway, *bodies: bytes) -> None:
    """Uploads on one connection, each of which must be delivered."""
    with Client(gateway.port) as client:
        for body in bodies:
            assert client.upload(body)[0] == 200


def numbered(first: int, number: int) -> list[bytes]:
    return [b'{"n":%d}' % each for each in range(first, first + number)]


def span() -> Span:
    now_ms = int(time.time() * 1000)
    return {"from_ms": now_ms - 2 * HOUR_MS, "to_ms": now_ms + HOUR_MS}


def bodies(options: S3Options) -> list[bytes]:
    """All that is in the archive, decoded, in order of their bytes."""
    reader, found = Reader(S3Store(options)), []
    for row in reader.find(**span()):
        assert isinstance(row, Row)
        found += [line.original() for line in reader.read_block(row) if isinstance(line, Line)]
    return sorted(found)


def failures(gateway: Gateway) -> float:
    return gateway.metric(f"{PREFIX}archive_upload_failures_total")


@contextmanager
def hanging(server: S3Server) -> Iterator[None]:
    server.pause("radosgw")
    try:
        yield
    finally:
        server.resume("radosgw")


def test_a_server_that_hangs_is_no_affair_of_the_traffics(
    vendor: StandIn, ceph: S3Server, bucket: Site, tmp_path: Path
) -> None:
    # Without TLS, in whose handshake it would hang for longer.
    with Gateway(config(bucket.with_endpoint(ceph.http), tmp_path, {}), standin=vendor) as gateway:
        sent(gateway, *numbered(0, 5))
        eventually(lambda: is_settled(gateway, 5), PATIENCE)
        with hanging(ceph):
            sent(gateway, *numbered(5, 20))
            eventually(lambda: failures(gateway), PATIENCE, "an upload times out")
            sent(gateway, *numbered(25, 5))
            eventually(lambda: account(gateway)["archive_pending"] == 25, PATIENCE)
            assert gateway.health("ready")[0] == 200
            assert "no answer in time" in gateway.log_text()
        eventually(lambda: is_settled(gateway, 30), PATIENCE)
        assert account(gateway)["archived"] == 30
    # What was sent to the hanging server may have landed as well: it was the same, under the same key.
    assert bodies(bucket.options) == sorted(numbered(0, 30))
    found = list(verify(S3Store(bucket.options), scratch=tmp_path, **span()))
    assert not [each for each in found if isinstance(each, Problem)]


@dataclass(frozen=True)
class Slow:
    """So many bytes of bodies in a second, of those that come one after the other."""

    rate: int

    def meet(self, request: Request, client: socket.socket, chaos: Chaos) -> None:
        """Forward when the time for it has passed."""
        body = read_body(client, request)
        time.sleep(len(body) / self.rate)
        client.sendall(chaos.ask(request.head + body))


@dataclass(frozen=True)
class Held:
    """What was sent is stored when that is allowed, whoever waits for it or does not any longer."""

    is_here: threading.Event
    is_allowed: threading.Event

    def meet(self, request: Request, client: socket.socket, chaos: Chaos) -> None:
        """Read it all, wait, forward."""
        body = read_body(client, request)
        self.is_here.set()
        assert self.is_allowed.wait(PATIENCE)
        client.sendall(chaos.ask(request.head + body))


@pytest.mark.parametrize("is_late", [False, True], ids=["in time", "too late"])
def test_a_stop_waits_for_the_upload_that_is_under_way_as_long_as_it_may(
    vendor: StandIn, bucket: Site, tmp_path: Path, *, is_late: bool
) -> None:
    held = Held(threading.Event(), threading.Event())
    with Chaos(int(bucket.server.http.rpartition(":")[2])) as chaos:
        chaos.meets(held)
        slow = {"upload": {"timeout": "60s", "parallel": 1}}
        settings = config(bucket.with_endpoint(chaos.endpoint), tmp_path, {}, **slow)
        settings["timeouts"] = {"drain": "2s" if is_late else "30s"}
        with Gateway(settings, standin=vendor) as gateway:
            sent(gateway, *numbered(0, 5))
            assert held.is_here.wait(PATIENCE)
            gateway.send_signal()
            if not is_late:
                eventually(lambda: not gateway.worker_pids(), PATIENCE, "what carries traffic has ended")
                held.is_allowed.set()
            assert gateway.wait(PATIENCE) == 0
            assert ("an upload was left unfinished" in gateway.log_text()) is is_late
        held.is_allowed.set()  # too late it lands all the same, as what is made of the segment once more
        if is_late:
            assert len(list((tmp_path / "spool").glob("*.sealed"))) == 1
            with Gateway(settings, standin=vendor) as successor:
                eventually(lambda: not list((tmp_path / "spool").glob("*.sealed")), PATIENCE)
                # Counted when it has left the spool.
                eventually(lambda: successor.metric(f"{PREFIX}archive_found_total") == 5, PATIENCE)
    assert bodies(bucket.options) == sorted(numbered(0, 5))
    assert not list((tmp_path / "spool").glob("*.sealed"))
    found = list(verify(S3Store(bucket.options), scratch=tmp_path, **span()))
    assert not [each for each in found if isinstance(each, Problem)]


RATE = 100_000  # bytes that are taken in a second
BODY = 10_000  # bytes of an upload, half of which remain when it is compressed
UPLOADS = 800
SPOOL = 2 * MIB
SEGMENT = 256 * 1024
PIECE = 16  # uploads between two looks


def test_uploads_that_come_faster_than_they_are_stored_fill_the_spool_and_nothing_else(
    vendor: StandIn, bucket: Site, tmp_path: Path
) -> None:
    """Some ten times as fast: what finds no room is counted, and the archive tells of it."""
    made = [json.dumps({"n": number, "noise": os.urandom(BODY // 2).hex()}).encode() for number in range(UPLOADS)]
    spool = {"max_bytes": SPOOL, "queue_bytes": 16 * MIB}
    with Chaos(int(bucket.server.http.rpartition(":")[2])) as chaos:
        chaos.meets(*[Slow(RATE)] * 10_000)
        options = bucket.with_endpoint(chaos.endpoint)
        limited = {"rotate": {"bytes": SEGMENT, "seconds": 1}, "upload": {"parallel": 1, "timeout": "30s"}}
        with Gateway(config(options, tmp_path, spool, **limited), standin=vendor) as gateway:
            for first in range(0, UPLOADS, PIECE):
                sent(gateway, *made[first : first + PIECE])
                waiting, all_files = sizes(tmp_path / "spool")
                assert waiting <= SPOOL
                assert all_files <= SPOOL + 2 * SEGMENT  # with what is being sealed
                assert gateway.metric(f"{PREFIX}spool_queue_bytes") <= 16 * MIB
            assert resident(gateway.worker_pids()) < MEMORY_BOUND
            assert gateway.health("ready")[0] == 200
            assert account(gateway)["archived"] < UPLOADS // 4
            chaos.meets()
            eventually(lambda: is_settled(gateway, UPLOADS), PATIENCE)
            seen = account(gateway)
            assert gateway.metric(f"{PREFIX}archive_dropped_total", reason="spool-full") == seen["dropped"] > 0
            assert most_memory(gateway) < MEMORY_BOUND
    stored = bodies(bucket.options)
    assert len(stored) == seen["archived"] == UPLOADS - seen["dropped"]
    assert len(set(stored)) == len(stored)
    assert set(stored) <= set(made)
    gaps = list(Reader(S3Store(bucket.options)).gaps(**span()))
    assert sum(gap.gap["payloads"] for gap in gaps if isinstance(gap, GapRow)) == seen["dropped"]


def sizes(spool: Path) -> tuple[int, int]:
    """Bytes of the segments, and of everything in the folder."""
    segments = everything = 0
    for path in spool.rglob("*"):
        try:
            size = path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
        everything += size
        segments += size if path.parent == spool else 0
    return segments, everything


def most_memory(gateway: Gateway) -> int:
    """The most that the archiver ever had, in bytes."""
    (pid,) = gateway.archiver_pids()
    (line,) = (each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def test_hostile_uploads_do_not_decide_how_much_memory_the_archiver_has(
    vendor: StandIn, bucket: Site, tmp_path: Path
) -> None:
    """Gzip that would unpack to a GiB, JSON that would be millions of objects, and 10 MB as they are, two at once."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    many = packer.compress(b"[" + b'{"a":1},' * (40 * MIB // 8) + b"1]") + packer.flush()
    large = b'{"version":1,"events":["' + b"x" * 10_000_000 + b'"]}'
    several = {"upload": {"parallel": 2}, "rotate": {"bytes": 8 * MIB, "seconds": 1}}
    settings = config(bucket.options, tmp_path, {}, **several)
    with Gateway(settings, standin=vendor) as gateway:
        wire = [(bomb(1024), b"Content-Encoding: gzip"), (many, b"Content-Encoding: gzip")]
        for number, (body, *lines) in enumerate([*wire, *wire, *[(large, b"X: y")] * 4]):
            with socket.create_connection(("127.0.0.1", gateway.port), 30) as client:
                client.sendall(upload(body, f"device_id=d&session_id={number}&type=replay", *lines))
                # The vendor refuses what has no end; it is archived as it came.
                assert client.recv(65536).startswith((b"HTTP/1.1 200", b"HTTP/1.1 400"))
        eventually(lambda: is_settled(gateway, 8), PATIENCE)
        assert most_memory(gateway) < MEMORY_BOUND
    assert len(bodies(bucket.options)) == 8
