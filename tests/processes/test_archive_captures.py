"""Proves that what a browser's SDK has really sent comes back from the archive byte for byte: compressed, plain, and
sent as a beacon while the page was left; however the gateway spreads a session over objects."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.faults.traffic import ask
from tests.gateway import ROOT, Gateway, eventually
from tests.processes.test_archive import config, is_settled
from tests.standin import StandIn

# Requests as they came over the wire from Chromium, recorded by a server in the vendor's place: "plugin" and
# "standalone" are the SDK's two packagings, "nogzip" is a browser without CompressionStream.
CAPTURES = Path(__file__).with_name("captures")
# A segment is full with the first upload or the second, and the last one is closed soon.
SHORT = {"bytes": 1024, "seconds": 1}
KEY = "0123456789abcdef0123456789abcdef"


class Captured(NamedTuple):
    """A request: all its bytes, and what is to be known of them."""

    name: str
    request: bytes
    wire: bytes
    body: bytes
    session: str
    is_beacon: bool


def captured(path: Path) -> Captured:
    """What a file holds."""
    return parsed(path.stem, path.read_bytes())


def parsed(name: str, request: bytes) -> Captured:
    """What a request is, read without anything of the gateway's."""
    head, _, wire = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    query = parse_qs(urlsplit(first.split(" ")[1]).query)
    fields = dict(line.lower().split(": ", 1) for line in lines)
    assert int(fields["content-length"]) == len(wire)
    body = gzip.decompress(wire) if fields.get("content-encoding") == "gzip" else wire
    return Captured(name, request, wire, body, query["session_id"][0], "api_key" in query)


def packed(like: Captured) -> Captured:
    """The same with each event packed, as rrweb's packer does it: deflated, a character for each byte. None was
    captured; this one is made here."""
    content = json.loads(like.body)
    texts = [zlib.compress(event.encode()).decode("latin-1") for event in content["events"]]
    body = json.dumps(content | {"events": texts}, ensure_ascii=False, separators=(",", ":")).encode()
    head = like.request.partition(b"\r\n\r\n")[0]
    request = head.replace(b"Content-Length: %d" % len(like.wire), b"Content-Length: %d" % len(body))
    return parsed("packed", request + b"\r\n\r\n" + body)


def all_captured() -> list[Captured]:
    """All of them in order, and one that is packed."""
    found = [captured(path) for path in sorted(CAPTURES.glob("*.req"))]
    return [*found, packed(next(each for each in found if each.name == "nogzip-0003"))]


def command(gateway: Gateway, *arguments: str) -> bytes:
    """The output of `replay-gateway archive …`, given the gateway's own configuration; it must find all in order."""
    done = subprocess.run(
        [sys.executable, "-m", "proxy", "archive", *arguments, "--config", str(gateway.config_file)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def digests(contents: Iterator[bytes]) -> list[str]:
    """To compare what may come in any order."""
    return sorted(sha256(content).hexdigest() for content in contents)


def files_of(gateway: Gateway, session: str, folder: Path) -> list[str]:
    """The digests of the files that `archive get` makes of a session."""
    target = folder / f"bodies-{session}"
    command(gateway, "get", "--session", session, "--format", "bodies", "--output", str(target))
    return digests(path.read_bytes() for path in target.iterdir())


def lines_of(gateway: Gateway, session: str) -> list[dict[str, Any]]:
    """The lines of a session, in the order of time."""
    return [json.loads(line) for line in command(gateway, "get", "--session", session).splitlines()]


def objects_of(gateway: Gateway, session: str) -> set[str]:
    """The data objects that a session is in."""
    rows = command(gateway, "find", "--session", session, "--json").splitlines()
    return {json.loads(row)["key"] for row in rows}


def send(gateway: Gateway, uploads: list[Captured]) -> None:
    """Each upload, answered before the next, until all of them are archived."""
    for each in uploads:
        assert ask(gateway, each.request).status == 200
    eventually(lambda: is_settled(gateway, len(uploads)), 60)


@pytest.fixture(scope="module")
def uploads() -> list[Captured]:
    return all_captured()


def test_the_captured_requests_are_of_every_kind(uploads: list[Captured]) -> None:
    assert {(each.wire == each.body, each.is_beacon) for each in uploads} == {
        (True, True),
        (True, False),
        (False, False),
    }
    assert {json.loads(each.body)["version"] for each in uploads} == {1, 2}
    assert len({each.session for each in uploads}) == 3


def test_every_captured_body_comes_back(vendor: StandIn, tmp_path: Path, uploads: list[Captured]) -> None:
    with Gateway(config(tmp_path, rotate=SHORT), standin=vendor) as gateway:
        send(gateway, uploads)
        for session in {each.session for each in uploads}:
            sent = [each for each in uploads if each.session == session]
            assert len(objects_of(gateway, session)) >= 2
            assert files_of(gateway, session, tmp_path) == digests(each.body for each in sent)
            lines = lines_of(gateway, session)
            assert [line["wire_sha256"] for line in lines] == [sha256(each.wire).hexdigest() for each in sent]
            assert [line["sha256"] for line in lines] == [sha256(each.body).hexdigest() for each in sent]
            # In each session's first body the SDK tells its own settings, the key among them; nothing else may.
            beside = [{name: value for name, value in line.items() if name != "body"} for line in lines]
            assert KEY not in json.dumps(beside)
            assert ["body" in line for line in lines] == [True] * len(sent)


def test_with_wire_bodies_the_bytes_of_the_wire_come_back(
    vendor: StandIn, tmp_path: Path, uploads: list[Captured]
) -> None:
    with Gateway(config(tmp_path, rotate=SHORT, body="wire"), standin=vendor) as gateway:
        send(gateway, uploads)
        for session in {each.session for each in uploads}:
            sent = [each for each in uploads if each.session == session]
            lines = lines_of(gateway, session)
            assert [base64.b64decode(line["body_b64"], validate=True) for line in lines] == [each.wire for each in sent]
            assert files_of(gateway, session, tmp_path) == digests(each.body for each in sent)
