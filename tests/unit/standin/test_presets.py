"""Proves that each preset sends exactly the fault in its name, and that a plain connection stays
usable after those that leave it open."""

from __future__ import annotations

import pytest

from proxy.standin.actions import EXAMPLE
from proxy.standin.presets import AROUND, FIXED, HUGE_HEAD_BYTES, INTERIM_ANSWERS, MANY_FIELDS, NAMES, preset
from tests.standin import StandIn
from tests.unit.standin.client import SILENCE, Client, request

PROMISED = {
    "dup_length",
    "conflicting_length",
    "length_and_chunked",
    "bad_chunk",
    "bare_lf",
    "header_injection",
    "obs_fold",
    "space_before_colon",
    "huge_head",
    "many_fields",
    "status_000",
    "garbage",
    "http09",
    "interim_flood",
    "switching_101",
    "body_on_204",
    "body_on_304",
    "surplus",
    "unsolicited",
    "early_hints_103",
}


def played(vendor: StandIn, name: str, method: bytes = b"GET") -> bytes:
    """What a client receives from this preset until silence or the end."""
    received = b""
    with Client(vendor) as client:
        client.send(request(f"/config/key?standin={name}".encode(), method))
        received = client.socket.recv(1 << 20)
        client.socket.settimeout(SILENCE)
        try:
            while data := client.socket.recv(1 << 20):
                received += data
        except TimeoutError:
            pass
    return received


def test_all_promised_presets_exist() -> None:
    assert set(NAMES) >= PROMISED


def test_an_unknown_preset_is_refused_with_all_names() -> None:
    with pytest.raises(ValueError, match=r"no preset 'x'.*bad_chunk.*unsolicited"):
        preset("x", EXAMPLE)


@pytest.mark.parametrize("name", sorted(FIXED))
def test_a_fixed_preset_is_sent_verbatim(vendor: StandIn, name: str) -> None:
    assert played(vendor, name) == FIXED[name][1]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("dup_length", b"Content-Length: 12\r\nContent-Length: 12\r\n"),
        ("conflicting_length", b"Content-Length: 12\r\nContent-Length: 5\r\n"),
        ("length_and_chunked", b"Content-Length: 12\r\nTransfer-Encoding: chunked\r\n"),
        ("bad_chunk", b"\r\n\r\nzz\r\n"),
        ("header_injection", b"a\rX-Injected: yes\r\nX-Nul: a\x00b\r\n"),
        ("obs_fold", b"X-Folded: a\r\n b\r\n"),
        ("space_before_colon", b"X-Spaced : a\r\n"),
        ("status_000", b"HTTP/1.1 000 "),
        ("switching_101", b"HTTP/1.1 101 "),
        ("body_on_204", b'HTTP/1.1 204 No Content\r\nContent-Length: 12\r\n\r\n{"code":200}'),
        ("body_on_304", b'HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n{"code":200}'),
    ],
)
def test_the_fault_is_there_once(name: str, fault: bytes) -> None:
    assert FIXED[name][1].count(fault) == 1


def test_bare_lf_has_no_carriage_return() -> None:
    assert b"\r" not in FIXED["bare_lf"][1]


def test_the_big_ones_are_big() -> None:
    assert len(FIXED["huge_head"][1]) > HUGE_HEAD_BYTES
    assert FIXED["many_fields"][1].count(b"X-Field-") == MANY_FIELDS


def test_garbage_has_no_line_that_could_be_http() -> None:
    assert b"HTTP" not in FIXED["garbage"][1]


def test_interim_flood(vendor: StandIn) -> None:
    data = played(vendor, "interim_flood")
    assert data.startswith(b"HTTP/1.1 100 Continue\r\n\r\n" * INTERIM_ANSWERS + b"HTTP/1.1 200 OK\r\n")


def test_early_hints(vendor: StandIn) -> None:
    data = played(vendor, "early_hints_103")
    assert data.startswith(b"HTTP/1.1 103 Early Hints\r\n")
    assert data.count(b"HTTP/1.1 200 OK\r\n") == 1


def test_surplus_is_a_second_answer_behind_a_correct_one(vendor: StandIn) -> None:
    with Client(vendor) as client:
        assert client.ask(request(b"/config/key?standin=surplus")).status == 200
        assert client.answer().body == b'{"poisoned":true}'


def test_an_unsolicited_408_comes_on_the_idle_connection(vendor: StandIn) -> None:
    with Client(vendor) as client:
        assert client.ask(request(b"/config/key?standin=unsolicited")).status == 200
        assert client.answer().status == 408
        assert client.ask(request()).status == 200


def test_http09_is_a_body_alone_and_a_close(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(request(b"/config/key?standin=http09"))
        data, ended = client.rest()
        assert (data[:1], data[-1:], ended) == (b"{", b"}", "closed")


@pytest.mark.parametrize("name", sorted({*FIXED, *AROUND} - {"http09", "unsolicited"}))
def test_the_connection_stays_usable_and_the_status_is_counted(vendor: StandIn, name: str) -> None:
    with Client(vendor) as client:
        client.send(request(f"/config/key?standin={name}".encode()))
        sent = FIXED[name][1] if name in FIXED else b""
        client.exactly(len(sent)) if sent else client.answer()
        client.send(request(b"/config/again?standin=status:418"))
        client.until(b"HTTP/1.1 418 ")
    statuses = [record["status"] for record in vendor.wait_for(2)]
    assert statuses == [FIXED[name][0] if name in FIXED else 200, 418]
