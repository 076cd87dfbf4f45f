"""Proves that a connection cuts its bytes into requests, records each of them as it came, answers in
order, and never holds a large body; with raw sockets against the started process."""

from __future__ import annotations

import gzip
import hashlib
import time

import psutil
import pytest

from tests.standin import Record, StandIn
from tests.unit.standin.client import Client, request, upload

VENDOR_FIELDS = {
    "server": "standin",
    "access-control-allow-origin": "*",
    "access-control-allow-credentials": "false",
    "set-cookie": "vendor=1; Path=/",
}


def only_record(vendor: StandIn) -> Record:
    records = vendor.wait_for(1)
    assert len(records) == 1
    return records[0]


def codes(record: Record) -> list[str]:
    return [violation.partition(":")[0] for violation in record["violations"]]


def test_an_upload_is_answered_and_recorded(vendor: StandIn) -> None:
    body = gzip.compress(b'{"version":1,"events":[]}')
    before = time.monotonic()
    with Client(vendor) as client:
        answer = client.ask(upload(body, b"?type=replay", b"content-Encoding: gzip\r\nCookie: a=b\r\nX-Odd: \xe4\r\n"))
        assert (answer.status, answer.body, answer.field("content-type")) == (200, b'{"code":200}', "application/json")
        assert {name: answer.field(name) for name in VENDOR_FIELDS} == VENDOR_FIELDS
        assert str(answer.field("date")).endswith(" GMT")
    record = only_record(vendor)
    assert before <= record.pop("began") <= record.pop("ended") <= time.monotonic()
    assert record.pop("seq") > 0
    assert record.pop("connection") > 0
    assert record == {
        "site": "us",
        "nth_on_connection": 1,
        "tls_sni": None,
        "tls_version": None,
        "method": "POST",
        "target": "/sessions/v2/track?type=replay",
        "version": "HTTP/1.1",
        "headers": [
            ["Host", "api-sr.amplitude.com"],
            ["content-Encoding", "gzip"],
            ["Cookie", "a=b"],
            ["X-Odd", "ä"],
            ["Content-Length", str(len(body))],
        ],
        "body_length": len(body),
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "complete": True,
        "framing": "content-length",
        "decoded_ok": True,
        "violations": [],
        "status": 200,
    }


def test_tls_is_recorded(vendor: StandIn) -> None:
    with Client(vendor, "eu-tls") as client:
        assert b'"region":"eu","site":"eu-tls"' in client.ask(request()).body
    record = only_record(vendor)
    assert (record["site"], record["tls_sni"], record["tls_version"]) == ("eu-tls", "api-sr.amplitude.com", "TLSv1.3")
    assert record["violations"] == []


def test_a_host_that_is_not_the_server_name_is_a_violation(vendor: StandIn) -> None:
    with Client(vendor, "us-tls", name="localhost") as client:
        assert client.ask(request()).status == 200
    record = only_record(vendor)
    assert (codes(record), record["tls_sni"]) == (["host"], "localhost")


def test_tls_without_a_server_name_is_a_violation(vendor: StandIn) -> None:
    with Client(vendor, "us-tls", name="") as client:
        assert client.ask(request()).status == 200
    record = only_record(vendor)
    assert (codes(record), record["tls_sni"]) == (["host"], None)


def test_requests_on_one_connection_are_numbered(vendor: StandIn) -> None:
    with Client(vendor) as client:
        for _ in range(3):
            assert client.ask(upload()).status == 200
    records = vendor.wait_for(3)
    assert [record["nth_on_connection"] for record in records] == [1, 2, 3]
    assert len({record["connection"] for record in records}) == 1
    assert vendor.counts()["us"]["connections"] == 1


@pytest.mark.parametrize("size", [1, 3, 50])
def test_a_request_in_small_pieces_is_the_same_request(vendor: StandIn, size: int) -> None:
    whole = request(b"/sessions/v2/track", b"POST", b"Transfer-Encoding: chunked\r\n") + b"5\r\nhello\r\n0\r\n\r\n"
    with Client(vendor) as client:
        for start in range(0, len(whole), size):
            client.send(whole[start : start + size])
        assert client.answer().status == 200
    record = only_record(vendor)
    assert (record["body_length"], record["framing"], record["violations"]) == (5, "chunked", [])
    assert record["body_sha256"] == hashlib.sha256(b"hello").hexdigest()


def test_head_is_answered_without_a_body(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(request(method=b"HEAD"))
        assert int(client.answer(head_only=True).field("content-length") or 0) > 0
        assert client.ask(request()).status == 200


def test_a_preflight_is_answered_by_the_vendor_itself(vendor: StandIn) -> None:
    with Client(vendor) as client:
        answer = client.ask(request(b"/sessions/v2/track", b"OPTIONS"))
        assert (answer.status, answer.body, answer.field("access-control-allow-origin")) == (204, b"", "*")
        assert client.ask(request()).status == 200


def test_close_is_obeyed(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(request(fields=b"Connection: close\r\n"))
        data, ended = client.rest()
        assert b"\r\nConnection: close\r\n" in data
        assert ended == "closed"
    assert only_record(vendor)["violations"] == []


def test_an_action_obeys_close_too(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(request(b"/config/key?standin=delay:0.01", fields=b"Connection: close\r\n"))
        assert client.rest()[1] == "closed"


def test_broken_gzip_is_answered_400_and_noted(vendor: StandIn) -> None:
    with Client(vendor) as client:
        answer = client.ask(upload(b"not gzip", fields=b"Content-Encoding: gzip\r\n"))
        assert (answer.status, b"gzip" in answer.body) == (400, True)
        assert client.ask(upload(b"plain")).status == 200
    assert [record["decoded_ok"] for record in vendor.wait_for(2)] == [False, None]


def test_the_gzip_check_can_be_switched_off(vendor: StandIn) -> None:
    vendor.ask("PUT", "/options", {"check": False})
    try:
        with Client(vendor) as client:
            assert client.ask(upload(b"not gzip", fields=b"Content-Encoding: gzip\r\n")).status == 200
    finally:
        vendor.ask("PUT", "/options", {"check": True})
    assert only_record(vendor)["decoded_ok"] is None


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked_but_noted(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(request(b"/sessions/v2/track", b"POST", b"Expect: 100-continue\r\nContent-Length: 2\r\n"))
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.ask(b"{}").status == 200
    assert codes(only_record(vendor)) == ["hop_by_hop"]


# -- pipelining ---------------------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order_and_noted(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(upload(b"a") + request() + upload(b"b"))
        assert [client.answer().body[:9] for _ in range(3)] == [b'{"code":2', b'{"configs', b'{"code":2']
    assert [codes(record) for record in vendor.wait_for(3)] == [[], ["pipelined"], ["pipelined"]]


def test_a_request_during_a_slow_answer_is_pipelined(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(request(b"/config/first?standin=delay:0.2"))
        vendor.wait_for(1)
        client.send(upload(bytes(300_000)) + request(b"/config/third"))
        assert [client.answer().body[:9] for _ in range(3)] == [b'{"configs', b'{"code":2', b'{"configs']
    assert [codes(record) for record in vendor.wait_for(3)] == [[], ["pipelined"], ["pipelined"]]


def test_a_request_after_an_answer_is_not_pipelined(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.ask(request(b"/config/key?standin=delay:0.01"))
        client.ask(request())
    assert [codes(record) for record in vendor.wait_for(2)] == [[], []]


# -- what is broken -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "llhttp"),
        (b"GET / HTTP/1.1\nHost: a\n\n", "llhttp"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", "llhttp"),
        (b"\x16\x03\x01\x00\x05hello\r\n\r\n", "llhttp"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (2 << 20), "head"),
        (request(b"/", b"POST", b"Transfer-Encoding: chunked\r\n") + b"zz\r\n", "chunk"),
    ],
)
def test_what_cannot_be_read_is_answered_400_and_ends_the_connection(vendor: StandIn, data: bytes, code: str) -> None:
    with Client(vendor) as client:
        client.send(data)
        answer, ended = client.rest()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert ended == "closed"
    record = only_record(vendor)
    assert (codes(record)[0], record["complete"], record["status"]) == (code, False, 400)
    assert vendor.counts()["us"]["violations"] == len(record["violations"])


def test_the_bytes_behind_a_refused_request_are_not_read_as_another(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(b"GET / HTTP/1.1\r\nBad Name: a\r\n\r\n" + request())
        client.rest()
    assert len(vendor.wait_for(1)) == 1


def test_extensions_and_trailers_are_noted_on_the_wire(vendor: StandIn) -> None:
    with Client(vendor) as client:
        chunked = b"2;a=b\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n"
        client.ask(request(b"/sessions/v2/track", b"POST", b"Transfer-Encoding: chunked\r\n") + chunked)
    assert codes(only_record(vendor)) == ["chunk_extension", "trailer"]


def test_an_upload_that_breaks_off_is_recorded_as_incomplete(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(upload(b"x" * 100)[:-60])
    record = only_record(vendor)
    assert (record["complete"], record["body_length"], record["status"]) == (False, 40, None)
    assert record["body_sha256"] == hashlib.sha256(b"x" * 40).hexdigest()
    assert record["violations"] == []
    assert vendor.digests() == []


def test_a_head_that_breaks_off_is_recorded_as_incomplete(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(b"POST /sessions/v2/track HTTP/1.1\r\nHost: a\r\nCont")
    record = only_record(vendor)
    assert (record["method"], record["target"], record["complete"]) == ("POST", "/sessions/v2/track", False)


def test_a_connection_without_a_request_leaves_no_record(vendor: StandIn) -> None:
    Client(vendor).__exit__(None, None, None)
    with Client(vendor) as client:
        client.ask(request())
    assert len(vendor.wait_for(1)) == 1


def test_a_reset_in_mid_body_is_recorded_as_incomplete(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(upload(b"x" * 100)[:-60])
        while not vendor.requests():
            time.sleep(0.01)
        client.reset()
    assert not only_record(vendor)["complete"]


# -- large bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("site", ["us", "us-tls"])
def test_a_large_body_is_not_held_in_memory(vendor: StandIn, site: str) -> None:
    process = psutil.Process(vendor.pid)
    piece = bytes(range(256)) * 4096
    digest = hashlib.sha256()
    with Client(vendor, site) as client:
        client.ask(upload(piece))
        before = process.memory_info().rss
        client.send(request(b"/sessions/v2/track", b"POST", b"Content-Length: %d\r\n" % (64 * len(piece))))
        highest = before
        for _ in range(64):
            client.send(piece)
            digest.update(piece)
            highest = max(highest, process.memory_info().rss)
        assert client.answer().status == 200
    assert vendor.wait_for(2)[1]["body_sha256"] == digest.hexdigest()
    assert highest - before < 16 << 20


def test_bodies_are_kept_on_demand(vendor: StandIn) -> None:
    vendor.keep_bodies(1)
    with Client(vendor) as client:
        client.ask(upload(b"first"))
        client.ask(upload(b"\x00second"))
    first, second = vendor.wait_for(2)
    assert vendor.body(second["seq"]) == b"\x00second"
    with pytest.raises(Exception, match="not kept"):
        vendor.body(first["seq"])
