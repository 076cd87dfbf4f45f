"""Connections that only exist: opened with TLS, used for one preflight, kept open until stdin closes.

Prints a line with their number when all are there. Beyond 20,000 to one address their source addresses take turns.

    python -m comparison.load.idle '{"port": 8443, "connections": 5000}'
"""

from __future__ import annotations

import json
import resource
import socket
import ssl
import sys
from typing import Any

from comparison.load import traffic
from comparison.load.answer import status_of
from comparison.load.crowd import trusting

PER_ADDRESS = 20_000  # ports of one source address; the usual range has 28,000


def main() -> None:
    order: dict[str, Any] = json.loads(sys.argv[1])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    context = trusting()
    kept = [_opened(context, order["port"], number) for number in range(order["connections"])]
    print(len(kept), flush=True)
    sys.stdin.read()


def _opened(context: ssl.SSLContext, port: int, number: int) -> ssl.SSLSocket:
    source = (f"127.0.0.{1 + number // PER_ADDRESS}", 0)
    plain = socket.create_connection(("127.0.0.1", port), 10, source)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else the request waits for a delayed acknowledgement
    secured = context.wrap_socket(plain, server_hostname=traffic.HOST)
    secured.sendall(traffic.preflight(traffic.FIRST_SESSION + number))
    answer = b""
    while not status_of(answer):
        data = secured.recv(65_536)
        if not data:
            raise ConnectionResetError(f"connection {number} was closed")
        answer += data
    return secured


if __name__ == "__main__":
    main()
