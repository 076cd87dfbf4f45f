"""Proves what probes and Prometheus are answered. A real server on a loopback port, asked with raw requests."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from proxy.admin.endpoints import OPENMETRICS, TEXT, Endpoints, serve
from proxy.runtime.reload import Report, Result
from proxy.runtime.sockets import bind

PATIENCE = 20.0


class Admin:
    """A server in a thread of its own, whose readiness the test sets."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.report = Report(Result.APPLIED)
        self.reloads = 0
        self.registry = CollectorRegistry()
        Gauge("answer", "What was asked.", registry=self.registry).set(42)
        self._listening = bind("admin.address", "127.0.0.1", 0)
        self.port: int = self._listening.getsockname()[1]
        self._up = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        assert self._up.wait(PATIENCE)

    async def _main(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        endpoints = Endpoints(lambda: self.reason, self.registry, self._reload)
        runner = await serve(endpoints.application(), self._listening)
        self._up.set()
        await self._stopped.wait()
        await runner.cleanup()

    async def _reload(self) -> Report:
        self.reloads += 1
        return self.report

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def admin() -> Iterator[Admin]:
    made = Admin()
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("result", "status"), [(Result.APPLIED, 200), (Result.RESTART, 409), (Result.PROBLEMS, 422), (Result.FAILED, 500)]
)
def test_reload_tells_what_came_of_it(admin: Admin, result: Result, status: int) -> None:
    admin.report = Report(result, ("limits.body",))
    found, headers, text = admin.ask("POST", "/reload")
    assert found == status
    assert headers["Content-Type"].startswith("application/json")
    assert json.loads(text) == {"result": result.value, "lines": ["limits.body"]}


@pytest.mark.parametrize("header", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_no_page_can_have_it_reload(admin: Admin, header: dict[str, str]) -> None:
    assert admin.ask("POST", "/reload", **header)[0] == 403
    assert admin.reloads == 0


def test_reload_is_not_for_the_curious(admin: Admin) -> None:
    assert admin.ask("GET", "/reload")[0] == 405
    assert admin.reloads == 0


def test_alive_whatever_else(admin: Admin) -> None:
    admin.reason = "no worker is ready"
    status, _, text = admin.ask("GET", "/health/live")
    assert (status, text) == (200, "alive\n")


def test_ready(admin: Admin) -> None:
    status, _, text = admin.ask("GET", "/health/ready")
    assert (status, text) == (200, "ready\n")


def test_not_ready_says_why(admin: Admin) -> None:
    admin.reason = "draining: the gateway is shutting down"
    status, headers, text = admin.ask("GET", "/health/ready")
    assert (status, text) == (503, "draining: the gateway is shutting down\n")
    assert headers["Content-Type"].startswith("text/plain")


def test_readiness_is_asked_anew_each_time(admin: Admin) -> None:
    seen = []
    for admin.reason in (None, "starting", None):
        seen.append(admin.ask("GET", "/health/ready")[0])
    assert seen == [200, 503, 200]


def test_probes_may_use_head(admin: Admin) -> None:
    assert admin.ask("HEAD", "/health/ready")[0] == 200
    assert admin.ask("HEAD", "/health/live")[2] == ""


def test_metrics_are_prometheus_text_by_default(admin: Admin) -> None:
    status, headers, text = admin.ask("GET", "/metrics")
    assert (status, headers["Content-Type"]) == (200, TEXT)
    assert "answer 42.0\n" in text


def test_metrics_are_openmetrics_when_asked_for(admin: Admin) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    _, headers, text = admin.ask("GET", "/metrics", Accept=accept)
    assert headers["Content-Type"] == OPENMETRICS
    (family,) = parse_openmetrics(text)  # type: ignore[no-untyped-call]
    assert family.samples[0].value == 42


@pytest.mark.parametrize(
    "accept", ["", "nonsense", "text/plain; version=abc", "application/openmetrics-text; version=x"]
)
def test_an_odd_accept_header_is_no_error(admin: Admin, accept: str) -> None:
    assert admin.ask("GET", "/metrics", Accept=accept)[0] == 200


@pytest.mark.parametrize("path", ["/", "/health", "/health/", "/health/ready/x", "/metrics/", "/sessions/v2/track"])
def test_unknown_paths_are_404_in_plain_text(admin: Admin, path: str) -> None:
    status, headers, text = admin.ask("GET", path)
    assert (status, text) == (404, "404: Not Found")
    assert headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_405_with_what_is_allowed(admin: Admin, method: str) -> None:
    status, headers, _ = admin.ask(method, "/metrics")
    assert (status, headers["Allow"]) == (405, "GET,HEAD")


def test_nothing_is_cached_and_the_library_is_not_advertised(admin: Admin) -> None:
    for path in ("/health/live", "/metrics", "/nowhere"):
        headers = admin.ask("GET", path)[1]
        assert headers["Cache-Control"] == "no-store"
        assert headers["Server"] == "replay-gateway"


def test_many_at_once(admin: Admin) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: admin.ask("GET", "/metrics")[0], range(64))) == {200}


def test_an_open_connection_does_not_hold_up_the_end() -> None:
    admin = Admin()
    connection = http.client.HTTPConnection("127.0.0.1", admin.port, timeout=PATIENCE)
    connection.request("GET", "/health/live")
    connection.getresponse().read()
    admin.stop()  # fails when it waits for the idle connection
    connection.close()
