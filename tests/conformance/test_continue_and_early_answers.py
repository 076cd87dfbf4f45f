"""Answers that come before the body is complete reach the client, and 100 Continue comes when it was asked for.

An upload that is refused early must end in a readable answer, not in a reset: a browser that sees a reset takes it
for a broken network and drops the batch.
"""

from __future__ import annotations

import hashlib

import pytest

from tests.conformance.carried import chunked_post, plain_post
from tests.conformance.cases import TRACK_PATH, chunked, post
from tests.conformance.stage import CHOICE, Stage

FIVE_MEGABYTES = 5_000_000
# Enough of an upload for any of the systems to turn to the upstream: the gateway waits for `limits.retry_body`.
UNDER_WAY = 200_000


def early(order: str, size: int) -> bytes:
    """An upload of `size` bytes whose query orders the answer."""
    return plain_post(
        b"Origin: https://app.example.com", body=bytes(size), target=TRACK_PATH + b"?standin=" + order.encode()
    )


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_continue_then_the_answer(stage: Stage, framing: str) -> None:
    body = b"hello" * 1000
    request = post(b"Expect: 100-continue", b"Content-Length: 5000") + body
    if framing == "chunked":
        request = chunked_post(chunked(body), b"Expect: 100-Continue")
    start = request.index(b"\r\n\r\n") + 4
    with stage.reading(), stage.client() as client:
        client.send(request[:start])
        # Only when the 100 has come the body follows: a proxy that doesn't send it hangs here.
        client.reader.expect(b"POST")
        while not client.reader.interim_seen:
            if not stage.expect(client.wait() == "", "no 100 Continue"):
                return
        client.send(request[start:])
        while not client.reader.answers:
            if not stage.expect(client.wait() == "", "no answer"):
                return
        answer = client.reader.answers.popleft()
        stage.expect(answer.status == 200, f"status {answer.status}")
        stage.expect(answer.interim == (100,), f"interim answers {list(answer.interim)}", CHOICE)
    seen = stage.after()
    stage.expect([r["body_sha256"] for r in seen] == [hashlib.sha256(body).hexdigest()], "another body arrived")
    stage.expect(not any(name.lower() == "expect" for r in seen for name, _ in r["headers"]), "Expect passed", CHOICE)
    stage.no_violations(seen)


def test_a_client_that_does_not_wait_for_continue(stage: Stage) -> None:
    with stage.client() as client:
        answer = client.ask(post(b"Expect: 100-continue", b"Content-Length: 5") + b"hello")
        stage.expect(answer.status == 200, f"status {answer.status}")
        stage.expect(answer.interim in ((), (100,)), f"interim answers {list(answer.interim)}", CHOICE)
    stage.expect([record["body_length"] for record in stage.after()] == [5], "another body arrived")


def test_a_refused_upload_gets_no_continue(stage: Stage) -> None:
    with stage.client() as client:
        answer = client.ask(post(b"Expect: 100-continue", b"Content-Length: 100000000"))
        stage.expect((answer.status, answer.interim) == (413, ()), f"{answer.status} after {list(answer.interim)}")
    stage.expect(not stage.after(), "forwarded")


@pytest.mark.parametrize("size", [1000, 100_000, FIVE_MEGABYTES])
@pytest.mark.parametrize(
    "order", ["early_answer:413", "early_answer:503:close", "early_answer:503:ignore", "early_answer:429:reset"]
)
def test_an_early_answer_is_read_by_a_client_that_sends_all_first(stage: Stage, order: str, size: int) -> None:
    with stage.reading(), stage.client() as client:
        client.send(early(order, size))
        answer = client.read(b"POST")
        expected = {int(order.split(":")[1])}
        if order.endswith("reset"):
            # The reset may overtake the answer on the proxy's own upstream connection; then it is a 502.
            expected.add(502)
        stage.expect(answer.status in expected, f"status {answer.status}")
        stage.expect(answer.complete, "the answer is cut off")
        stage.readable(answer)
    stage.after()


def test_an_early_answer_is_read_by_a_client_that_sends_slowly(stage: Stage) -> None:
    request = early("early_answer:413", FIVE_MEGABYTES)
    with stage.reading(), stage.client() as client:
        client.send(request[:UNDER_WAY])
        answer = client.read(b"POST")
        stage.expect((answer.status, answer.complete) == (413, True), f"status {answer.status}")
        stage.readable(answer)
    stage.after()


def test_the_rest_of_an_upload_that_was_answered_early_is_not_a_request(stage: Stage) -> None:
    hidden = b"GET /config/hidden HTTP/1.1\r\nHost: replay.example.com\r\n\r\n"
    request = early("early_answer:413", UNDER_WAY + len(hidden))[: -len(hidden)]
    with stage.reading(), stage.client() as client:
        answer = client.ask(request)
        stage.expect(answer.status == 413, f"status {answer.status}")
        client.send(hidden)
        if answer.keeps_alive:
            client.send(plain_post())
            stage.expect(bytes(client.read(b"POST").body) == b'{"code":200}', "not the answer to the next request")
        else:
            stage.expect((ending := client.ending()) == "closed", f"connection {ending}")
    stage.expect(not any("hidden" in record["target"] for record in stage.after()), "read as a request")


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_too_large_is_read_by_a_client_that_sends_all_first(stage: Stage, framing: str) -> None:
    size = 20_000_000
    request = plain_post(b"Origin: https://app.example.com", body=bytes(size))
    if framing == "chunked":
        request = chunked_post(chunked(*[bytes(1_000_000)] * 20), b"Origin: https://app.example.com")
    with stage.reading(), stage.client() as client:
        client.send(request)
        answer = client.read(b"POST")
        stage.expect((answer.status, answer.complete) == (413, True), f"status {answer.status}")
        stage.expect(
            b"Payload exceeds the maximum allowed size of" in answer.body, "without the words the SDK looks for"
        )
        stage.readable(answer)
    stage.expect(not any(record["complete"] for record in stage.after()), "completed upstream")
