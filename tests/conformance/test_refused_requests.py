"""A request that could be understood in two ways, or is none of ours, is refused, readably, and ends there.

Nothing of it is completed upstream, the connection it came on carries no further request where its bounds are
unsure, and the next client's upload goes through and gets its own answer.
"""

from __future__ import annotations

import pytest

from tests.conformance.cases import HOST, Refusal, head
from tests.conformance.refusals import REFUSALS
from tests.conformance.stage import Stage
from tests.conformance.wire import Answer, Client, NoAnswer

PROBE = head(b"GET /config/probe HTTP/1.1", HOST)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_refused(case: Refusal, stage: Stage) -> None:
    with stage.client() as client:
        client.send_slowly(case.writes)
        try:
            answer = client.read(case.method)
        except NoAnswer as silence:
            stage.expect(0 in case.statuses and "closed" in str(silence), str(silence))
        else:
            judge_answer(case, answer, client, stage)
    seen = [record for record in stage.after() if record["target"] != "/config/probe"]
    if not case.begun:
        stage.expect(not seen, f"forwarded: {', '.join(record['method'][:20] for record in seen)}")
    stage.expect(not any(record["complete"] for record in seen), "completed upstream")
    stage.no_violations(seen)


def judge_answer(case: Refusal, answer: Answer, client: Client, stage: Stage) -> None:
    """Status, readability and what becomes of the connection."""
    stage.expect(answer.status in case.statuses, f"status {answer.status}")
    stage.expect(answer.complete, "the answer is cut off")
    stage.traceable(answer)
    if case.cors:
        stage.readable(answer)
    if case.text:
        stage.expect(case.text in answer.body, "the body does not say why")
    if case.allow and answer.status == 405:
        stage.expect(case.allow <= answer.listed("allow"), f"Allow {answer.all('allow')}")
    if case.closes:
        stage.expect(not answer.keeps_alive, "the answer does not announce the close")
    if case.closes or not answer.keeps_alive:
        stage.expect((ending := client.ended(PROBE)) in ("closed", "reset"), f"connection {ending}")
