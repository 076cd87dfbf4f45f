"""Proves that a configuration answer learnt by one worker bridges an outage for all, also for those started later."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from tests.gateway import Gateway, eventually, merged
from tests.processes.client import Client
from tests.standin import StandIn

CONNECTIONS = 24  # that all of them meet the same of two workers happens once in eight million runs

ELSEWHERE = {"upstreams": {"us": {"config": {"url": "https://sr-client-cfg.amplitude.com/other"}}}}


def answers(gateway: Gateway) -> tuple[set[int], set[str]]:
    """The statuses of configuration requests on many connections, and the workers that gave them."""
    statuses, workers = set(), set()
    for _ in range(CONNECTIONS):
        with Client(gateway.port) as client:
            statuses.add(client.config()[0])
            workers.add(client.request_id[:12])
    return statuses, workers


def learnt_by_one(gateway: Gateway, vendor: StandIn) -> None:
    """One worker gets an answer, then the vendor fails."""
    with Client(gateway.port) as client:
        assert client.config()[0] == 200
    assert gateway.metric("replay_gateway_config_stored_total") == 1
    vendor.behave({"match": {"method": "GET"}, "action": "status", "code": 503})


def test_what_one_worker_learnt_the_other_serves(vendor: StandIn) -> None:
    with Gateway(standin=vendor, workers=2) as gateway:
        learnt_by_one(gateway, vendor)
        statuses, workers = eventually(lambda: (found := answers(gateway))[0] == {200} and found)
        assert (statuses, len(workers)) == ({200}, 2)
        assert gateway.metric("replay_gateway_requests_total", outcome="stale") >= CONNECTIONS


def test_a_worker_started_later_knows_what_was_learnt_before(vendor: StandIn) -> None:
    with Gateway(standin=vendor, workers=2) as gateway:
        learnt_by_one(gateway, vendor)
        eventually(lambda: answers(gateway)[0] == {200})
        old = gateway.worker_pids()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: gateway.metric("replay_gateway_worker_starts_total") == 4, 60)
        statuses, workers = answers(gateway)
        assert (statuses, len(workers)) == ({200}, 2)


def test_without_a_bridge_every_worker_passes_the_outage_on(vendor: StandIn) -> None:
    with Gateway({"config_cache": {"stale_if_error": "0s"}}, standin=vendor, workers=2) as gateway:
        with Client(gateway.port) as client:
            assert client.config()[0] == 200
        vendor.behave({"match": {"method": "GET"}, "action": "status", "code": 503})
        assert answers(gateway)[0] == {503}


def test_more_keys_than_the_cache_holds_are_no_error(vendor: StandIn) -> None:
    with Gateway({"config_cache": {"entries": 2}}, standin=vendor, workers=2) as gateway:
        for number in range(10):
            assert status_of(gateway, f"/config/key{number}?config_group=browser") == 200
        vendor.behave({"match": {"method": "GET"}, "action": "status", "code": 503})
        eventually(lambda: status_of(gateway, "/config/key9?config_group=browser") == 200)
        assert status_of(gateway, "/config/key0?config_group=browser") == 503


def status_of(gateway: Gateway, target: str) -> int:
    with Client(gateway.port) as client:
        return client.get(target)[0]


@pytest.mark.parametrize(("changed", "expected"), [({"limits": {"fields": 90}}, 200), (ELSEWHERE, 503)])
def test_a_reload_keeps_what_was_learnt_unless_another_vendor_is_asked(
    vendor: StandIn, changed: dict[str, Any], expected: int
) -> None:
    with Gateway(standin=vendor) as gateway:
        learnt_by_one(gateway, vendor)
        gateway.config_file.write_text(json.dumps(merged(gateway.config, changed)))
        gateway.send_signal(signal.SIGHUP)
        eventually(lambda: gateway.metric("replay_gateway_reloads_total", result="applied") == 1)
        assert answers(gateway)[0] == {expected}
        os.kill(gateway.worker_pids()[0], signal.SIGKILL)
        eventually(lambda: gateway.metric("replay_gateway_worker_starts_total") == 2, 60)
        assert answers(gateway)[0] == {expected}
