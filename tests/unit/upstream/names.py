"""A name server for tests: an event loop that is told the addresses of every name. Only the wire is faked: what asks,
and what becomes of the answer, is the gateway's own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from tests.unit.upstream.stage import closing_vendors


class Names:
    """`answer` is the list of addresses that every name has, None while the server fails. Questions wait for `gate`."""

    def __init__(self, answer: list[str] | None) -> None:
        self.answer = answer
        self.gate: asyncio.Event | None = None
        self.questions: list[tuple[str, int]] = []
        self.kinds: list[int] = []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        names = self._names
        names.questions.append((host, port))
        names.kinds.append(options.get("type", 0))
        if names.gate is not None:
            await names.gate.wait()
        if names.answer is None:
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names.answer]


def names_loop(names: Names) -> Callable[[], asyncio.AbstractEventLoop]:
    return lambda: _Loop(names)


def run_with(names: Names, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on a loop with this name server."""
    with asyncio.Runner(loop_factory=names_loop(names)) as runner:
        runner.run(closing_vendors(main))
