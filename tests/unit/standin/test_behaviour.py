"""Proves that rules meet exactly the requests they are meant for, in order, and that wrong rules are
refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.standin.actions import ActionError
from proxy.standin.behaviour import Behaviour, BehaviourError, Rule

TARGET = b"/sessions/v2/track?type=replay"


def behaviour(*rules: dict[str, Any]) -> Behaviour:
    made = Behaviour()
    made.replace([Rule(rule) for rule in rules])
    return made


def rule(action: str = "hang", /, **match: object) -> dict[str, Any]:
    return {"action": action, "match": match}


def met(
    made: Behaviour, target: bytes = TARGET, method: bytes = b"POST", site: str = "us", place: int = 1
) -> str | None:
    action = made.at_head(site, method, target, place)
    return None if action is None else action.name


def test_without_rules_nothing_happens() -> None:
    assert met(Behaviour()) is None
    assert Behaviour().at_accept("us") is None


def test_a_rule_without_a_match_meets_everything() -> None:
    assert met(behaviour({"action": "hang"})) == "hang"


@pytest.mark.parametrize(
    "match",
    [
        {"site": "us"},
        {"method": "POST"},
        {"path": "/sessions"},
        {"target_contains": "type=replay"},
        {"nth_on_connection": 1},
        {"site": "us", "method": "POST", "path": "/sessions/v2/track", "target_contains": "?"},
    ],
)
def test_a_match(match: dict[str, object]) -> None:
    assert met(behaviour(rule(**match))) == "hang"


@pytest.mark.parametrize(
    "match",
    [
        {"site": "eu"},
        {"site": "us-tls"},
        {"method": "GET"},
        {"path": "/config"},
        {"target_contains": "interaction"},
        {"nth_on_connection": 2},
        {"site": "us", "method": "GET"},
        {"probability": 0},
    ],
)
def test_no_match(match: dict[str, object]) -> None:
    assert met(behaviour(rule(**match))) is None


def test_the_first_match_wins() -> None:
    made = behaviour(rule("hang", method="GET"), rule("html"), rule("drip"))
    assert (met(made), met(made, method=b"GET")) == ("html", "hang")


def test_every_nth_of_those_that_fit() -> None:
    made = behaviour(rule(nth=3, method="POST"))
    seen = [met(made, method=b"GET" if number % 2 else b"POST") for number in range(12)]
    assert [index for index, name in enumerate(seen) if name] == [4, 10]


def test_only_the_first_matches() -> None:
    made = behaviour(rule(first=2, nth=2))
    assert [met(made) for _ in range(8)] == [None, "hang", None, "hang", None, None, None, None]


def test_a_rule_that_is_used_up_leaves_room_for_the_next() -> None:
    made = behaviour(rule("hang", first=1), rule("html"))
    assert [met(made) for _ in range(3)] == ["hang", "html", "html"]


@given(st.integers(0, 1000), st.floats(0.05, 0.95))
def test_chance_is_the_same_for_the_same_seed(seed: int, probability: float) -> None:
    runs = []
    for _ in range(2):
        made = Behaviour(seed)
        made.replace([Rule(rule(probability=probability))])
        runs.append([met(made) for _ in range(50)])
    assert runs[0] == runs[1]


def test_chance_is_about_as_frequent_as_asked_for() -> None:
    made = behaviour(rule(probability=0.05))
    assert 60 < sum(met(made) is not None for _ in range(2000)) < 140


def test_an_accept_rule_is_decided_at_accept() -> None:
    made = behaviour(rule("reset_on_accept", site="us", first=1))
    assert met(made) is None
    assert made.at_accept("eu") is None
    action = made.at_accept("us")
    assert action is not None
    assert action.name == "reset_on_accept"
    assert made.at_accept("us") is None


def test_an_accept_rule_about_requests_waits_for_the_head() -> None:
    made = behaviour(rule("reset_on_accept", nth_on_connection=2))
    assert made.at_accept("us") is None
    assert (met(made), met(made, place=2)) == (None, "reset_on_accept")


def test_an_override_beats_every_rule_and_is_not_counted() -> None:
    made = behaviour(rule("hang", first=1))
    assert met(made, TARGET + b"&standin=status:503") == "status"
    assert met(made) == "hang"


def test_an_override_is_percent_decoded_and_ends_at_the_next_parameter() -> None:
    assert met(Behaviour(), b"/x?standin=html&b=1") == "html"
    assert met(Behaviour(), b"/x?a=1&standin=%68tml") == "html"
    assert met(Behaviour(), b"/x?outstandin=html") is None


def test_a_wrong_override_is_an_error() -> None:
    with pytest.raises(ActionError):
        met(Behaviour(), b"/x?standin=")


@pytest.mark.parametrize(
    ("json", "complaint"),
    [
        ({}, "no action ''"),
        ({"action": "explode"}, "no action 'explode'"),
        ({"action": "hang", "code": 1}, "no parameter 'code'"),
        (rule(sites="us"), "no field 'sites'"),
        (rule(site=1), "site must be of type str"),
        (rule(nth=0), "nth must be 1 or more"),
        (rule(nth=True), "nth must be of type int"),
        (rule(nth=1.5), "nth must be of type int"),
        (rule(probability="1"), "probability must be of type float"),
        ({"action": "hang", "match": []}, "match must be an object"),
    ],
)
def test_a_wrong_rule_is_refused(json: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BehaviourError, match=complaint):
        Rule(json)


def test_appended_rules_come_last_and_replacing_forgets() -> None:
    made = behaviour(rule("hang", method="GET"))
    made.append(Rule(rule("html")))
    assert (met(made, method=b"GET"), met(made)) == ("hang", "html")
    made.replace([])
    assert met(made) is None
