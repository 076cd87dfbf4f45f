"""What the proxies are in front of while their cost is measured: an nginx with TLS that takes every upload whole.

It answers for both of the vendor's hosts, costs as little as possible (it shares a core with the load), and records
nothing: what arrives is the behaviour table's concern. Besides, the certificates, and a long way to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from comparison import COMPARE
from comparison.load.traffic import HOST
from comparison.peers import PATH, stop
from tests.gateway import eventually, free_port

VENDOR_HOSTS = ("api-sr.amplitude.com", "sr-client-cfg.amplitude.com")
ONE_WAY_SECONDS = 0.02  # 40 ms there and back


@dataclass(frozen=True)
class Upstream:
    """Where it listens, plain and with TLS, near and far, and where copies go; which files its users need."""

    pids: tuple[int, ...]
    plain_port: int
    tls_port: int
    far_port: int
    mirror_port: int
    ca: Path
    front_certificate: Path
    front_key: Path


@contextlib.contextmanager
def upstream() -> Iterator[Upstream]:
    """The upstream and the long way to it, until the block is left. They run on the caller's cores."""
    with tempfile.TemporaryDirectory(prefix="compare-upstream-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        _make_certificates(folder)
        plain, tls, far, mirror = (free_port() for _ in range(4))
        nginx = stack.enter_context(_process(_nginx(folder, plain, tls, mirror), plain))
        relay = stack.enter_context(_process(_relay(tls, far), far))
        front = folder / "front.pem", folder / "front.key"
        yield Upstream((nginx, relay), plain, tls, far, mirror, folder / "ca.pem", *front)


def _make_certificates(folder: Path) -> None:
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for chain, key, names in (
        ("certificate.pem", "key.pem", VENDOR_HOSTS),
        ("front.pem", "front.key", (HOST, "127.0.0.1")),
    ):
        leaf = authority.issue_cert(*names, key_type=trustme.KeyType.ECDSA)
        leaf.private_key_pem.write_to_path(str(folder / key))
        (folder / chain).write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))


def _nginx(folder: Path, plain: int, tls: int, mirror: int) -> list[str]:
    text = Path(__file__).with_suffix(".nginx.conf").read_text()
    words = {
        "RUN": folder,
        "PLAIN_PORT": plain,
        "TLS_PORT": tls,
        "MIRROR_PORT": mirror,
        "FILES": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        "USER": "user root;" if os.geteuid() == 0 else "",
    }
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    (folder / "nginx.conf").write_text(text)
    return ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]


def _relay(port: int, listen: int) -> list[str]:
    order = {"port": port, "listen": listen, "one_way": ONE_WAY_SECONDS}
    return [sys.executable, "-m", "comparison.load.distance", json.dumps(order)]


@contextlib.contextmanager
def _process(argv: list[str], port: int) -> Iterator[int]:
    environment = {**os.environ, "PATH": PATH, "PYTHONPATH": str(COMPARE)}
    process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL)
    try:
        eventually(lambda: process.poll() is not None or _answers(port), 20.0, f"{argv[0]} listens")
        if process.poll() is not None:
            raise RuntimeError(f"{' '.join(argv)} ended with exit code {process.returncode}")
        yield process.pid
    finally:
        stop(process)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
