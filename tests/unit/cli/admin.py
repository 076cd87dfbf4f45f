"""An admin server as `archive status` meets it: its metrics are the gateway's own, of a ledger that a test fills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CollectorRegistry, generate_latest

from proxy.observe.ledger import Counter, Gauge, Ledger, LedgerMemory, Mark
from proxy.observe.metrics import GatewayCollector, Processes


def metrics(ledger: LedgerMemory) -> bytes:
    """What /metrics says of this ledger."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(ledger.totals, lambda: Processes(1, 1, 0, False), "0"))
    return generate_latest(registry)


def counted(ledger: Ledger, *, offered: int, written: int, archived: int, stored_at: float = 0.0) -> None:
    """So many uploads, and when an object was stored last (Unix time)."""
    ledger.count(Counter.SPOOL_OFFERED, offered)
    ledger.count(Counter.SPOOL_WRITTEN, written)
    ledger.count(Counter.ARCHIVED, archived)
    ledger.mark(Mark.ARCHIVE_LAST_MS, int(stored_at * 1000))


def held(ledger: Ledger, size: int) -> None:
    """So many bytes of uploads are in memory."""
    ledger.gauge(Gauge.SPOOL_QUEUE_BYTES, size)


@contextmanager
def serving(*answers: bytes, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers one after the other, the last one for ever; its address, and the paths that it
    was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers[min(len(asked), len(answers) - 1)]
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()
