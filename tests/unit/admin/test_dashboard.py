"""Proves who is answered the status and the page, with which head, and that the page is in the package and brings no
markup or script of elsewhere. That it works is proved in a browser."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from proxy.admin import dashboard
from proxy.admin.dashboard import ASSETS, Dashboard, is_ours
from proxy.admin.endpoints import Endpoints, serve
from proxy.runtime.reload import Reloads
from proxy.runtime.sockets import bind
from proxy.settings import Settings

PATIENCE = 20.0


async def _status() -> dict[str, Any]:
    return {"state": "ok"}


async def _to_nobody(settings: Settings) -> str:
    return ""


class Admin:
    """A server in a thread of its own."""

    def __init__(self) -> None:
        self._listening = bind("admin.address", "127.0.0.1", 0)
        self.port: int = self._listening.getsockname()[1]
        self._up = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        assert self._up.wait(PATIENCE)

    async def _main(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        reloads = Reloads(Settings(), None, _to_nobody)
        application = Endpoints(lambda: None, CollectorRegistry(), reloads.reload).application()
        Dashboard(_status, "gateway.internal").add_to(application)
        runner = await serve(application, self._listening)
        self._up.set()
        await self._stopped.wait()
        await runner.cleanup()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def ask(self, path: str, host: str = "localhost") -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def admin() -> Iterator[Admin]:
    made = Admin()
    yield made
    made.stop()


def scripts(admin: Admin) -> str:
    return "".join(admin.ask(path)[2] for path in ASSETS if path.endswith(".js"))


def test_the_status_is_json(admin: Admin) -> None:
    status, headers, text = admin.ask("/status")
    assert (status, headers["Content-Type"], json.loads(text)) == (200, "application/json", {"state": "ok"})


@pytest.mark.parametrize("path", ASSETS)
def test_each_asset_has_its_type_and_may_load_nothing_of_elsewhere(admin: Admin, path: str) -> None:
    status, headers, text = admin.ask(path)
    assert (status, headers["Content-Type"]) == (200, f"{ASSETS[path][1]}; charset=utf-8")
    policy = dict(each.split(" ", 1) for each in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", text)


@pytest.mark.parametrize(
    ("host", "is_answered"),
    [
        *((name, True) for name in ("127.0.0.1", "127.0.0.1:9090", "[::1]:9090", "10.0.0.5:80", "LOCALHOST:1")),
        *(("gateway.internal", True), ("Gateway.Internal:9090", True)),
        *((name, False) for name in ("rebound.example", "rebound.example:9090", "localhost.rebound.example", "")),
        *((name, False) for name in ("[rebound.example]:80", "127.0.0.1.rebound.example", "xgateway.internal")),
    ],
)
def test_who_means_this_server_is_answered(host: str, is_answered: bool) -> None:
    assert is_ours(host, "gateway.internal") is is_answered


def test_others_are_told_what_to_do(admin: Admin) -> None:
    for path in ("/status", *ASSETS):
        status, _, text = admin.ask(path, "rebound.example")
        assert status == 421
        assert "'rebound.example'" in text
        assert "admin.address" in text


def test_the_page_has_no_script_or_style_in_it_names_its_tables_and_sets_text_only(admin: Admin) -> None:
    page = admin.ask("/")[2]
    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=", page) == []
    assert page.count("<table ") == page.count("<table aria-label=") > 5
    script = scripts(admin)
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", script) == []


def test_whatever_the_script_asks_for_is_on_the_page(admin: Admin) -> None:
    page, script = admin.ask("/")[2], scripts(admin)
    there = set(re.findall(r'\sid="([a-z-]+)"', page))
    wanted = set(re.findall(r'(?:byId|table|list|verdict)\("([a-z-]+)"', script))
    assert len(wanted) > 20
    assert wanted <= there


def test_every_file_of_the_page_is_served() -> None:
    folder = Path(dashboard.__file__).with_name("page")
    assert {each.name for each in folder.iterdir()} == {name for name, _ in ASSETS.values()}
