"""One connection, many requests: answered in order, however the bytes are cut, and never mixed with another's.

Keep-alive, pipelining, half-closed clients, HTTP/1.0 clients, HEAD, requests cut at every byte.
"""

from __future__ import annotations

import hashlib
import json
import random

import pytest

from tests.conformance.carried import chunked_post, config, events, plain_post, upload
from tests.conformance.cases import CONFIG, HOST, KEY, ORIGIN, TRACK, chunked, get, head, post
from tests.conformance.stage import Stage
from tests.conformance.wire import Client

CODE_200 = b'{"code":200}'


def answered(client: Client, stage: Stage, method: bytes, body: bytes) -> None:
    """The next answer is a whole 200 with this beginning of a body."""
    answer = client.read(method)
    stage.expect(answer.status == 200, f"status {answer.status}")
    stage.expect(answer.complete and answer.body.startswith(body), f"body {answer.body[:40]!r}")


def test_a_hundred_requests_on_one_connection(stage: Stage) -> None:
    with stage.client() as client:
        for number in range(100):
            body = b"x" * number
            client.send(plain_post(body=body, target=TRACK + b"&n=%d" % number))
            answered(client, stage, b"POST", CODE_200)
    seen = stage.after()
    stage.expect([record["body_length"] for record in seen] == list(range(100)), "other uploads arrived")
    stage.no_violations(seen)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_pipelined_uploads_are_answered_in_order(stage: Stage, count: int) -> None:
    requests = [plain_post(body=b"x" * n, target=b"/sessions/v2/track?standin=status:2%02d" % n) for n in range(count)]
    with stage.client() as client:
        client.send(b"".join(requests))
        for number in range(count):
            answer = client.read(b"POST")
            stage.expect(answer.status == 200 + number and answer.complete, f"answer {number} is {answer.status}")
    seen = stage.after()
    stage.expect([record["body_length"] for record in seen] == list(range(count)), "other uploads arrived")


def test_pipelined_requests_of_every_kind(stage: Stage) -> None:
    body = events(20)
    preflight = head(b"OPTIONS " + TRACK + b" HTTP/1.1", HOST, ORIGIN, b"Access-Control-Request-Method: POST")
    with stage.client() as client:
        client.send(
            config()
            + upload(body, coding=b"")
            + config()
            + chunked_post(chunked(b"abc", b"def"))
            + preflight
            + config()
        )
        answered(client, stage, b"GET", b'{"configs"')
        answered(client, stage, b"POST", CODE_200)
        answered(client, stage, b"GET", b'{"configs"')
        answered(client, stage, b"POST", CODE_200)
        stage.expect(client.read(b"OPTIONS").status == 204, "no preflight answer in its place")
        answered(client, stage, b"GET", b'{"configs"')
    digests = [record["body_sha256"] for record in stage.after() if record["method"] == "POST"]
    stage.expect(digests == [hashlib.sha256(data).hexdigest() for data in (body, b"abcdef")], "other uploads arrived")


def test_a_pipelined_fault_ends_the_connection_after_the_answers_before_it(stage: Stage) -> None:
    bad = post(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"
    with stage.client() as client:
        client.send(plain_post() + bad + plain_post(target=TRACK + b"&after"))
        answered(client, stage, b"POST", CODE_200)
        answer = client.read(b"POST")
        stage.expect(answer.status == 400, f"status {answer.status}")
        stage.expect((ending := client.ending()) == "closed", f"connection {ending}")
    stage.expect(len(stage.after()) == 1, "something behind the fault was forwarded")


def test_a_pipelined_request_behind_connection_close_is_not_read(stage: Stage) -> None:
    with stage.client() as client:
        client.send(plain_post(b"Connection: close") + plain_post(target=TRACK + b"&after"))
        answered(client, stage, b"POST", CODE_200)
        stage.expect((ending := client.ending()) == "closed", f"connection {ending}")
    stage.expect(len(stage.after()) == 1, "the request behind was forwarded")


def test_a_refused_method_leaves_no_body_to_be_read_as_a_request(stage: Stage) -> None:
    hidden = head(b"GET /config/hidden HTTP/1.1", HOST)
    with stage.client() as client:
        client.send(head(b"PUT " + TRACK + b" HTTP/1.1", HOST, ORIGIN, b"Content-Length: %d" % len(hidden)) + hidden)
        answer = client.read(b"PUT")
        stage.expect(answer.status == 405, f"status {answer.status}")
        if answer.keeps_alive:
            client.send(plain_post())
            answered(client, stage, b"POST", CODE_200)
        else:
            stage.expect((ending := client.ending()) == "closed", f"connection {ending}")
    stage.expect(not any("hidden" in record["target"] for record in stage.after()), "the body was read as a request")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_body_where_none_belongs_is_never_read_as_a_request(stage: Stage, method: str) -> None:
    hidden = head(b"GET /config/hidden HTTP/1.1", HOST)
    line = method.encode() + b" " + CONFIG + b" HTTP/1.1"
    with stage.client() as client:
        client.send(head(line, HOST, ORIGIN, b"Content-Length: %d" % len(hidden)) + hidden)
        answer = client.read(method.encode())
        stage.expect(answer.status in (200, 204, 400, 413), f"status {answer.status}")
        if answer.keeps_alive:
            client.send(plain_post())
            answered(client, stage, b"POST", CODE_200)
    seen = stage.after()
    stage.expect(not any("hidden" in record["target"] for record in seen), "the body was read as a request")
    stage.no_violations(seen)


def test_a_body_shorter_than_announced_waits_and_is_never_completed(stage: Stage) -> None:
    with stage.client() as client:
        client.send(post(b"Content-Length: 10") + b"12345")
        stage.expect(client.ending(0.3) == "open", "an unfinished upload was answered")
    seen = stage.after()
    stage.expect(not any(record["complete"] for record in seen), "an unfinished upload was completed upstream")


def test_a_head_cut_at_every_byte(stage: Stage) -> None:
    request = upload(b"hello", coding=b"")
    body_at = request.index(b"\r\n\r\n") + 4
    with stage.client() as client:
        for at in range(1, body_at + 1):
            client.send(request[:at])
            client.send(request[at:])
            answered(client, stage, b"POST", CODE_200)
    seen = stage.after()
    digests = {record["body_sha256"] for record in seen}
    stage.expect(len(seen) == body_at and digests == {hashlib.sha256(b"hello").hexdigest()}, "other uploads arrived")
    stage.expect(
        len({json.dumps(without_ids(record["headers"])) for record in seen}) == 1, "fields differ with the cut"
    )
    stage.no_violations(seen)


def without_ids(fields: list[list[str]]) -> list[list[str]]:
    """Fields that must not depend on how the request was cut."""
    return [field for field in fields if field[0].lower() != "x-request-id"]


def test_a_request_sent_byte_by_byte(stage: Stage) -> None:
    with stage.client() as client:
        for octet in upload(b"hello", coding=b""):
            client.send(bytes((octet,)))
        answered(client, stage, b"POST", CODE_200)
        for octet in chunked_post(chunked(b"hello", b"world")):
            client.send(bytes((octet,)))
        answered(client, stage, b"POST", CODE_200)
    stage.expect([record["body_length"] for record in stage.after()] == [5, 10], "other uploads arrived")


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_cut_at_random(stage: Stage, coding: str) -> None:
    chance = random.Random(42)
    body = chance.randbytes(300_000)
    pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    request = upload(body, coding=b"") if coding == "length" else chunked_post(chunked(*pieces))
    with stage.client() as client:
        at = 0
        while at < len(request):
            size = chance.choice((1, 2, 7, 100, 1460, 9000, 65_536))
            client.send(request[at : at + size])
            at += size
        answered(client, stage, b"POST", CODE_200)
    digests = [record["body_sha256"] for record in stage.after()]
    stage.expect(digests == [hashlib.sha256(body).hexdigest()], "another body arrived")


def test_two_requests_whose_border_is_cut_anywhere(stage: Stage) -> None:
    first, second = plain_post(body=b"first"), plain_post(body=b"second")
    both = first + second
    with stage.client() as client:
        for at in range(len(first) - 8, len(first) + 8):
            client.send(both[:at])
            client.send(both[at:])
            answered(client, stage, b"POST", CODE_200)
            answered(client, stage, b"POST", CODE_200)
    lengths = [record["body_length"] for record in stage.after()]
    stage.expect(lengths == [5, 6] * 16, "other uploads arrived")


@pytest.mark.parametrize("request_", ["upload", "config"])
def test_a_client_that_sends_no_more_still_gets_its_answer(stage: Stage, request_: str) -> None:
    # The delay keeps the answer out until the proxy has seen the end of the client's side.
    target = b"?standin=delay:0.3"
    data = (
        plain_post(target=b"/sessions/v2/track" + target)
        if request_ == "upload"
        else config(b"/config/" + KEY + target)
    )
    with stage.reading(), stage.client() as client:
        client.send(data)
        client.half_close()
        answer = client.read(data.partition(b" ")[0])
        stage.expect((answer.status, answer.complete) == (200, True), f"status {answer.status}")
        stage.expect((ending := client.ending()) == "closed", f"connection {ending}")
    stage.after()


def test_pipelined_requests_of_a_client_that_sends_no_more(stage: Stage) -> None:
    with stage.reading(), stage.client() as client:
        client.send(plain_post() * 3)
        client.half_close()
        for _ in range(3):
            answered(client, stage, b"POST", CODE_200)
        stage.expect((ending := client.ending()) == "closed", f"connection {ending}")
    stage.expect(len(stage.after()) == 3, "not all arrived")


def test_a_half_closed_upload_is_never_completed(stage: Stage) -> None:
    with stage.client() as client:
        client.send(post(b"Content-Length: 10") + b"12345")
        client.half_close()
        stage.expect((ending := ended(client)) in ("closed", "answered"), f"connection {ending}")
    stage.expect(not any(record["complete"] for record in stage.after()), "completed upstream")


def ended(client: Client) -> str:
    """How the connection ends, an answer included if there is one."""
    client.reader.expect(b"POST")
    while (ending := client.wait()) == "":
        pass
    return "answered" if client.reader.answers else ending


def test_head_gets_the_length_and_no_body(stage: Stage) -> None:
    with stage.client() as client:
        whole = client.ask(config())
        answer = client.ask(config(method=b"HEAD"))
        stage.expect(answer.status == 200 and answer.declared == len(whole.body), f"length {answer.declared}")
        stage.readable(answer)
        client.send(plain_post())
        answered(client, stage, b"POST", CODE_200)
    stage.expect([record["method"] for record in stage.after()] == ["GET", "HEAD", "POST"], "other methods arrived")


def test_http_1_0_keep_alive_serves_several(stage: Stage) -> None:
    request = plain_post(b"Connection: keep-alive", version=b"1.0")
    with stage.client() as client:
        for _ in range(3):
            client.send(request)
            answered(client, stage, b"POST", CODE_200)
        client.send(plain_post(version=b"1.0"))
        answered(client, stage, b"POST", CODE_200)
        stage.expect((ending := client.ending()) == "closed", f"connection {ending}")
    stage.after()


def test_http_1_0_clients_get_no_chunks(stage: Stage) -> None:
    target = b"/sessions/v2/track?standin=chunked:3"
    for lines in ((), (b"Connection: keep-alive",)):
        with stage.reading(), stage.client() as client:
            answer = client.ask(plain_post(*lines, target=target, version=b"1.0"))
            stage.expect(answer.framing != "chunked", "chunked to HTTP/1.0")
            stage.expect(answer.complete and answer.body == CODE_200, "not the whole answer")
    stage.after()


def test_http_1_0_clients_get_no_interim_answers(stage: Stage) -> None:
    request = plain_post(b"Expect: 100-continue", version=b"1.0", target=b"/sessions/v2/track?standin=early_hints_103")
    with stage.client() as client:
        answer = client.ask(request)
        stage.expect((answer.status, answer.interim) == (200, ()), f"{answer.status} after {list(answer.interim)}")
    stage.after()


def test_two_clients_at_once_get_their_own_answers(stage: Stage) -> None:
    with stage.client() as slow, stage.client() as quick:
        slow.send(plain_post(target=b"/sessions/v2/track?standin=delay:0.3", body=b"slow"))
        for _ in range(10):
            quick.send(get())
            answered(quick, stage, b"GET", b'{"configs"')
        answered(slow, stage, b"POST", CODE_200)
    stage.after()


LAST_MESSAGES = {
    "close": plain_post(b"Connection: close"),
    "close-after-chunks": chunked_post(chunked(b"abc"), b"Connection: close"),
    "close-in-a-trailer": chunked_post(chunked(b"abc")[:-2] + b"Connection: close\r\n\r\n"),
    "upgrade-in-a-trailer": chunked_post(chunked(b"abc")[:-2] + b"Upgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
    "length-in-a-trailer": chunked_post(chunked(b"abc")[:-2] + b"Content-Length: 5\r\n\r\n"),
    "http-1.0": plain_post(version=b"1.0"),
    "half-a-body": plain_post(body=bytes(1000))[:-500],
    "half-a-head": plain_post()[:40],
    "bad-chunks": chunked_post(b"zz\r\n"),
    "nonsense": b"\0\1\2\r\n\r\n",
}


@pytest.mark.parametrize("name", LAST_MESSAGES)
def test_however_a_connection_ends_the_next_client_is_served(stage: Stage, name: str) -> None:
    for _ in range(3):
        with stage.reading(), stage.client() as client:
            client.send(LAST_MESSAGES[name])
            if not name.startswith("half"):
                client.read(b"POST")
        for request in (plain_post(body=b"next"), chunked_post(chunked(b"next"))):
            with stage.client() as client:
                client.send(request)
                answered(client, stage, b"POST", CODE_200)
    stage.expect([record["body_length"] for record in stage.after()].count(4) == 6, "not each next upload arrived")
