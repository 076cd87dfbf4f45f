"""Proves that uploads come to lie in the archive exactly and are accounted for, whichever process is killed, and that
no trouble of the archive's is one of the traffic's."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.archive.directory import DirectoryStore
from proxy.archive.index import Row
from proxy.archive.line import Line
from proxy.archive.reader import Reader
from tests.faults.traffic import upload
from tests.gateway import Gateway, eventually
from tests.processes.client import Client, uploaded
from tests.processes.test_restart import has_started, kill
from tests.standin import StandIn

PREFIX = "replay_gateway_"
STARTS = f"{PREFIX}worker_starts_total"


def config(folder: Path, **changed: Any) -> dict[str, Any]:
    """An archive in a folder, quick to seal."""
    archive: dict[str, Any] = {
        "directory": str(folder / "store"),
        "spool": {"directory": str(folder / "spool"), "min_free_bytes": 0} | changed.pop("spool", {}),
        "rotate": {"seconds": 1},
    }
    return {"archive": archive | changed}


def account(gateway: Gateway) -> dict[str, int]:
    """Where the uploads are, by the metrics."""
    seen = gateway.metrics()
    dropped = sum(value for name, value in seen.items() if name.startswith(f"{PREFIX}archive_dropped_total"))
    names = ("spool_offered_total", "archived_total", "archive_damaged_total", "archive_pending", "spool_written_total")
    values = {name.removesuffix("_total"): int(seen[PREFIX + name]) for name in names}
    return values | {"dropped": int(dropped)}


def is_settled(gateway: Gateway, offered: int) -> bool:
    """Whether that many were offered and none is on its way."""
    seen = account(gateway)
    gone = seen["archived"] + seen["dropped"] + seen["archive_damaged"]
    return seen["spool_offered"] == gone == offered and seen["archive_pending"] == 0


def bodies(folder: Path) -> list[bytes]:
    """The bodies in the archive, decoded."""
    store = DirectoryStore(folder / "store")
    return sorted(_decoded(store))


def _decoded(store: DirectoryStore) -> Iterator[bytes]:
    reader = Reader(store)
    now_ms = int(time.time() * 1000)
    for row in reader.find(from_ms=now_ms - 7_200_000, to_ms=now_ms + 3_600_000):
        assert isinstance(row, Row)
        for line in reader.read_block(row):
            assert isinstance(line, Line)
            assert line.problems() == []
            yield line.original()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_uploads_lie_in_the_archive_byte_for_byte(vendor: StandIn, folder: Path) -> None:
    with Gateway(config(folder), standin=vendor) as gateway:
        with Client(gateway.port) as client:
            for number in range(20):
                assert client.upload(json.dumps({"n": number}).encode())[0] == 200
        eventually(lambda: is_settled(gateway, 20), 30)
        assert account(gateway)["archived"] == 20
    assert bodies(folder) == sorted(json.dumps({"n": number}).encode() for number in range(20))


def test_what_is_in_the_spool_at_the_end_is_archived_before_it(vendor: StandIn, folder: Path) -> None:
    # The archiver has a low priority: on a busy machine its start alone may take longer than a test's usual drain.
    patient = {"timeouts": {"drain": "60s"}}
    with Gateway(config(folder, rotate={"seconds": 3600}) | patient, standin=vendor) as gateway:
        uploaded(gateway.port, 5)
    assert len(bodies(folder)) == 5
    assert not list((folder / "spool").iterdir())


def test_no_secret_comes_to_lie_on_the_disk(vendor: StandIn, folder: Path) -> None:
    with Gateway(config(folder, codec="none"), standin=vendor) as gateway:
        uploaded(gateway.port)
        eventually(lambda: is_settled(gateway, 1), 30)
        spooled = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    stored = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b'"session_id":"1"' in stored
    for secret in (b"Bearer", b"authorization", b'"key":"key"'):
        assert secret not in stored.lower() + spooled.lower()


def test_half_an_upload_is_not_archived(vendor: StandIn, folder: Path) -> None:
    with Gateway(config(folder), standin=vendor) as gateway:
        with Client(gateway.port) as client:
            client.begin(b"x" * 1000, 500)
        uploaded(gateway.port)
        eventually(lambda: is_settled(gateway, 1), 30)
    assert bodies(folder) == [b"{}"]


def test_killed_workers_lose_at_most_what_they_held_and_it_is_counted(vendor: StandIn, folder: Path) -> None:
    with Gateway(config(folder), standin=vendor, workers=2, clean=False) as gateway:
        for round_ in range(4):
            uploaded(gateway.port, 25)
            kill(gateway)
            eventually(lambda starts=3 + round_: has_started(gateway, starts), 60)  # type: ignore[misc]
        eventually(lambda: is_settled(gateway, 100), 60)
        seen = account(gateway)
        gateway.stop()
    assert seen["archived"] == len(bodies(folder))
    assert seen["archived"] + seen["dropped"] == 100


def test_a_killed_archiver_is_replaced_and_stores_everything_once(vendor: StandIn, folder: Path) -> None:
    with Gateway(config(folder), standin=vendor, clean=False) as gateway:
        for _ in range(5):
            uploaded(gateway.port, 10)
            (pid,) = eventually(gateway.archiver_pids, 30)
            os.kill(pid, signal.SIGKILL)
            eventually(lambda dead=pid: [each for each in gateway.archiver_pids() if each != dead], 30)  # type: ignore[misc]
        eventually(lambda: is_settled(gateway, 50), 60)
        assert account(gateway)["archived"] == 50
        gateway.stop()
    assert len(bodies(folder)) == 50


def test_a_store_that_can_not_be_used_is_no_affair_of_the_traffics(vendor: StandIn, folder: Path) -> None:
    (folder / "store").write_text("a file where the folder should be")
    with Gateway(config(folder), standin=vendor, clean=False) as gateway:
        uploaded(gateway.port, 10)
        eventually(lambda: gateway.metric(f"{PREFIX}archive_upload_failures_total") >= 2, 30)
        assert gateway.health("ready")[0] == 200
        assert account(gateway)["archive_pending"] == 10
        (folder / "store").unlink()
        eventually(lambda: is_settled(gateway, 10), 60)
        gateway.stop()
    assert len(bodies(folder)) == 10


def test_a_spool_that_can_not_be_written_is_no_affair_of_the_traffics(vendor: StandIn, folder: Path) -> None:
    with Gateway(
        config(folder, spool={"max_bytes": "4KiB", "queue_bytes": "16MiB"}, rotate={"bytes": 1024}), standin=vendor
    ) as gateway:
        with Client(gateway.port) as client:
            for _ in range(20):
                assert client.upload(b"x" * 5000)[0] == 200
        eventually(lambda: is_settled(gateway, 20), 30)
        assert gateway.metric(f"{PREFIX}archive_dropped_total", reason="spool-full") == 20


def test_a_durable_upload_is_on_the_disk_when_it_is_answered(vendor: StandIn, folder: Path) -> None:
    archive = config(folder, spool={"sync": "durable"}, rotate={"seconds": 3600})
    with Gateway(archive, standin=vendor, clean=False) as gateway:
        for number in range(10):
            with Client(gateway.port) as client:
                assert client.upload(json.dumps({"n": number}).encode())[0] == 200
            spooled = b"".join(path.read_bytes() for path in (folder / "spool").glob("*.open"))
            assert json.dumps({"n": number}).encode() in spooled
        os.kill(gateway.pid, signal.SIGKILL)
        for pid in gateway.worker_pids():
            os.kill(pid, signal.SIGKILL)


def test_what_a_gateway_left_that_was_killed_as_a_whole_is_archived_by_the_next(vendor: StandIn, folder: Path) -> None:
    with Gateway(config(folder, rotate={"seconds": 3600}), standin=vendor, clean=False) as gateway:
        uploaded(gateway.port, 10)
        eventually(lambda: account(gateway)["spool_written"] == 10, 30)
        pids = [gateway.pid, *gateway.worker_pids(), *gateway.archiver_pids()]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    with Gateway(config(folder), standin=vendor) as gateway:
        uploaded(gateway.port)
        eventually(lambda: gateway.metric(f"{PREFIX}archive_found_total") == 10, 90)
        eventually(lambda: account(gateway)["archive_pending"] == 0, 30)
    assert len(bodies(folder)) == 11


def test_a_gzipped_body_is_decoded_in_the_archive(vendor: StandIn, folder: Path) -> None:
    body = gzip.compress(b'{"version":1,"events":["a"]}')
    with Gateway(config(folder), standin=vendor) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), 30) as client:
            client.sendall(upload(body, "device_id=d&session_id=9&type=replay", b"Content-Encoding: gzip"))
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        eventually(lambda: is_settled(gateway, 1), 30)
    assert bodies(folder) == [b'{"version":1,"events":["a"]}']
