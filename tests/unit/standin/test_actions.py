"""Proves from the client's side what each action does to the connection, over HTTP and, where it
matters, over TLS; and that a wrong action is refused with a text that names the possible ones."""

from __future__ import annotations

import base64
import gzip
import json
import time

import pytest

from proxy.standin.actions import EXAMPLE, KINDS, Action, ActionError, parameters, short_form
from proxy.standin.steps import Plan
from tests.standin import StandIn
from tests.unit.standin.client import Client, request, upload

SITES = ["us", "us-tls"]
OVER_BOTH = pytest.mark.parametrize("site", SITES)


def override(action: str) -> bytes:
    return request(b"/config/key?standin=" + action.encode())


def rest_after(vendor: StandIn, action: str, site: str = "us") -> tuple[bytes, str]:
    """All that comes for a request with this override, and how the connection ends."""
    with Client(vendor, site) as client:
        client.send(override(action))
        return client.rest()


def body_of(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[2]


# -- answers ------------------------------------------------------------------------------------------


def test_status(vendor: StandIn) -> None:
    with Client(vendor) as client:
        answer = client.ask(override("status:429:slow%20down"))
        assert (answer.status, answer.body) == (429, b"slow down")
        assert client.ask(request()).status == 200


def test_status_with_fields_and_delay(vendor: StandIn) -> None:
    vendor.behave({"action": "status", "code": 503, "headers": {"Retry-After": "7", "Server": "other"}, "delay": 0.2})
    with Client(vendor) as client:
        began = time.monotonic()
        answer = client.ask(upload())
        assert time.monotonic() - began >= 0.2
        assert (answer.status, answer.field("retry-after"), answer.field("server")) == (503, "7", "other")


def test_delay_then_the_default_answer(vendor: StandIn) -> None:
    with Client(vendor) as client:
        began = time.monotonic()
        assert client.ask(override("delay:0.3")).status == 200
        assert time.monotonic() - began >= 0.3


def test_drip_gives_the_whole_answer_in_single_bytes(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(override("drip:0.001"))
        pieces = [client.socket.recv(1 << 16)]
        while not b"".join(pieces).endswith(b"}}},"):
            pieces.append(client.socket.recv(1 << 16))
        assert len(pieces) > 20


def test_chunked(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(override("chunked:4"))
        head = client.until(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked\r\n" in head
        assert b"Content-Length" not in head
        chunks = []
        while size := int(client.until(b"\r\n"), 16):
            chunks.append(client.exactly(size + 2)[:-2])
        assert client.exactly(2) == b"\r\n"
        assert len(chunks) == 4
        assert json.loads(b"".join(chunks))["region"] == "us"
        assert client.ask(request()).status == 200


def test_large(vendor: StandIn) -> None:
    with Client(vendor) as client:
        answer = client.ask(override("large:1000001"))
        assert len(answer.body) == 1_000_001
        assert answer.body[:256] == bytes(range(256))
        assert client.ask(request()).status == 200


def test_a_large_answer_that_nobody_reads_does_not_stop_the_others(vendor: StandIn) -> None:
    with Client(vendor) as stuck, Client(vendor) as other:
        stuck.send(override("large:100000000"))
        stuck.until(b"\r\n\r\n")
        assert other.ask(request()).status == 200
        stuck.reset()
    wait_until_left(vendor, "us")


def test_gzip_config(vendor: StandIn) -> None:
    with Client(vendor) as client:
        answer = client.ask(override("gzip_config"))
        assert answer.field("content-encoding") == "gzip"
        assert json.loads(gzip.decompress(answer.body))["region"] == "us"


def test_skipped(vendor: StandIn) -> None:
    with Client(vendor) as client:
        answer = client.ask(override("skipped:4005"))
        assert (answer.status, answer.field("x-session-replay-event-skipped")) == (200, "4005")


def test_redirect(vendor: StandIn) -> None:
    with Client(vendor) as client:
        answer = client.ask(override("redirect:http://127.0.0.1:1/x"))
        assert (answer.status, answer.field("location")) == (307, "http://127.0.0.1:1/x")


def test_html(vendor: StandIn) -> None:
    with Client(vendor) as client:
        answer = client.ask(override("html"))
        assert (answer.status, answer.field("content-type")) == (200, "text/html")


def test_default_is_what_happens_without_a_rule(vendor: StandIn) -> None:
    with Client(vendor) as client:
        assert client.ask(override("default")).body == client.ask(request()).body


def test_raw_bytes_are_sent_verbatim(vendor: StandIn) -> None:
    vendor.behave(
        {"match": {"target_contains": "text"}, "action": "raw", "bytes": "a\u00ffb\r\n\r\n"},
        {
            "match": {"target_contains": "base"},
            "action": "raw",
            "b64": base64.b64encode(b"\x00\xff").decode(),
            "then": "close",
        },
    )
    with Client(vendor) as client:
        client.send(request(b"/text"))
        assert client.exactly(7) == b"a\xffb\r\n\r\n"
        client.send(request(b"/base"))
        assert client.rest() == (b"\x00\xff", "closed")


# -- silence ------------------------------------------------------------------------------------------


def test_hang_reads_all_and_says_nothing(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(upload(b"x" * 1_000_000, b"?standin=hang"))
        assert vendor.wait_for(1)[0]["complete"]
        assert client.quiet()
        assert vendor.requests()[0]["status"] is None


def test_a_client_that_leaves_a_hanging_answer_is_noticed(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(override("hang"))
        vendor.wait_for(1)
        assert vendor.counts()["us"]["open"] == 1
    wait_until_left(vendor, "us")


def test_stall_sends_half_and_then_nothing(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(override("stall:1000"))
        assert client.answer(head_only=True).field("content-length") == "1000"
        client.exactly(500)
        assert client.quiet()


def wait_until_left(vendor: StandIn, site: str) -> None:
    """Returns when the stand-in knows of no open connection any more."""
    while vendor.counts()[site]["open"]:
        time.sleep(0.01)


def stuck_after(client: Client, body: bytes) -> int:
    """How many bytes of `body` can be sent until nothing moves any more for a while."""
    client.socket.settimeout(0.5)
    sent = 0
    try:
        while sent < len(body):
            sent += client.socket.send(body[sent : sent + 16384])
    except TimeoutError:
        pass
    return sent


@OVER_BOTH
def test_slow_read_makes_the_sender_wait(vendor: StandIn, site: str) -> None:
    body = bytes(8 << 20)
    with Client(vendor, site, send_buffer=16384) as client:
        whole = upload(body, b"?standin=slow_read:1000")
        assert stuck_after(client, whole) < len(body) // 4
        assert vendor.requests()[0]["ended"] is None
        client.reset()
        assert not vendor.wait_for(1)[0]["complete"]


@OVER_BOTH
def test_slow_read_reads_everything_in_the_end(vendor: StandIn, site: str) -> None:
    body = bytes(range(256)) * 1000
    with Client(vendor, site) as client:
        assert client.ask(upload(body, b"?standin=slow_read:1000000")).status == 200
        assert client.ask(upload(b"quick again")).status == 200
    first = vendor.wait_for(2)[0]
    assert (first["body_length"], first["complete"]) == (len(body), True)


def test_hang_unread_by_request_reads_nothing_more(vendor: StandIn) -> None:
    with Client(vendor, send_buffer=16384) as client:
        client.send(request(b"/sessions/v2/track?standin=hang_unread", b"POST", b"Content-Length: 50000000\r\n"))
        assert not vendor.wait_for(1)[0]["complete"]
        assert stuck_after(client, bytes(50_000_000)) < 25_000_000
        client.reset()
    wait_until_left(vendor, "us")


# -- early answers ------------------------------------------------------------------------------------

UNFINISHED = b"POST /sessions/v2/track?standin=%b HTTP/1.1\r\nHost: api-sr.amplitude.com\r\nContent-Length: 10\r\n\r\n"


def test_an_early_answer_comes_before_the_body_and_the_connection_goes_on(vendor: StandIn) -> None:
    with Client(vendor) as client:
        assert client.ask(UNFINISHED % b"early_answer:413").status == 413
        assert vendor.requests()[0]["ended"] is None
        client.send(b"0123456789")
        assert client.ask(request()).status == 200
    record = vendor.wait_for(2)[0]
    assert (record["complete"], record["status"], record["violations"]) == (True, 413, [])


@OVER_BOTH
@pytest.mark.parametrize(("then", "ending"), [("close", "closed"), ("reset", "reset")])
def test_an_early_answer_that_ends_the_connection(vendor: StandIn, site: str, then: str, ending: str) -> None:
    with Client(vendor, site) as client:
        client.send(UNFINISHED % f"early_answer:503:{then}".encode())
        data, ended = client.rest()
        assert data.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nConnection: close\r\n" in data
        assert ended == ending
    assert not vendor.wait_for(1)[0]["complete"]


def test_an_early_answer_that_closes_survives_a_body_under_way(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(UNFINISHED % b"early_answer:503:close" + b"01234")
        data, ended = client.rest()
        assert (data[:13], ended) == (b"HTTP/1.1 503 ", "closed")


def test_an_early_answer_that_ignores_the_body(vendor: StandIn) -> None:
    with Client(vendor) as client:
        client.send(UNFINISHED.replace(b": 10", b": 90000000") % b"early_answer:413:ignore")
        assert client.answer(head_only=True).status == 413
        assert stuck_after(client, bytes(90_000_000)) < 45_000_000
        client.reset()


# -- broken connections -------------------------------------------------------------------------------


@OVER_BOTH
@pytest.mark.parametrize(("action", "ending"), [("reset_before_answer", "reset"), ("close_before_answer", "closed")])
def test_no_answer_after_the_whole_request(vendor: StandIn, site: str, action: str, ending: str) -> None:
    with Client(vendor, site) as client:
        client.send(upload(b"x" * 100_000, b"?standin=" + action.encode()))
        assert client.rest() == (b"", ending)
    record = vendor.wait_for(1)[0]
    assert (record["complete"], record["status"]) == (True, None)


@OVER_BOTH
@pytest.mark.parametrize(("action", "ending"), [("close_after_head", "closed"), ("reset_after_head", "reset")])
@pytest.mark.parametrize("part", [b"", b"01234"])
def test_the_connection_ends_after_the_head(vendor: StandIn, site: str, action: str, ending: str, part: bytes) -> None:
    with Client(vendor, site) as client:
        client.send(UNFINISHED % action.encode() + part)
        assert client.rest() == (b"", ending)
    assert not vendor.wait_for(1)[0]["complete"]


@pytest.mark.parametrize(("action", "ending"), [("reset_on_accept", "reset"), ("close_on_accept", "closed")])
def test_an_accept_action_by_request_is_played_at_its_head(vendor: StandIn, action: str, ending: str) -> None:
    assert rest_after(vendor, action) == (b"", ending)


@OVER_BOTH
@pytest.mark.parametrize(("end", "ending"), [("close", "closed"), ("reset", "reset")])
def test_truncate_declares_more_than_it_sends(vendor: StandIn, site: str, end: str, ending: str) -> None:
    data, ended = rest_after(vendor, f"truncate:5000:{end}", site)
    assert b"\r\nContent-Length: 5000\r\n" in data
    assert (len(body_of(data)), ended) == (2500, ending)


def test_truncate_without_close_notify(vendor: StandIn) -> None:
    data, ended = rest_after(vendor, "truncate:5000:eof", "us-tls")
    assert (len(body_of(data)), ended) == (2500, "cut")


def test_truncate_of_the_default_answer(vendor: StandIn) -> None:
    data, ended = rest_after(vendor, "truncate")
    length = int(data.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    assert (len(body_of(data)), ended) == (length // 2, "closed")


@OVER_BOTH
@pytest.mark.parametrize(("end", "ending"), [("close", "closed"), ("reset", "reset")])
def test_truncate_chunked_has_no_last_chunk(vendor: StandIn, site: str, end: str, ending: str) -> None:
    data, ended = rest_after(vendor, f"truncate_chunked:2:{end}", site)
    assert b"\r\nTransfer-Encoding: chunked\r\n" in data
    assert data.endswith(b"}\r\n")
    assert ended == ending


@OVER_BOTH
def test_close_delimited(vendor: StandIn, site: str) -> None:
    data, ended = rest_after(vendor, "close_delimited", site)
    assert b"Content-Length" not in data
    assert b"\r\nConnection: close\r\n" in data
    assert json.loads(body_of(data))["region"] == "us"
    assert ended == "closed"


def test_close_delimited_cut_off(vendor: StandIn) -> None:
    assert rest_after(vendor, "close_delimited:reset")[1] == "reset"
    assert rest_after(vendor, "close_delimited:eof", "us-tls")[1] == "cut"


@OVER_BOTH
def test_close_idle_after_a_proper_answer(vendor: StandIn, site: str) -> None:
    with Client(vendor, site) as client:
        answer = client.ask(override("close_idle"))
        assert (answer.status, answer.field("connection")) == (200, None)
        assert client.rest() == (b"", "closed")


def test_close_idle_does_not_hit_a_request_that_came_in_time(vendor: StandIn) -> None:
    with Client(vendor) as client:
        assert client.ask(override("close_idle:0.2")).status == 200
        assert client.ask(override("delay:0.4")).status == 200
        assert client.ask(request()).status == 200


# -- choosing and checking ----------------------------------------------------------------------------


def test_every_action_can_be_played_with_its_defaults_but_raw() -> None:
    for name in KINDS.keys() - {"raw"}:
        assert isinstance(Action(name, {}).plan(EXAMPLE), Plan)


def test_an_unknown_action_is_refused_with_all_names() -> None:
    with pytest.raises(ActionError, match=r"no action 'explode'.*close_idle.*bad_chunk"):
        Action("explode", {})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("status", {"cod": 1}),
        ("status", {"code": "many"}),
        ("status", {"code": None}),
        ("status", {"headers": "X: y"}),
        ("delay", {"seconds": -1}),
        ("delay", {"seconds": "nan"}),
        ("slow_read", {"bytes_per_second": 0}),
        ("early_answer", {"then": "explode"}),
        ("truncate", {"end": "never"}),
        ("chunked", {"n": 0}),
        ("raw", {}),
        ("raw", {"preset": "unheard_of"}),
        ("raw", {"b64": "not base64"}),
        ("raw", {"bytes": "\u20ac"}),
        ("hang", {"seconds": 1}),
    ],
)
def test_a_wrong_parameter_is_refused_before_any_request(name: str, arguments: dict[str, object]) -> None:
    with pytest.raises(ActionError, match=f"action '{name}'"):
        Action(name, arguments)


def test_the_short_form_of_an_action_without_parameters_takes_none() -> None:
    with pytest.raises(ActionError, match="takes no argument"):
        short_form("hang:1")


def test_a_wrong_override_is_answered_with_the_reason(vendor: StandIn) -> None:
    with Client(vendor) as client:
        answer = client.ask(override("explode"))
        assert answer.status == 500
        assert b"no action 'explode'" in answer.body


def test_the_short_form_skips_empty_arguments_and_objects() -> None:
    action = short_form("status::text")
    assert action.name == "status"
    assert b"503 Service Unavailable" in next(s.data for s in action.plan(EXAMPLE).steps if hasattr(s, "data"))
    assert list(parameters(KINDS["status"].build)) == ["code", "body", "delay", "headers"]


def test_a_preset_is_an_action_of_its_own_name() -> None:
    assert short_form("bad_chunk").plan(EXAMPLE) == short_form("raw:bad_chunk").plan(EXAMPLE)
    assert short_form("garbage:close").plan(EXAMPLE) == short_form("raw:garbage:close").plan(EXAMPLE)
