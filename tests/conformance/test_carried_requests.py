"""What a legal request says reaches the upstream unchanged: target, fields in order and case, body to the last bit."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.conformance.carried import CARRIED, CONSUMED, Carried
from tests.conformance.stage import Stage, folded, seen_fields, sent_fields
from tests.conformance.wire import Answer, Client


@pytest.mark.parametrize("case", CARRIED, ids=lambda case: case.name)
def test_carried(case: Carried, stage: Stage) -> None:
    method = case.bytes.lstrip(b"\r\n").partition(b" ")[0]
    with stage.reading(), stage.client() as client:
        client.send_slowly(case.writes)
        answer = client.read(method)
        judge_answer(case, answer, client, stage)
    seen = stage.after()
    if stage.expect(len(seen) == 1, f"arrived {len(seen)} times"):
        judge_arrival(case, seen[0], stage)
    stage.no_violations(seen)


def judge_answer(case: Carried, answer: Answer, client: Client, stage: Stage) -> None:
    """The upstream's own answer, readable, and a connection that can be used again."""
    request = case.bytes.lstrip(b"\r\n")
    stage.expect(answer.status == 200, f"status {answer.status}")
    body = b'{"code":200}' if request.startswith(b"POST") else b'{"configs"'
    stage.expect(answer.complete and answer.body.startswith(body), "not the upstream's answer")
    stage.traceable(answer)
    origin = dict(sent_fields(request)).get("Origin")
    if origin != "null":
        stage.readable(answer, origin)
    stage.expect(not answer.all("set-cookie"), "Set-Cookie passed", "cookies")
    if case.closes:
        stage.expect((ending := client.ending()) == "closed", f"connection {ending}")
    else:
        stage.expect(answer.keeps_alive, "the connection ends without a reason", "kept")


def judge_arrival(case: Carried, record: dict[str, Any], stage: Stage) -> None:
    """What the stand-in has recorded is what was sent."""
    request = case.bytes.lstrip(b"\r\n")
    method, target, _ = request.partition(b"\r\n")[0].split(b" ")
    stage.expect(record["complete"], "arrived incomplete")
    stage.expect(record["method"] == method.decode(), "another method arrived")
    stage.expect(record["target"] == (case.target or target).decode("latin-1"), "another target arrived")
    digest = hashlib.sha256(case.body).hexdigest()
    stage.expect((record["body_length"], record["body_sha256"]) == (len(case.body), digest), "another body arrived")
    stage.expect(record["decoded_ok"] is not False, "the gzip is broken")
    name = "api-sr.amplitude.com" if method == b"POST" else "sr-client-cfg.amplitude.com"
    hosts = [value for name, value in record["headers"] if name.lower() == "host"]
    stage.expect(hosts == [name], f"sent to {hosts}")
    stage.expect(record["tls_sni"] == name, f"TLS name {record['tls_sni']}", "name")
    stage.expect(record["site"] == "us-tls", f"sent to {record['site']}")
    gone = CONSUMED | case.dropped
    expected = [[name, value] for name, value in sent_fields(request) if name.lower() not in gone]
    arrived = seen_fields(record, *CONSUMED)
    stage.expect(folded(arrived) == folded(expected), f"other fields arrived: {difference(arrived, expected)}")
    # Legal (RFC 9110, 5.1 and 5.3), but the gateway promises more.
    if folded(arrived) == folded(expected):
        stage.expect(arrived == expected, "fields in another case or order", "spelling")
    kept = sorted(case.dropped & {name.lower() for name, _ in record["headers"]})
    stage.expect(not kept, f"passed: {', '.join(kept)}")


def difference(arrived: list[list[str]], expected: list[list[str]]) -> str:
    """The names of what is missing, what is too much, or "order"."""
    there, wanted = folded(arrived), folded(expected)
    missing = [f"-{name}" for name, value in expected if value not in there.get(name.lower(), ())]
    surplus = [f"+{name}" for name, value in arrived if value not in wanted.get(name.lower(), ())]
    return " ".join(missing + surplus) or "order"
