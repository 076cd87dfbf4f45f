"""What the disasters have in common: requests as clients send them, and looks at what is left of the gateway after.

Raw sockets and the strict reader of `tests.conformance.wire`; it must not import anything of `proxy`.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conformance.cases import CONFIG, HOST, ORIGIN, ORIGIN_VALUE, TRACK_PATH, head
from tests.conformance.stage import EXPOSED
from tests.conformance.wire import Answer, Client
from tests.gateway import Gateway, eventually
from tests.standin import StandIn

OK = b'{"code":200}'
QUIET: dict[str, Any] = {"log": {"level": "warning", "access": "off"}}
_numbers = itertools.count(1)


def upload(body: bytes = b"{}", query: str = "type=replay", *lines: bytes, version: bytes = b"1.1") -> bytes:
    """An upload of `body`."""
    return upload_head(len(body), query, *lines, version=version) + body


def upload_head(length: int, query: str = "type=replay", *lines: bytes, version: bytes = b"1.1") -> bytes:
    """The head of an upload of `length` bytes, a chunked one when that is negative."""
    first = b"POST " + TRACK_PATH + b"?" + query.encode() + b" HTTP/" + version
    framing = b"Content-Length: %d" % length if length >= 0 else b"Transfer-Encoding: chunked"
    return head(first, HOST, ORIGIN, b"Content-Type: application/json", framing, *lines)


def config(key: str = "", query: str = "config_group=browser", *lines: bytes, method: bytes = b"GET") -> bytes:
    """A config request, for the SDK's usual key or another."""
    target = b"/config/" + key.encode() if key else CONFIG.partition(b"?")[0]
    return head(method + b" " + target + b"?" + query.encode() + b" HTTP/1.1", HOST, ORIGIN, *lines)


def new_key() -> str:
    """An API key that no request has had yet, so that nothing is remembered about it."""
    return f"key-{os.getpid()}-{next(_numbers)}"


def client(gateway: Gateway, receive_buffer: int = 0) -> Client:
    """A connection to the gateway's plain listener."""
    return Client(("127.0.0.1", gateway.port), receive_buffer=receive_buffer)


def ask(gateway: Gateway, request: bytes, timeout: float = 10.0) -> Answer:
    """The answer to one request on a connection of its own."""
    with client(gateway) as connection:
        return connection.ask(request, timeout)


def assert_readable(answer: Answer, status: int) -> None:
    """A whole answer of this status that a page of ORIGIN can read and an operator can trace."""
    assert answer.status == status, (answer.status, dict(answer.fields), answer.body[:200])
    assert answer.complete
    assert answer.all("access-control-allow-origin") == [ORIGIN_VALUE]
    assert answer.all("access-control-allow-credentials") == ["true"]
    assert answer.listed("access-control-expose-headers") >= EXPOSED
    assert "origin" in answer.listed("vary")
    assert len(answer.all("x-request-id")) == 1


def assert_unhurt(gateway: Gateway) -> None:
    """The gateway still carries an ordinary upload, and gets its answer to the one who sent it."""
    answer = ask(gateway, upload(b'{"version":1,"events":[]}'))
    assert_readable(answer, 200)
    assert answer.body == OK


IN_HAND = ("exchanges", "inflight_bytes", "connections")


def assert_idle(gateway: Gateway, seconds: float = 10.0) -> None:
    """Nothing is in hand any more: no request, no body, no client connection. Gauges are a second old or more on a
    busy machine, so they are first made to show a connection that is younger than all that happened before."""
    with client(gateway):
        eventually(lambda: in_hand(gateway)["connections"] >= 1, 30.0, "the gauges are up to date")
    eventually(lambda: not any(in_hand(gateway).values()), seconds, f"gauges back to 0: {in_hand(gateway)}")


def in_hand(gateway: Gateway) -> dict[str, float]:
    """The gauges of what is in hand, and how many upstream connections are busy."""
    metrics = gateway.metrics()
    gauges = {name: metrics[f"replay_gateway_{name}"] for name in IN_HAND}
    busy = metrics["replay_gateway_upstream_connections"] - metrics["replay_gateway_upstream_idle"]
    return {**gauges, "busy upstream connections": busy}


@contextmanager
def leaving_nothing(gateway: Gateway) -> Iterator[None]:
    """After the block, nothing of what happened in it is left."""
    yield
    assert_idle(gateway)


def requests_counted(gateway: Gateway, **labels: str) -> float:
    """How many requests have ended, as the metrics say."""
    return gateway.metric("replay_gateway_requests_total", **labels)


@contextmanager
def counted(gateway: Gateway, by: int, **labels: str) -> Iterator[None]:
    """Exactly `by` more requests with these labels are counted when the block's have ended."""
    before = requests_counted(gateway, **labels)
    yield
    eventually(lambda: requests_counted(gateway, **labels) >= before + by, what=f"{by} more requests with {labels}")
    assert requests_counted(gateway, **labels) == before + by


@contextmanager
def scripted_upstream(play: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of an upstream for one connection: `play` gets its socket, the request's head already read."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10.0)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10.0)
                while b"\r\n\r\n" not in connection.recv(1 << 16, socket.MSG_PEEK):
                    pass
                play(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            thread.join(10.0)


def plain_upstream(port: int) -> dict[str, Any]:
    """Settings that lead the default region to a plain upstream on this machine."""
    at = f"http://127.0.0.1:{port}"
    return {"upstreams": {"us": {"track": f"{at}/sessions/v2/track", "config": f"{at}/config"}}}


def uploads(standin: StandIn) -> list[dict[str, Any]]:
    """The uploads that the upstream has seen, whole or not."""
    return [record for record in standin.requests() if record["method"] == "POST"]


def configs(standin: StandIn) -> list[dict[str, Any]]:
    """The config requests that the upstream has seen."""
    return [record for record in standin.requests() if record["method"] in ("GET", "HEAD")]


def sha256(body: bytes) -> str:
    """As the stand-in writes it."""
    return hashlib.sha256(body).hexdigest()


def resident(pids: Iterable[int]) -> int:
    """Bytes of memory that these processes occupy, the most of any one of them."""
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return max(pages) * os.sysconf("SC_PAGE_SIZE")


def open_sockets(pids: Iterable[int]) -> int:
    """How many sockets these processes hold."""
    links = (link for pid in pids for link in Path(f"/proc/{pid}/fd").iterdir())
    return sum(1 for link in links if _points_to_socket(link))


def _points_to_socket(link: Path) -> bool:
    try:
        return os.readlink(link).startswith("socket:")
    except FileNotFoundError:
        return False
