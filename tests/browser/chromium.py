"""One real Chromium, driven through `sdk/driver.mjs`: open a tab, do something in it, ask what was seen.

It knows the browser and nothing of session replay.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.browser.netlog import NetLog
from tests.browser.sdk_build import SDK, needed_tool

# The engine and the network stack of Chromium without its windows, from the same source package: a start costs a
# third. CHROMIUM names another one.
PROGRAM = "chromium-headless-shell"
STOP_SECONDS = 20.0
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # Nothing may leave this machine, whatever host a script asks for.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--net-log-capture-mode=Everything",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that the page could read."""

    method: str
    url: str
    status: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that ended without an answer for the page: refused by CORS, reset, aborted."""

    method: str
    url: str
    reason: str


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a tab's page has met so far."""

    console: tuple[str, ...]
    answers: tuple[Answer, ...]
    failures: tuple[Failure, ...]


def public_key_pin(certificate: Path) -> str:
    """The SHA-256 of a certificate's public key, as `--ignore-certificate-errors-spki-list` takes it."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


class Chromium:
    """A headless Chromium with a fresh profile, running while entered.

    The one test certificate is accepted by its public key. So Chromium checks every other certificate as usual,
    which `--ignore-certificate-errors` would switch off, and no certificate store must be written.
    """

    def __init__(self, certificate: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        log = Path(self._folder.name, "netlog.json")
        self._errors = Path(self._folder.name, "driver.stderr")
        flags = [*FLAGS, f"--log-net-log={log}", f"--ignore-certificate-errors-spki-list={public_key_pin(certificate)}"]
        self._settings = {"executable": needed_tool(os.environ.get("CHROMIUM", PROGRAM), PROGRAM), "args": flags}
        self._process: subprocess.Popen[str] | None = None
        self._commands = 0
        self.netlog = NetLog(log)

    def __enter__(self) -> Self:
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [needed_tool("node", "nodejs"), "driver.mjs", json.dumps(self._settings)],
                cwd=SDK,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._hear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._running()
        try:
            process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        finally:
            self._folder.cleanup()

    def new_tab(self) -> Tab:
        """A tab of a visitor who has never been anywhere: no cookies, no storage."""
        return Tab(self, int(self.ask("new_tab")))

    def ask(self, do: str, **values: object) -> Any:
        """Have the driver do something, wait for the outcome."""
        self._commands += 1
        stdin = self._running().stdin
        assert stdin is not None
        stdin.write(json.dumps({"id": self._commands, "do": do, **values}) + "\n")
        stdin.flush()
        answer = self._hear()
        assert answer.get("id") == self._commands, answer
        assert "error" not in answer, f"{do} {values}: {answer['error']}"
        return answer["value"]

    def _hear(self) -> dict[str, Any]:
        stdout = self._running().stdout
        assert stdout is not None
        line = stdout.readline()
        assert line, f"the browser's driver has ended:\n{self._errors.read_text()[-4000:]}"
        return cast(dict[str, Any], json.loads(line))

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "not started"
        return self._process


class Tab:
    """One page of one visitor."""

    def __init__(self, browser: Chromium, number: int) -> None:
        self._browser = browser
        self._number = number

    def go(self, url: str) -> None:
        """Load a URL; what was there before leaves as it does for a visitor."""
        self._ask("go", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self._ask("evaluate", expression=expression)

    def click(self, selector: str) -> None:
        """A real mouse click on an element."""
        self._ask("click", selector=selector)

    def press(self, key: str) -> None:
        """A key of the keyboard, pressed and let go."""
        self._ask("press", key=key)

    def look(self, scheme: str, width: int, height: int) -> None:
        """See pages as a visitor with this colour scheme (light, dark) and size of window does."""
        self._ask("look", scheme=scheme, width=width, height=height)

    def add_headers(self, headers: dict[str, str]) -> None:
        """From now on the browser adds these to each request of the page, in place of those named before."""
        self._ask("headers", headers=headers)

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG file."""
        self._ask("screenshot", path=str(path))

    def close_page(self) -> None:
        """Close the tab as a visitor does; requests that outlive the page go on."""
        self._ask("close_page")

    def seen(self) -> Seen:
        """What the page has met so far, also after it was closed."""
        seen = self._ask("seen")
        return Seen(
            tuple(seen["console"]),
            tuple(Answer(**answer) for answer in seen["answers"]),
            tuple(Failure(**failure) for failure in seen["failures"]),
        )

    def cookies(self) -> dict[str, str]:
        """The visitor's cookies, name to value, of all sites."""
        return {cookie["name"]: cookie["value"] for cookie in self._ask("cookies")}

    def forget(self) -> None:
        """End the visitor: page, cookies, storage, requests under way."""
        self._ask("forget_tab")

    def _ask(self, do: str, **values: object) -> Any:
        return self._browser.ask(do, tab=self._number, **values)
