"""Proves that every reason has its answer, and that no answer of ours makes the SDK do the wrong thing."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from proxy.model.verdict import REJECTIONS, Reason, Rejection, Route

# What the SDK sends once more: a status outside this set drops the batch (tracks) for good.
SENT_AGAIN = {408, 413, 429, 500, 502, 503, 504}
OVERLOAD = (
    Reason.RATE_PER_IP,
    Reason.RATE_PER_KEY,
    Reason.TOO_MANY_CONNECTIONS,
    Reason.CONNECTIONS_PER_IP,
    Reason.MEMORY,
)
PLACEHOLDERS = {"limit", "fields", "paths", "allow"}


def on_config(rejection: Rejection) -> int:
    return rejection.config_status or rejection.status


def test_every_reason_is_in_the_table_and_nothing_else() -> None:
    assert set(REJECTIONS) == set(Reason)


def test_routes_and_reasons_are_labels() -> None:
    assert {route.value for route in Route} == {"track", "config"}
    assert all(re.fullmatch(r"[a-z_]+", reason.value) for reason in Reason)
    assert all(reason.value == reason.name.lower() for reason in Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_rejection_is_a_client_or_server_error(reason: Reason) -> None:
    rejection = REJECTIONS[reason]
    assert 400 <= rejection.status <= 599
    assert rejection.config_status == 0 or 400 <= rejection.config_status <= 599 or reason is Reason.GPC
    assert rejection.status != 500


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.UNKNOWN_PATH])
def test_no_config_answer_of_ours_stops_the_sdk_from_asking_again(reason: Reason) -> None:
    assert on_config(REJECTIONS[reason]) not in (401, 403, 404)


def test_an_unknown_path_is_the_only_404() -> None:
    assert [reason for reason in Reason if 404 in (REJECTIONS[reason].status, REJECTIONS[reason].config_status)] == [
        Reason.UNKNOWN_PATH
    ]


def test_one_who_has_opted_out_is_refused_for_good_and_told_not_to_record() -> None:
    assert REJECTIONS[Reason.GPC].status == 403
    assert REJECTIONS[Reason.GPC].status not in SENT_AGAIN
    assert [reason for reason in Reason if REJECTIONS[reason].config_status == 200] == [Reason.GPC]


@pytest.mark.parametrize("reason", OVERLOAD)
def test_overload_is_answered_with_what_the_sdk_sends_again(reason: Reason) -> None:
    rejection = REJECTIONS[reason]
    assert rejection.status in SENT_AGAIN
    assert on_config(rejection) in SENT_AGAIN
    assert rejection.retry_after >= 1


def test_a_too_large_body_is_worded_so_that_the_sdk_splits_it() -> None:
    rejection = REJECTIONS[Reason.BODY_TOO_LARGE]
    assert rejection.status == 413
    assert re.search(r"payload.*exceed", rejection.message.format(limit=1), re.IGNORECASE)


def test_no_other_rejection_makes_the_sdk_split() -> None:
    assert [reason for reason in Reason if REJECTIONS[reason].status == 413] == [Reason.BODY_TOO_LARGE]


def test_only_slow_clients_get_the_408_that_browsers_repeat() -> None:
    assert {reason for reason in Reason if 408 in (REJECTIONS[reason].status, on_config(REJECTIONS[reason]))} == {
        Reason.HEAD_TIMEOUT,
        Reason.BODY_TIMEOUT,
    }


@pytest.mark.parametrize(
    "reason",
    [
        Reason.BAD_REQUEST,
        Reason.BAD_FRAMING,
        Reason.BAD_HOST,
        Reason.BAD_TARGET,
        Reason.BAD_VERSION,
        Reason.HEAD_TOO_LARGE,
        Reason.BODY_TOO_LARGE,
        Reason.UNKNOWN_CODING,
        Reason.UPGRADE,
        Reason.TUNNEL,
        Reason.HEAD_TIMEOUT,
        Reason.BODY_TIMEOUT,
        Reason.INCOMPLETE,
    ],
)
def test_a_connection_whose_framing_is_in_doubt_is_closed(reason: Reason) -> None:
    assert REJECTIONS[reason].close


@pytest.mark.parametrize("reason", Reason)
def test_messages_ask_only_for_what_can_be_filled_in(reason: Reason) -> None:
    message = REJECTIONS[reason].message
    assert {name for _, name, _, _ in Formatter().parse(message) if name is not None} <= PLACEHOLDERS
    assert message.isascii()
    assert message.isprintable()


def test_a_refusal_for_want_of_permission_is_a_403_where_that_is_harmless() -> None:
    assert {REJECTIONS[reason].status for reason in (Reason.FOREIGN_ORIGIN, Reason.UNKNOWN_KEY)} == {403}
    assert REJECTIONS[Reason.NO_REGION].status == 421
