"""The systems that are compared: which there are, what they need, and how one is started and stopped.

How a system is configured is in its folder under ../peers, whose `start` scripts share one contract. Nothing here
knows what is then asked of a system, or which of them is the project's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from comparison import COMPARE, ROOT
from tests.browser.sdk_build import ensure_installed
from tests.gateway import eventually, free_port, is_alive

START_ATTEMPTS = 5  # each loses only when somebody else took a port meanwhile
START_SECONDS = 60.0  # a loaded two-core machine; a healthy start takes one at most
STOP_SECONDS = 10.0
BODY_LIMIT = 16 * 1024 * 1024  # bytes
# Debian keeps servers where an ordinary user's PATH does not look.
PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"))


@dataclass(frozen=True)
class Running:
    """A started system: its first process, its listeners, and the folder of all that it writes. `admin_port` is 0 unless
    it has one, and was told which."""

    pid: int
    port: int
    tls_port: int
    folder: Path
    admin_port: int = 0

    @property
    def log_text(self) -> str:
        """What it wrote on stdout and stderr so far."""
        return (self.folder / "output").read_text(errors="replace")

    @property
    def url(self) -> str:
        """Base URL of the plain listener, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """Base URL of the listener with TLS."""
        return f"https://127.0.0.1:{self.tls_port}"


@dataclass(frozen=True)
class Peer:
    """One system. `program` is what must be on PATH (or in the project), `get` the command that gets it; `ask` makes
    it say its version. `packages` names npm packages whose versions are told too."""

    name: str
    program: str
    get: str
    ask: tuple[str, ...]
    packages: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its configuration and its `start` are."""
        return COMPARE / "peers" / self.name

    @property
    def needs_npm(self) -> bool:
        """Whether `npm ci` in its folder gets a part of it."""
        return (self.folder / "package-lock.json").exists()

    def missing(self) -> str | None:
        """The command that gets what is not there; None when the system can be started."""
        if not shutil.which(self._program(), path=PATH):
            return self.get
        if self.needs_npm and not (self.folder / "node_modules" / ".package-lock.json").exists():
            return f"npm ci --prefix nginx-compare/peers/{self.name}"
        return None

    def install(self) -> None:
        """Gets the npm packages of one that has any. Programs are for the operator, or .ci/tools, to install."""
        if self.needs_npm:
            ensure_installed(self.folder)

    def version(self) -> str:
        """What is compared, in one line."""
        done = subprocess.run([self._program(), *self.ask], capture_output=True, text=True, check=True, env=_search())
        told = (done.stdout + done.stderr).splitlines()[0].removeprefix("nginx version: ").partition(" - ")[0]
        return ", ".join((told, *(f"{name} {self._version_of(name)}" for name in self.packages)))

    @contextlib.contextmanager
    def running(
        self,
        upstream_port: int,
        ca: Path,
        *,
        certificate: Path,
        key: Path,
        workers: int = 1,
        body_limit: int = BODY_LIMIT,
        answer_timeout: int = 7,
        head_timeout: int = 10,
        body_timeout: int = 10,
        mirror_port: int = 0,
        command: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[Running]:
        """The system on free ports in front of the TLS upstream at `upstream_port`, until the block is left.

        Time-outs are in seconds. `command` is put before the start script (`("taskset", "--cpu-list", "0")`),
        `environment` is laid over that of the contract. Fails when the system is missing or does not start.
        """
        assert not (get := self.missing()), f"{self.name} is not installed: {get}"
        contract = {
            "UPSTREAM_PORT": str(upstream_port),
            "CA": str(ca),
            "CERT": str(certificate),
            "KEY": str(key),
            "WORKERS": str(workers),
            "BODY_LIMIT": str(body_limit),
            "ANSWER_TIMEOUT": str(answer_timeout),
            "HEAD_TIMEOUT": str(head_timeout),
            "BODY_TIMEOUT": str(body_timeout),
            **({"MIRROR_PORT": str(mirror_port)} if mirror_port else {}),
            **(environment or {}),
        }
        with tempfile.TemporaryDirectory(prefix=f"{self.name}-", ignore_cleanup_errors=True) as folder:
            process, running = self._started(Path(folder), contract, command)
            try:
                yield running
            except BaseException as error:
                error.add_note(f"the log of {self.name}:\n{running.log_text[-4000:]}")
                raise
            finally:
                stop(process)

    def _started(
        self, folder: Path, contract: Mapping[str, str], command: Sequence[str]
    ) -> tuple[subprocess.Popen[bytes], Running]:
        for attempt in range(START_ATTEMPTS):
            run = folder / str(attempt)
            run.mkdir()
            port, tls_port = free_port(), free_port()
            ports = {"RUN": str(run), "PORT": str(port), "TLS_PORT": str(tls_port)}
            with (run / "output").open("wb") as output:
                process = subprocess.Popen(
                    [*command, str(self.folder / "start")],
                    env={**_search(), **contract, **ports},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            running = Running(process.pid, port, tls_port, run, int(contract.get("ADMIN_PORT", "0")))
            try:
                if _listens(process, port, tls_port):
                    return process, running
            except BaseException:
                stop(process)
                raise
        raise AssertionError(f"{self.name} did not start:\n{running.log_text}")

    def _program(self) -> str:
        return str(ROOT / self.program) if "/" in self.program else self.program

    def _version_of(self, package: str) -> str:
        text = (self.folder / "node_modules" / package / "package.json").read_text()
        return str(json.loads(text)["version"])


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for it and its children when that does not end it in time."""
    pids = process_tree(process.pid)
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
    for pid in pids:
        if pid != process.pid and is_alive(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(map(is_alive, pids)), STOP_SECONDS, f"{pids} end")


def process_tree(pid: int) -> list[int]:
    """The process and all below it that run now, itself first."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)):
            below.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found.extend(sorted(below.get(one, ())))
    return found


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _search() -> dict[str, str]:
    return {**os.environ, "PATH": PATH}


def _listens(process: subprocess.Popen[bytes], *ports: int) -> bool:
    """Waits until every port accepts; False when the process has ended instead."""
    what = f"{process.args!r} listens"
    return eventually(lambda: "ended" if process.poll() is not None else _accept(*ports), START_SECONDS, what) == "yes"


def _accept(*ports: int) -> str:
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return ""
    return "yes"


_NODE = ("node", "apt-get install --no-install-recommends nodejs npm", ("--version",))
_PYTHON = ("make install", ("-c", "import aiohttp; print('aiohttp', aiohttp.__version__)"))
PEERS = (
    Peer("gateway", ".venv/bin/replay-gateway", "make install", ("--version",)),
    Peer("nginx-vendor", "nginx", "apt-get install --no-install-recommends nginx-light", ("-v",)),
    Peer("nginx-tuned", "nginx", "apt-get install --no-install-recommends nginx-light", ("-v",)),
    Peer("haproxy", "haproxy", "apt-get install --no-install-recommends haproxy", ("-v",)),
    Peer("caddy", "caddy", "apt-get install --no-install-recommends caddy", ("version",)),
    Peer("express-2", *_NODE, ("express", "http-proxy-middleware")),
    Peer("express-3", *_NODE, ("express", "http-proxy-middleware")),
    Peer("aiohttp", ".venv/bin/python", *_PYTHON),
)


def peer(name: str) -> Peer:
    """The system of that name. Raises KeyError."""
    return {one.name: one for one in PEERS}[name]
