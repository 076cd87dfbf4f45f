"""Whom the cost table compares: the peers, other builds of the gateway, and no proxy at all.

A build of the gateway is a folder with a `proxy` package, run with this project's Python and the gateway's own peer
folder. It must not know how anything is measured.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from comparison import ROOT
from comparison.machine import Cores
from comparison.peers import PEERS, Peer, Running, peer
from comparison.scenarios import ARCHIVE, DIRECT, Setting
from comparison.upstream import Upstream
from tests.gateway import free_port

READY_SECONDS = 30.0


@dataclass(frozen=True)
class System:
    """One column. `peer` is how it is started, None for no proxy; `environment` makes it another build.
    `archives`: a gateway that copies each upload to an archive."""

    name: str
    peer: Peer | None
    environment: Mapping[str, str] = field(default_factory=dict)
    archives: bool = False

    @property
    def is_gateway(self) -> bool:
        """Whether it is a build of the gateway, this one or another."""
        return self.peer is not None and self.peer.name == "gateway"

    def missing(self) -> str | None:
        """The command that gets what is not there; None when it can be started."""
        return self.peer.missing() if self.peer else None

    def install(self) -> None:
        """Gets its npm packages, if it has any that are not there. What can't be got is `missing`."""
        if self.peer and self.peer.needs_npm and (self.missing() or "").startswith("npm"):
            with contextlib.suppress(AssertionError, OSError, subprocess.SubprocessError):
                self.peer.install()

    def version(self) -> str:
        """What it is, in one line."""
        if self.environment:
            argv = [str(ROOT / ".venv/bin/replay-gateway"), "--version"]
            return subprocess.run(
                argv, env={**os.environ, **self.environment}, capture_output=True, text=True, check=True
            ).stdout.strip()
        return self.peer.version() if self.peer else "the load asks the upstream itself"

    @contextlib.contextmanager
    def running(self, upstream: Upstream, setting: Setting, cores: Cores) -> Iterator[Running]:
        """The system in front of the upstream, on the proxy's cores, until the block is left."""
        if not self.peer:
            yield Running(0, upstream.plain_port, upstream.tls_port, upstream.ca.parent)
            return
        with self.peer.running(
            upstream.far_port if setting.far else upstream.tls_port,
            upstream.ca,
            certificate=upstream.front_certificate,
            key=upstream.front_key,
            workers=setting.workers,
            mirror_port=upstream.mirror_port if setting.mirror else 0,
            command=cores.command,
            environment={**self.environment, **(_archiving() if self.archives else {})},
        ) as running:
            yield running


def every_system() -> tuple[System, ...]:
    """The peers, the gateway with an archive, and the direct way."""
    peers = [System(one.name, one) for one in PEERS]
    return (*peers, *(archiving(one) for one in peers if one.is_gateway), System(DIRECT, None))


def archiving(gateway: System) -> System:
    """The same build of the gateway, with an archive in its run's folder."""
    return replace(gateway, name=f"{gateway.name}{ARCHIVE}", archives=True)


def build(argument: str) -> System:
    """A build of the gateway from `NAME=FOLDER`, or from `FOLDER`, whose last part is then the name.

    Raises ValueError when Python would not take the gateway from there.
    """
    name, _, given = argument.rpartition("=")
    folder = Path(given).resolve()
    environment = {"PYTHONPATH": str(folder)}
    found = _imported_from(environment)
    if folder not in found.parents:
        raise ValueError(f"{folder} is no build of the gateway: Python takes it from {found}")
    return System(name or folder.name, peer("gateway"), environment)


def _archiving() -> dict[str, str]:
    return {"ARCHIVE": "1", "ADMIN_PORT": str(free_port())}


def _imported_from(environment: Mapping[str, str]) -> Path:
    argv = [str(ROOT / ".venv/bin/python"), "-c", "import proxy.cli; print(proxy.__file__)"]
    done = subprocess.run(
        argv, cwd="/", env={**os.environ, **environment}, capture_output=True, text=True, timeout=READY_SECONDS
    )
    if done.returncode:
        raise ValueError(f"not importable: {done.stderr[-1000:]}")
    return Path(done.stdout.strip())
