"""A real gateway process for tests: written configuration in, ports and counters out.

Standard library only, so that any suite (and the benchmarks) can use it. It must not import
anything of `proxy`: what it drives is the command, as a user would start it.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar

ROOT = Path(__file__).resolve().parents[1]
COMMAND = Path(sys.executable).with_name("replay-gateway")
VENDOR = {
    "us": {
        "track": "https://api-sr.amplitude.com/sessions/v2/track",
        "config": "https://sr-client-cfg.amplitude.com/config",
    },
    "eu": {
        "track": "https://api-sr.eu.amplitude.com/sessions/v2/track",
        "config": "https://sr-client-cfg.eu.amplitude.com/config",
    },
}
# Below the kernel's ephemeral range (32768 and up), so that no outgoing connection of a neighbouring
# test takes a port between our look at it and the gateway's bind.
PORTS = range(10_000, 32_000)
START_SECONDS = 60.0  # a loaded two-core machine; a healthy start takes one or two
START_ATTEMPTS = 5  # each loses only when another test took one of the ports meanwhile
STOP_SECONDS = 30.0

T = TypeVar("T")


class Vendor(Protocol):
    """What is needed of the stand-in (`tests.standin.StandIn` fits)."""

    @property
    def ports(self) -> Mapping[str, Any]: ...
    @property
    def ca_file(self) -> Any: ...


def eventually(check: Callable[[], T | Literal[False] | None], seconds: float = 10.0, what: str = "") -> T:
    """The first true value of `check`; fails when there is none in time. The way to wait in tests."""
    ends = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < ends, f"not within {seconds} s: {what or check}; last seen: {value!r}"
        time.sleep(0.02)


_given: set[int] = set()  # ports that this process was given


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on at this moment, and another one each time."""
    while True:
        port = random.choice(PORTS)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port


def is_alive(pid: int) -> bool:
    """Whether the process still runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def merged(default: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` laid over `default`, mappings key by key, everything else replaced."""
    result = dict(default)
    for key, value in given.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return result


def vendor_upstreams(standin: Vendor) -> dict[str, Any]:
    """`upstreams:` with the vendor's real URLs, dialled at the stand-in's TLS sites."""
    return {
        region: {
            route: {"url": url, "connect": _address(standin.ports[f"{region}-tls"]), "ca_file": str(standin.ca_file)}
            for route, url in routes.items()
        }
        for region, routes in VENDOR.items()
    }


def _address(port: object) -> str:
    text = str(port)
    return text if ":" in text else f"127.0.0.1:{text}"


def _children(pid: int, module: str) -> list[int]:
    """The children that run a module of Python."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == pid and fields[0] != "Z" and module.encode() in words:
                found.append(int(entry.name))
    return sorted(found)


class Gateway:
    """`replay-gateway run`, as installed, on free loopback ports, ready when entered and checked when left.

    `config` is laid over the defaults: a plain listener, a TLS listener when `standin` is given (with the
    stand-in's certificate), the admin server, `workers`, and upstreams that lead to the stand-in. On
    leaving, the process must end by SIGTERM with exit code 0 and without a traceback on stderr, unless
    `clean=False` (for tests that kill). `ready=False` does not wait for readiness. `prefix` is what the command is
    executed by; it must keep its process id.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        standin: Vendor | None = None,
        workers: int = 1,
        env: Mapping[str, str] | None = None,
        clean: bool = True,
        ready: bool = True,
        prefix: Sequence[str] = (),
    ) -> None:
        self._config = dict(config or {})
        self._standin = standin
        self._workers = workers
        self._env = {**os.environ, **(env or {})}
        self._clean = clean
        self._wait_ready = ready
        self._prefix = tuple(prefix)
        self._folder = tempfile.TemporaryDirectory(prefix="gateway-")
        self._process: subprocess.Popen[bytes] | None = None
        self._returncode: int | None = None
        self.config: dict[str, Any] = {}
        self.config_file = Path(self._folder.name, "gateway.yaml")
        self.log_file = Path(self._folder.name, "stderr")
        self.port = 0
        self.tls_port = 0
        self.admin = ""

    @property
    def url(self) -> str:
        """Base URL of the plain listener, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """Base URL of the TLS listener; its certificate is good for localhost and 127.0.0.1."""
        return f"https://127.0.0.1:{self.tls_port}"

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll() if self._process else None

    def __enter__(self) -> Self:
        for attempt in range(1, START_ATTEMPTS + 1):
            self._start()
            if not self._wait_ready or self._became_ready():
                return self
            text = self.log_text()
            self._kill()
            if attempt == START_ATTEMPTS or "in use" not in text:
                self._folder.cleanup()
                raise AssertionError(f"the gateway did not start (exit code {self._returncode}):\n{text}")
        raise AssertionError("unreachable")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                error.add_note(f"the gateway's log:\n{self.log_text()[-8000:]}")
            elif self._clean:
                self.stop()
                self.assert_clean()
        finally:
            self._kill()
            self._folder.cleanup()

    def _start(self) -> None:
        self.config = merged(self._defaults(), self._config)
        self.config_file.write_text(json.dumps(self.config, indent=1, ensure_ascii=False))  # JSON is YAML
        listeners = self.config["listen"]
        for listener in reversed(listeners if isinstance(listeners, list) else [listeners]):
            port = int(listener["address"].rpartition(":")[2])
            if listener.get("tls"):
                self.tls_port = port
            else:
                self.port = port
        if self.config["admin"]:
            self.admin = f"http://{self.config['admin']['address']}"
        self._execute("wb")

    def start_again(self) -> None:
        """Another run with the same configuration, after the one before has ended; ready on return."""
        assert self.returncode is not None, "it still runs"
        self._execute("ab")
        assert self._became_ready(), f"it did not start again:\n{self.log_text()[-8000:]}"

    def _execute(self, mode: Literal["wb", "ab"]) -> None:
        with self.log_file.open(mode) as log:
            self._process = subprocess.Popen(
                [*self._prefix, str(COMMAND), "run", "--config", str(self.config_file)],
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _defaults(self) -> dict[str, Any]:
        listen: list[dict[str, Any]] = [{"address": f"127.0.0.1:{free_port()}"}]
        config: dict[str, Any] = {
            "listen": listen,
            "admin": {"address": f"127.0.0.1:{free_port()}"},
            "workers": self._workers,
            "timeouts": {"drain": "5s"},
        }
        if self._standin:
            folder = Path(str(self._standin.ca_file)).parent
            tls = {"certificate": str(folder / "server.pem"), "key": str(folder / "server.key")}
            listen.append({"address": f"127.0.0.1:{free_port()}", "tls": tls})
            config["upstreams"] = vendor_upstreams(self._standin)
        return config

    def _became_ready(self) -> bool:
        assert self.admin, "without an admin server readiness can't be asked: use ready=False"
        ends = time.monotonic() + START_SECONDS
        while self.returncode is None and time.monotonic() < ends:
            if self.health("ready")[0] == 200:
                return True
            time.sleep(0.02)
        return False

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Status and text of an admin endpoint; status 0 when nobody answers."""
        request = urllib.request.Request(self.admin + path, headers=dict(headers or {}))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def health(self, which: str) -> tuple[int, str]:
        """Status and text of /health/live or /health/ready."""
        return self.get(f"/health/{which}")

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics, keyed as printed: `name{label="value",…}`."""
        status, text = self.get("/metrics")
        assert status == 200, (status, text)
        lines = (line for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples called `name` that carry all of `labels`; 0 when there is none."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        return sum(
            value
            for key, value in self.metrics().items()
            if key.partition("{")[0] == name and wanted <= set(re.findall(r'[a-z_]+="[^"]*"', key))
        )

    def worker_pids(self) -> list[int]:
        """The process ids of the workers that run now."""
        return _children(self.pid, "proxy.worker")

    def archiver_pids(self) -> list[int]:
        """The process ids of the archivers that run now: one while there is an archive."""
        return _children(self.pid, "proxy.archiver")

    def log_text(self) -> str:
        """Everything the gateway wrote to stdout and stderr so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def log_lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """The JSON log lines so far, all or those of one event."""
        lines = [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]
        return [line for line in lines if event is None or line.get("event") == event]

    def send_signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the supervisor."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for the end; the exit code."""
        assert self._process is not None, "not started"
        return self._process.wait(seconds)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal the supervisor, if it still runs, and wait for its end; the exit code."""
        if self.returncode is None:
            self.send_signal(number)
        return self.wait()

    def assert_clean(self) -> None:
        """The process has ended with exit code 0 and no traceback was written."""
        text = self.log_text()
        assert self.returncode == 0, f"exit code {self.returncode}:\n{text[-8000:]}"
        assert "Traceback" not in text, text[-8000:]

    def _kill(self) -> None:
        assert self._process is not None, "not started"
        workers = [*self.worker_pids(), *self.archiver_pids()] if self._process.poll() is None else []
        self._process.kill()
        self._returncode = self._process.wait(STOP_SECONDS)
        eventually(
            lambda: not any(map(is_alive, workers)), STOP_SECONDS, f"workers {workers} end with their supervisor"
        )
