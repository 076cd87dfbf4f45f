"""A good answer is relayed whole and clean; a bad one becomes a readable 502 or a visible break, never a good one.

And whatever the upstream did on a connection, the next client gets its own answer.
"""

from __future__ import annotations

import itertools
from urllib.parse import unquote

import pytest

from tests.conformance.answers import MARKS, RELAYED, SPOILT, Relayed, Spoilt
from tests.conformance.cases import HOST, ORIGIN, head
from tests.conformance.stage import CHOICE, Stage, folded
from tests.conformance.wire import Answer, NoAnswer

AT_MOST = 4.0  # seconds; every one of these faults is there to see at once, none is a time-out
INTERIM = {"continue", "processing-with-fields", "early-hints"}
LONGEST_ORDER = 6000  # bytes of query that every proxy takes
_numbers = itertools.count(1)


def asking(stage: Stage, method: bytes, standin: str) -> bytes:
    """A request whose query orders the upstream's answer. Config requests have a key of their own each, so that no
    earlier good answer can stand in. An order too long for a query is given to the stand-in directly."""
    query = f"standin={standin}"
    if len(query) > LONGEST_ORDER:
        query = f"order={next(_numbers)}"
        answer = unquote(standin.rpartition(":")[2])
        stage.standin.behave({"match": {"target_contains": query}, "action": "raw", "b64": answer})
    if method == b"POST":
        target = b"/sessions/v2/track?" + query.encode()
        return head(b"POST " + target + b" HTTP/1.1", HOST, ORIGIN, b"Content-Length: 2") + b"{}"
    target = b"/config/key-%d?%b" % (next(_numbers), query.encode())
    return head(method + b" " + target + b" HTTP/1.1", HOST, ORIGIN)


@pytest.mark.parametrize("case", RELAYED, ids=lambda case: case.name)
def test_relayed(case: Relayed, stage: Stage) -> None:
    with stage.reading(), stage.client() as client:
        answer = client.ask(asking(stage, case.method, case.standin))
        judge_whole(case, answer, stage)
        if answer.keeps_alive:
            again = client.ask(asking(stage, b"POST", "default"))
            stage.expect(
                again.body == b'{"code":200}',
                f"the next answer here is {again.status} {again.body[:40]!r}",
            )
    stage.after()


def judge_whole(case: Relayed, answer: Answer, stage: Stage) -> None:
    """Status, body and fields are the upstream's, CORS and tracing the gateway's."""
    stage.expect(answer.status == case.status, f"status {answer.status}")
    stage.expect(answer.complete, "the answer is cut off")
    # Browsers have no use for interim answers; but RFC 9110, 15.2, asks proxies to forward them.
    stage.expect(not answer.interim, f"interim answers {list(answer.interim)}", CHOICE)
    if case.name in INTERIM:
        stage.look(answer.interim, "an interim answer is kept back", "interim")
    if case.body is not None:
        stage.expect(answer.body == case.body, f"body {answer.body[:60]!r}")
    else:
        stage.expect(
            answer.body == (bytes(range(256)) * 80_000)[: int(case.standin.rpartition(":")[2])], "another body"
        )
    names = {name for name, _ in case.fields}
    fields = tuple((name, value) for name, value in answer.fields if name in names)
    told = folded(answer.fields)
    if stage.expect(all(told.get(name) == values for name, values in folded(case.fields).items()), f"fields {fields}"):
        stage.expect(fields == case.fields, "fields in another case or order", "spelling")
    passed = sorted(case.gone & {name.lower() for name, _ in answer.fields})
    stage.expect(not passed, f"passed: {', '.join(passed)}")
    nothing_leaks(answer, stage)
    stage.readable(answer)
    stage.traceable(answer)
    stage.expect(not answer.all("set-cookie"), "Set-Cookie passed", "cookies")


@pytest.mark.parametrize("case", SPOILT, ids=lambda case: case.name)
def test_spoilt(case: Spoilt, stage: Stage) -> None:
    with stage.reading(), stage.client() as client:
        try:
            answer = client.ask(asking(stage, case.method, case.standin), AT_MOST)
        except NoAnswer as silence:
            # Broken off before the head was out of the gateway's own buffers: visible all the same.
            stage.expect(case.begun, str(silence))
        else:
            judge_failure(case, answer, stage)
    stage.after()


def judge_failure(case: Spoilt, answer: Answer, stage: Stage) -> None:
    """A readable answer of the proxy's own, or, once a good head was out, a cut-off one."""
    nothing_leaks(answer, stage)
    if case.begun and not answer.complete:
        return  # a length not reached, no last chunk or a reset: whoever reads it can tell
    stage.expect(answer.status in case.statuses, f"status {answer.status}")
    stage.expect(answer.complete, "the answer is cut off")
    stage.readable(answer)
    stage.traceable(answer)


def nothing_leaks(answer: Answer, stage: Stage) -> None:
    """Nothing of what an upstream should not have sent is in the answer."""
    told = b"".join(f"{name}: {value}\n".encode("latin-1") for name, value in answer.fields) + answer.body
    stage.expect(not any(mark in told.lower() for mark in MARKS), "something of the bad answer leaks")
