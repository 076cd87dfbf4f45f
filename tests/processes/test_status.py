"""Proves that /status of a running gateway adds up after traffic, shows each kind of trouble with its reason while
probes are answered as before, and tells nothing that is not for everybody."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import Gateway, eventually
from tests.processes.client import CONFIG, Client, uploaded
from tests.standin import StandIn

# The keys that clients send, and what only they know.
PRIVATE = ("0123456789abcdef", "Bearer", "device_id", "SECRET_TOKEN", "127.0.0.2")
UPLOADS = {"match": {"method": "POST"}}
CONFIGS = {"match": {"method": "GET"}}


@pytest.fixture(scope="module")
def gateway(running_vendor: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for the file: a spool that is soon full, a sensitive breaker, and an archive that can't be made."""
    folder = tmp_path_factory.mktemp("status")
    (folder / "store").write_text("no folder")
    settings = {
        "archive": {
            "directory": str(folder / "store"),
            "spool": {"directory": str(folder / "spool"), "min_free_bytes": 0, "max_bytes": "64KiB"},
            "rotate": {"seconds": 1, "bytes": 16384},
        },
        "breaker": {"failures": 3, "open": "30s"},
        "timeouts": {"first_byte": "200ms", "config_total": "200ms"},
        "headers": {"upstream": {"set": {"X-Token": "SECRET_TOKEN"}}},
        "keys": {"allow": ["0123456789abcdef", "key"]},
    }
    # Killed workers leave no traceback, but the archive's store can't be had: its errors are logged.
    with Gateway(settings, standin=running_vendor, workers=2) as running:
        yield running


def status(gateway: Gateway) -> dict[str, Any]:
    """The document, from a gateway that is alive and ready whatever it says."""
    code, text = gateway.get("/status")
    assert code == 200, text
    assert not [each for each in PRIVATE if each in text]
    assert gateway.health("live")[0] == 200
    found: dict[str, Any] = json.loads(text)
    return found


def settled(gateway: Gateway, received: int) -> dict[str, Any] | None:
    """The document, once so many requests have ended."""
    found = status(gateway)
    return found if found["ledger"]["received"] >= received else None


def told(found: dict[str, Any], about: str) -> list[tuple[str, str]]:
    """State and text of the reasons about something."""
    return [(each["state"], each["text"]) for each in found["reasons"] if each["about"] == about]


def test_requests_add_up_by_how_they_ended(gateway: Gateway, vendor: StandIn) -> None:
    before = status(gateway)["ledger"]["received"]
    uploaded(gateway.port, 5)
    with Client(gateway.port) as client:
        assert client.config()[0] == 200
        assert client.get("/nowhere")[0] == 404
    found = eventually(lambda: settled(gateway, before + 7), what="all are counted")
    ledger = found["ledger"]
    assert ledger["adds_up"]
    assert (ledger["received"], ledger["delivered"], ledger["rejected"], ledger["failed"]) == (before + 7, 6, 1, 0)
    assert ledger["unaccounted"] == 0
    (rejection,) = found["rejections"]
    assert (rejection["reason"], rejection["count"], rejection["status"]) == ("unknown_path", 1, [404])
    assert "paths" in rejection["fix"]
    assert found["traffic"]["track"]["answers"]["2xx"] == 5
    assert found["traffic"]["track"]["recent_seconds"]["upstream"]["p50"] > 0
    assert found["config"]["live"] == 1
    assert found["config"]["last_live_age_seconds"] < 60
    answers = {(each["region"], each["route"]): each["answers"]["2xx"] for each in found["upstreams"]["endpoints"]}
    assert answers == {("us", "track"): 5, ("us", "config"): 1, ("eu", "track"): 0, ("eu", "config"): 0}


def test_the_gateway_tells_of_itself(gateway: Gateway, vendor: StandIn) -> None:
    found = status(gateway)
    assert found["workers"]["wanted"] == 2
    assert found["gateway"]["build"] in ("compiled", "plain")
    assert found["gateway"]["uptime_seconds"] > 0
    plain, secure = found["listeners"]
    assert plain == {"address": f"127.0.0.1:{gateway.port}", "tls": False, "certificate": None}
    assert {"localhost", "127.0.0.1"} < set(secure["certificate"]["names"])
    assert secure["certificate"]["days_left"] > 0
    assert found["setup"]["track_paths"] == ["/sessions/v2/track"]


def test_a_configuration_from_memory_is_told(gateway: Gateway, vendor: StandIn) -> None:
    with Client(gateway.port) as client:
        assert client.config()[0] == 200
    vendor.behave({**CONFIGS, "action": "status", "code": 503})
    with Client(gateway.port) as client:
        assert client.config()[0] == 200
        assert client.get(f"{CONFIG.replace('0123456789abcdef', 'key')}")[0] == 503
    found = eventually(lambda: (now := status(gateway))["config"]["stale"] == 1 and now, what="it is counted")
    assert found["state"] != "ok"
    ((state, text),) = told(found, "config")
    assert (state, text.partition(",")[0]) == ("degraded", "1 visitor got the last good configuration")


def test_an_open_breaker_is_told_and_changes_no_probe(gateway: Gateway, vendor: StandIn) -> None:
    vendor.behave({**UPLOADS, "action": "hang"})

    def endpoint(found: dict[str, Any]) -> dict[str, Any]:
        wanted = {"region": "us", "route": "track"}
        (one,) = [each for each in found["upstreams"]["endpoints"] if wanted.items() <= each.items()]
        return dict(one)

    def opened() -> dict[str, Any] | None:
        """Asks until each of the workers has met enough failures, whichever the kernel gives a connection to."""
        with Client(gateway.port) as client:
            assert client.upload()[0] in (503, 504)
        found = status(gateway)
        return found if endpoint(found)["breakers_open"] == 2 else None

    found = eventually(opened, 60, "both workers have opened it")
    assert endpoint(found)["breaker"] == "open"
    assert found["state"] == "failing"
    assert told(found, "upstreams.us.track") == [
        ("failing", "Left alone by 2 of 2 workers: it failed too often in a row.")
    ]
    kinds = {each["kind"] for each in found["failures"]}
    assert kinds >= {"upstream_timeout", "breaker_open"}
    assert gateway.health("ready")[0] == 200


def test_a_full_spool_is_told_with_the_stores_error(gateway: Gateway, vendor: StandIn) -> None:
    offered = status(gateway)["archive"]["offered"]
    for _ in range(30):
        with Client(gateway.port) as client:
            client.upload(b"x" * 5000)

    def full() -> dict[str, Any] | None:
        archive = status(gateway)["archive"]
        return archive if archive["spool"]["full"] and archive["store"]["last_error"] else None

    archive = eventually(full, 30, "the spool is full")
    assert archive["offered"] == offered + 30
    assert [each["reason"] for each in archive["dropped"]] == ["spool-full"]
    assert "archive.spool.max_bytes" in archive["dropped"][0]["fix"]
    assert archive["adds_up"]
    assert 0 < archive["spool"]["bytes"] <= archive["spool"]["max_bytes"]
    assert archive["store"]["last_error"]["kind"] == "NotAFolder"
    assert archive["store"]["failed_calls"] > 0
    assert archive["archived"] == 0
    assert ("degraded", "The spool is full, or was within the last minute.") in told(status(gateway), "archive.spool")
    assert gateway.health("ready")[0] == 200


def test_a_worker_that_was_killed_is_told(gateway: Gateway, vendor: StandIn) -> None:
    os.kill(gateway.worker_pids()[0], signal.SIGKILL)

    def started_again() -> dict[str, Any] | None:
        found = status(gateway)
        return found if found["workers"]["restarts"] == 1 and found["workers"]["ready"] == 2 else None

    found = eventually(started_again, 30, "another runs in its place")
    assert found["ledger"]["adds_up"]
    assert "1 restart of workers: the log says why they ended." in [text for _, text in told(found, "workers")]


def test_only_those_who_mean_this_server_read_it(gateway: Gateway, vendor: StandIn, tmp_path: Path) -> None:
    for path in ("/status", "/", "/page.js"):
        code, text = gateway.get(path, {"Host": "rebound.example.com"})
        assert code == 421
        assert "admin.address" in text
        assert gateway.get(path, {"Host": "localhost:9090"})[0] == 200
    assert gateway.get("/metrics", {"Host": "gateway.monitoring.svc"})[0] == 200
