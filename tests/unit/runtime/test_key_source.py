"""Proves that keys are fetched again and again, that nothing but a good answer replaces them, and that nobody can make
the source ask without end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from proxy.runtime import key_source
from proxy.runtime.key_source import LARGEST, KeySource
from proxy.settings import Jwt
from tests.gateway import free_port

PATIENCE = 20.0


class Publisher:
    """Where keys are published; answers as told."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Callable[[], web.Response] = lambda: web.Response(text="one")
        self.port = free_port()

    async def serve(self, request: web.Request) -> web.Response:
        self.asked += 1
        return self.answer()


class Taken:
    """A source and what it has handed over."""

    def __init__(self, publisher: Publisher, refresh: str = "20ms") -> None:
        self.sets: list[bytes] = []
        url = f"http://127.0.0.1:{publisher.port}/jwks.json"
        self.source = KeySource(Jwt.model_validate({"jwks_url": url, "refresh": refresh}), self.take)

    def take(self, key_set: bytes) -> None:
        if key_set == b"bad":
            raise ValueError("no key in it")
        self.sets.append(key_set)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def run(scenario: Callable[[Publisher], Awaitable[None]]) -> None:
    async def main() -> None:
        publisher = Publisher()
        application = web.Application()
        application.router.add_route("*", "/{any:.*}", publisher.serve)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", publisher.port).start()
        try:
            await scenario(publisher)
        finally:
            await runner.cleanup()

    asyncio.run(main())


async def during(taken: Taken, scenario: Callable[[], Awaitable[None]]) -> None:
    keeping = asyncio.create_task(taken.source.keep())
    try:
        await scenario()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def test_a_set_is_handed_over_once_and_again_when_it_changes() -> None:
    async def main(publisher: Publisher) -> None:
        taken = Taken(publisher)

        async def scenario() -> None:
            await until(lambda: publisher.asked >= 3)
            assert taken.sets == [b"one"]
            publisher.answer = lambda: web.Response(text="two")
            await until(lambda: taken.sets == [b"one", b"two"])
            assert taken.source.known == b"two"
            assert time.time() - PATIENCE < taken.source.fetched_at <= time.time()

        await during(taken, scenario)
        assert taken.source.failures == 0

    run(main)


ANSWERS: dict[str, tuple[Callable[[], web.Response], str]] = {
    "an error": (lambda: web.Response(status=503, text="three"), "it answered 503"),
    "a redirect": (lambda: web.Response(status=302, headers={"Location": "/other"}), "it answered 302"),
    "too large": (lambda: web.Response(body=b"x" * (LARGEST + 1)), f"more than {LARGEST} bytes"),
    "without keys": (lambda: web.Response(text="bad"), "no key in it"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_whatever_else_is_answered_the_last_ones_stay(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_source, "FIRST_PAUSE", 0.01)

    async def main(publisher: Publisher) -> None:
        taken = Taken(publisher)

        async def scenario() -> None:
            await until(lambda: taken.sets)
            publisher.answer = ANSWERS[name][0]
            await until(lambda: taken.source.failures >= 1)
            last = taken.source.fetched_at
            await until(lambda: taken.source.failures >= 3)
            assert (taken.source.known, taken.source.fetched_at) == (b"one", last)
            publisher.answer = lambda: web.Response(text="two")
            await until(lambda: taken.sets == [b"one", b"two"])

        await during(taken, scenario)

    with caplog.at_level(logging.WARNING, "proxy.jwt"):
        run(main)
    assert ANSWERS[name][1] in caplog.text
    assert "the last ones stay" in caplog.text


def test_nobody_there_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        publisher = Publisher()
        taken = Taken(publisher)
        await during(taken, lambda: until(lambda: taken.source.failures))
        assert taken.source.known is None

    with caplog.at_level(logging.WARNING, "proxy.jwt"):
        asyncio.run(main())
    assert "there are none yet" in caplog.text


def test_who_misses_a_key_has_it_fetched_at_once_but_not_as_often_as_he_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_source, "LEAST_BETWEEN", 0.1)

    async def main(publisher: Publisher) -> None:
        taken = Taken(publisher, refresh="1h")

        async def scenario() -> None:
            await until(lambda: publisher.asked == 1 and taken.sets)
            for _ in range(50):
                taken.source.want()
            await asyncio.sleep(0.05)
            assert publisher.asked == 1
            publisher.answer = lambda: web.Response(text="two")

            def asks() -> bool:
                taken.source.want()
                return taken.sets == [b"one", b"two"]

            await until(asks)
            assert publisher.asked == 2

        await during(taken, scenario)

    run(main)


def test_it_must_be_https_or_this_machine() -> None:
    for url, expected in (
        ("https://id.example/a", True),
        ("http://localhost:1/a", True),
        ("http://id.example/a", False),
    ):

        def made(url: str = url) -> Any:
            return Jwt.model_validate({"jwks_url": url})

        if expected:
            made()
        else:
            with pytest.raises(ValueError):
                made()
