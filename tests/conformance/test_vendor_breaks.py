"""The vendor hangs, stops half-way, cuts off or hangs up: the client learns it in time, readably, and never as success.

What is asked of any proxy is here; what only the gateway promises is in tests/faults.
"""

from __future__ import annotations

import hashlib
import itertools

import pytest

from tests.conformance.carried import plain_post
from tests.conformance.cases import HOST, ORIGIN, TRACK_PATH, head
from tests.conformance.stage import Stage
from tests.conformance.wire import Answer, NoAnswer
from tests.gateway import eventually

OUTER = 5.0  # seconds; what is configured is one, what a browser waits is ten
FAILED = {502, 503, 504}  # which of them it is makes no difference to the SDK
CUTS = ["truncate:5000", "truncate:5000:reset", "truncate:3000000", "truncate_chunked:3", "truncate_chunked:3:reset"]
DEATHS = ["reset_before_answer", "close_before_answer", "close_after_head"]
_numbers = itertools.count(1)


def upload(body: bytes = b"{}", query: str = "type=replay", version: bytes = b"1.1") -> bytes:
    """An upload from a page."""
    return plain_post(ORIGIN, body=body, target=TRACK_PATH + b"?" + query.encode(), version=version)


def config(query: str) -> bytes:
    """A config request with a key of its own, so that no earlier good answer can stand in."""
    return head(b"GET /config/fault-%d?%b HTTP/1.1" % (next(_numbers), query.encode()), HOST, ORIGIN)


def ask(stage: Stage, request: bytes, timeout: float = OUTER) -> Answer | None:
    """The answer, None (and a difference) when there is none in time."""
    with stage.client() as client:
        client.send(request)
        try:
            return client.read(request.partition(b" ")[0], timeout)
        except NoAnswer as silence:
            stage.expect(False, str(silence))
            return None


def fails_readably(stage: Stage, request: bytes) -> None:
    """The answer says that the vendor failed, is whole, and can be read by the page."""
    answer = ask(stage, request)
    if answer:
        stage.expect(answer.status in FAILED, f"status {answer.status}")
        stage.expect(answer.complete, "the answer is cut off")
        stage.readable(answer)
        stage.traceable(answer)


@pytest.mark.parametrize("size", [2, 100_000, 900_000])
def test_no_answer_to_an_upload_is_told(stage: Stage, size: int) -> None:
    stage.standin.behave({"match": {"method": "POST"}, "action": "hang"})
    fails_readably(stage, upload(bytes(size)))
    stage.expect(len(stage.standin.requests()) == 1, "sent more than once")
    stage.standin.behave()
    stage.after()


def test_no_answer_to_config_is_told(stage: Stage) -> None:
    fails_readably(stage, config("standin=hang"))


def test_an_upload_that_the_vendor_does_not_read_is_answered(stage: Stage) -> None:
    stage.standin.behave({"match": {"method": "POST"}, "action": "hang_unread"})
    fails_readably(stage, upload(bytes(10_000_000)))
    stage.expect(not any(record["complete"] for record in stage.standin.requests()), "completed upstream")


def test_an_answer_that_stops_half_way_is_cut_off(stage: Stage) -> None:
    stage.standin.behave({"match": {"method": "POST"}, "action": "stall", "length": 100_000})
    answer = ask(stage, upload())
    stage.expect(answer and not answer.complete, "nobody was told in time")
    with stage.client() as client:
        client.send(upload())
        client.reader.expect(b"POST")
        while not (ending := client.wait(OUTER)):
            pass
        stage.expect(ending != "silent", "the connection is left open")


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_off_answer_is_never_a_whole_one(stage: Stage, cut: str, version: str) -> None:
    """Without a length the end of the connection is the end of the answer for HTTP/1.0: only a reset tells."""
    with stage.client() as client:
        client.send(upload(b"{}", f"standin={cut}", version.encode()))
        try:
            answer = client.read(b"POST", OUTER)
        except NoAnswer as silence:
            stage.expect("silent" not in str(silence), str(silence))
        else:
            stage.expect(not answer.complete or answer.status == 502, "a part looks like the whole")
    stage.after()


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("request_", ["upload", "config"])
def test_hanging_up_is_told(stage: Stage, death: str, request_: str) -> None:
    stage.standin.behave({"action": death})
    fails_readably(stage, upload() if request_ == "upload" else config("x=y"))
    stage.standin.behave()
    stage.after()


@pytest.mark.parametrize("death", DEATHS)
def test_a_connection_that_dies_when_it_is_used_again_costs_nothing(stage: Stage, death: str) -> None:
    """Most likely the vendor ended an idle connection, and the request met the end: nothing of it was taken."""
    with stage.reading():
        ask(stage, upload())
        stage.standin.clear()
        stage.standin.behave({"match": {"method": "POST", "first": 1}, "action": death})
        answer = ask(stage, upload(b"once"))
        stage.expect(answer and answer.status == 200, f"status {answer and answer.status}")
    whole = [record["body_sha256"] for record in stage.standin.requests() if record["status"] == 200]
    stage.expect(whole == [hashlib.sha256(b"once").hexdigest()], f"answered {len(whole)} times")


def ended(stage: Stage) -> int:
    """How many connections to the vendor are over, counted from anywhere."""
    return sum(one["connections"] - one["open"] for one in stage.standin.counts().values())


def wait_for_another_end(stage: Stage, before: int) -> None:
    """Until more than `before` have `ended`."""
    eventually(lambda: ended(stage) > before, what="the vendor has ended a connection")


def test_connections_that_the_vendor_ends_between_requests_cost_nothing(stage: Stage) -> None:
    """Each is over before the next request begins: what meets the end on its way is another matter (above), which nginx
    loses now and then."""
    stage.standin.behave({"action": "close_idle"})
    for number in range(10):
        before = ended(stage)
        answer = ask(stage, upload(b"x" * number))
        if stage.expect(answer and answer.status == 200, f"status {answer and answer.status}"):
            wait_for_another_end(stage, before)
    lengths = [record["body_length"] for record in stage.standin.requests() if record["complete"]]
    stage.expect(lengths == list(range(10)), "not each arrived once")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_an_answer_is_never_a_reason_to_send_again(stage: Stage, status: int) -> None:
    stage.standin.behave({"match": {"method": "POST"}, "action": "status", "code": status})
    answer = ask(stage, upload(b"once"))
    stage.expect(answer and answer.status == status, f"status {answer and answer.status}")
    stage.expect(len(stage.standin.requests()) == 1, "sent more than once")
