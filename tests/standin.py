"""The stand-in vendor as a process, for all test suites: start it, order it about, ask what it saw.

Standard library only. `with StandIn() as vendor:` gives one that serves; it ends with the block, and
with the test process should that be killed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

ROOT = Path(__file__).resolve().parents[1]
POLL = 0.01  # seconds between two questions while waiting
STOP_SECONDS = 10.0
ANSWER_SECONDS = 30.0

Record = dict[str, Any]


class StandInError(Exception):
    """The process did not start, refused an order, or did not see in time what was waited for."""


class StandIn:
    """One stand-in. `ports` are by site name ("us", "eu", "us-tls", "eu-tls"), `control` is a URL,
    `ca_file` the certificate to trust. `arguments` are further ones of the command line."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._opener = build_opener(ProxyHandler({}))
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._last_errors = ""
        self.control = ""
        self.ca_file = Path()
        self.ports: dict[str, int] = {}
        self.addresses: dict[str, str] = {}
        self.pid = 0

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "proxy.standin", "--until-stdin-closes", *self._arguments]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=self._errors)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.__exit__(None, None, None)
            raise StandInError(f"the stand-in did not start: {self.errors()}")
        self._read_announcement(json.loads(line))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        self.errors()
        self._errors.close()

    def _read_announcement(self, places: dict[str, Any]) -> None:
        self.control = places.pop("control")
        self.pid = places.pop("pid")
        self.ca_file = Path(places.pop("ca_file", ""))
        self.addresses = places
        self.ports = {name: int(address.rpartition(":")[2]) for name, address in places.items()}

    def errors(self) -> str:
        """What it has written on stderr so far: one line per request, unless it was told `--quiet`."""
        if not self._errors.closed:
            self._errors.seek(0)
            self._last_errors = self._errors.read().decode("utf-8", "replace")
        return self._last_errors

    def ask(self, method: str, path: str, value: object = None) -> bytes:
        """One request to the control API; the answer's body. Raises StandInError with its complaint."""
        data = None if value is None else json.dumps(value).encode()
        request = Request(self.control + path, data=data, method=method)
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS) as answer:
                body: bytes = answer.read()
        except HTTPError as error:
            with error:
                raise StandInError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return body

    def requests(self, since: int = 0, site: str | None = None) -> list[Record]:
        """Records after number `since`, oldest first; `ended` is None while a body is arriving."""
        query = f"?since={since}" + (f"&site={site}" if site else "")
        records: list[Record] = json.loads(self.ask("GET", "/requests" + query))
        return records

    def counts(self) -> dict[str, dict[str, Any]]:
        """By site: requests, complete, ended, connections, open, tls_failures, violations, by_status."""
        counts: dict[str, dict[str, Any]] = json.loads(self.ask("GET", "/counts"))
        return counts

    def digests(self) -> list[str]:
        """SHA-256, hex, of the bodies of all complete requests, the last four million."""
        digests: list[str] = json.loads(self.ask("GET", "/digests"))
        return digests

    def body(self, seq: int) -> bytes:
        """The body of a request; `keep_bodies` must have been called before it."""
        return self.ask("GET", f"/bodies/{seq}")

    def keep_bodies(self, number: int) -> None:
        """Keeps the last `number` bodies from now on."""
        self.ask("PUT", "/options", {"keep_bodies": number})

    def behave(self, *rules: dict[str, Any]) -> None:
        """These rules instead of all others; none at all is good behaviour."""
        self.ask("PUT", "/behaviour", list(rules))

    def clear(self) -> None:
        """Good behaviour, no records, counts from 0."""
        self.ask("DELETE", "/behaviour")
        self.ask("DELETE", "/requests")

    def wait_for(self, n: int, site: str | None = None, timeout: float = 10) -> list[Record]:
        """Waits until `n` requests have ended (arrived whole or been given up) since the last clear;
        the records that ended, oldest first. Raises StandInError when they don't."""
        deadline = time.monotonic() + timeout
        while True:
            counts = self.counts()
            ended = sum(one["ended"] for name, one in counts.items() if site in (None, name))
            if ended >= n:
                return [record for record in self.requests(site=site) if record["ended"] is not None]
            if time.monotonic() > deadline:
                raise StandInError(f"only {ended} of {n} requests ended within {timeout} s: {counts}")
            time.sleep(POLL)
