"""Clients leave in the middle, are slow, or don't read: nothing of theirs is made up, and nobody else pays for them.

What is asked of any proxy is here; what only the gateway promises is in tests/faults.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from comparison.peers import process_tree

from tests.conformance.cases import HOST, ORIGIN, TRACK_PATH, head
from tests.conformance.stage import Stage
from tests.conformance.test_vendor_breaks import config, upload
from tests.conformance.wire import Client

MEGABYTE = 1_000_000
AT_MOST = 20.0  # seconds that a client may take for a head, or be silent in a body; a tenth of it is configured
LEAVINGS: dict[str, Callable[[Client], None]] = {
    "closes": lambda client: client.socket.close(),
    "resets": Client.reset,
    "half-closes": Client.half_close,
}


def upload_head(length: int) -> bytes:
    """The head of an upload of `length` bytes, a chunked one when that is negative."""
    framing = b"Content-Length: %d" % length if length >= 0 else b"Transfer-Encoding: chunked"
    return head(b"POST " + TRACK_PATH + b"?type=replay HTTP/1.1", HOST, ORIGIN, framing)


BEGINNINGS = {
    "head": upload_head(1000),
    "some": upload_head(1000) + b"x" * 500,
    "all-but-one-byte": upload_head(1000) + b"x" * 999,
    "half-a-megabyte": upload_head(900_000) + b"x" * 500_000,
    "one-chunk": upload_head(-1) + b"5\r\nhello\r\n",
    "half-a-chunk": upload_head(-1) + b"5\r\nhe",
    "all-but-the-end": upload_head(-1) + b"5\r\nhello\r\n0\r\n",
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("leaving", LEAVINGS)
def test_half_an_upload_is_never_completed(stage: Stage, leaving: str, beginning: str) -> None:
    with stage.client() as client:
        client.send(BEGINNINGS[beginning])
        time.sleep(0.05)  # so that it has begun upstream, where a proxy does not wait for the whole
        LEAVINGS[leaving](client)
        if leaving == "half-closes":
            client.reader.expect(b"POST")
            while not client.wait(2.0):
                pass
    seen = stage.after()
    stage.expect(not any(record["complete"] for record in seen), "completed upstream")


@pytest.mark.parametrize("leaving", ["closes", "resets"])
@pytest.mark.parametrize("size", [2, 65_483, 900_000])
def test_a_whole_upload_is_delivered_although_its_client_has_left(stage: Stage, leaving: str, size: int) -> None:
    body = bytes(size)
    with stage.client() as client:
        client.send(upload(body, "standin=delay:0.3"))
        # A reset would throw away what the proxy has not read yet.
        time.sleep(0.3)
        LEAVINGS[leaving](client)
    seen = stage.after()
    whole = [record["body_sha256"] for record in seen if record["complete"]]
    stage.expect(whole == [hashlib.sha256(body).hexdigest()], f"delivered {len(whole)} times")


def test_uploads_that_come_with_the_end_of_their_connection_are_delivered(stage: Stage) -> None:
    """As those of a page that is closed: nothing of it may be upstream yet."""
    for number in range(20):
        with stage.client() as client:
            client.send(upload(b"x" * number))
    seen = [record for record in arrived(stage, 20) if record["complete"]]
    lost = 20 - len({record["body_length"] for record in seen})
    stage.expect(not lost, f"{lost} of 20 were lost")


def arrived(stage: Stage, number: int) -> list[dict[str, object]]:
    """The requests upstream, once there are so many or no more come."""
    ends = time.monotonic() + 2.0
    while len(stage.standin.requests()) < number and time.monotonic() < ends:
        time.sleep(0.05)
    return stage.after()


@pytest.mark.parametrize("part", ["P", "POST /sess", "POST /sessions/v2/track HTTP/1.1\r\n", "whole head but its end"])
def test_a_head_that_never_ends_is_given_up(stage: Stage, part: str) -> None:
    with stage.client() as client:
        client.send(upload_head(5)[:-2] if part.startswith("whole") else part.encode())
        client.reader.expect(b"POST")
        while not (ending := client.wait(AT_MOST)):
            pass
        stage.expect(ending != "silent", "still open")
    stage.expect(not stage.after(), "forwarded")


def test_a_head_that_drips_is_given_up(stage: Stage) -> None:
    drops = upload_head(5)[:-2] * 4
    with stage.client() as client:
        ends = time.monotonic() + AT_MOST
        for at in range(len(drops)):
            if client.readable(0.1) or not client.send(drops[at : at + 1]):
                break
            if time.monotonic() > ends:
                stage.expect(False, "still open")
                break
        stage.expect(True, "")


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_that_stops_is_told_readably(stage: Stage, coding: str) -> None:
    with stage.reading(), stage.client() as client:
        client.send(upload_head(100) + b"x" * 50 if coding == "length" else upload_head(-1) + b"5\r\nhel")
        answer = client.read(b"POST", AT_MOST)
        # Of those that wait for client and vendor at once, some blame the vendor; the SDK tries again all the same.
        stage.expect(answer.status in (408, 503, 504), f"status {answer.status}")
        stage.readable(answer)
    stage.expect(not any(record["complete"] for record in stage.after()), "completed upstream")


def test_a_body_that_comes_slowly_but_steadily_is_carried(stage: Stage) -> None:
    with stage.reading(), stage.client() as client:
        client.send(upload_head(10))
        for _ in range(10):
            client.send_slowly((0.3, b"x"))
        answer = client.read(b"POST")
        stage.expect(answer.status == 200, f"status {answer.status}")
    stage.after()


def test_two_hundred_slow_clients_keep_nobody_waiting(stage: Stage) -> None:
    parts = (b"POST /sess", upload_head(100), upload_head(-1) + b"5\r\nh", config("x=y")[:-2])
    slow = [stage.client() for _ in range(200)]
    for number, client in enumerate(slow):
        client.send(parts[number % 4])
    seen = stage.after()
    stage.expect(not any(record["complete"] for record in seen), "completed upstream")
    for client in slow:
        client.socket.close()


def test_one_who_reads_slowly_gets_everything(stage: Stage) -> None:
    with stage.reading(), stage.client() as client:
        client.send(upload(b"{}", f"standin=large:{20 * MEGABYTE}"))
        client.reader.expect(b"POST")
        for _ in range(30):
            if client.wait():
                break
            time.sleep(0.05)
        while not client.reader.answers and not client.wait():
            pass
        whole = bool(client.reader.answers) and len(client.reader.answers[0].body) == 20 * MEGABYTE
        stage.expect(whole, "not the whole answer")


def resident(pid: int) -> int:
    """Bytes of memory that a process and all below it occupy."""
    size = os.sysconf("SC_PAGE_SIZE")
    return size * sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in process_tree(pid))


def test_fifty_who_do_not_read_cost_little_memory(stage: Stage) -> None:
    stage.after()
    before = resident(stage.subject.pid)
    readers = [Client(stage.subject.address, receive_buffer=4096) for _ in range(50)]
    for reader in readers:
        reader.send(upload(b"{}", f"standin=large:{20 * MEGABYTE}"))
    most = most_resident(stage, 2.0)
    stage.expect(most - before < 100 * MEGABYTE, "more than 2 MB each")
    stage.details.append(f"{(most - before) / MEGABYTE:.0f} MB")
    for reader in readers:
        reader.socket.close()
    stage.after()


def test_twenty_large_uploads_to_a_slow_vendor_cost_little_memory(stage: Stage) -> None:
    stage.after()
    stage.standin.behave(
        {"match": {"method": "POST", "target_contains": "large"}, "action": "slow_read", "bytes_per_second": 50_000}
    )
    before = resident(stage.subject.pid)
    senders = [stage.client() for _ in range(20)]
    for sender in senders:
        sender.send(upload_head(12 * MEGABYTE).replace(b"type=replay", b"type=replay&large"))
        sender.socket.setblocking(False)
    left = [12 * MEGABYTE] * len(senders)
    ends = time.monotonic() + 2.0
    most = 0
    while time.monotonic() < ends:
        left = [rest - push(sender, rest) for sender, rest in zip(senders, left, strict=True)]
        most = max(most, resident(stage.subject.pid))
        time.sleep(0.02)
    stage.expect(most - before < 40 * MEGABYTE, "more than 2 MB each")
    stage.details.append(f"{(most - before) / MEGABYTE:.0f} MB")
    for sender in senders:
        sender.socket.close()
    stage.after()


def push(client: Client, most: int) -> int:
    """Send what is taken at once; the number of bytes."""
    try:
        return client.socket.send(memoryview(bytes(256 * 1024))[:most]) if most else 0
    except (BlockingIOError, ConnectionError):
        return 0


def most_resident(stage: Stage, seconds: float) -> int:
    """The most memory within this time."""
    ends = time.monotonic() + seconds
    most = 0
    while time.monotonic() < ends:
        most = max(most, resident(stage.subject.pid))
        time.sleep(0.05)
    return most
