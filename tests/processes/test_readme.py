"""Proves that the README's commands do what it says: each of its curl commands is run, as it stands there, against the
demo, and the answer has the status and the fields that the README shows. Only the ports are others.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import eventually, free_port

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
# A command and, right behind it, the answer that is promised.
SHOWN = re.findall(r"^```sh\n([^`]*)^```\n\n```http\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
VARIABLES = next(block for block in re.findall(r"^```sh\n([^`]*)^```", README, re.MULTILINE) if "GATEWAY=" in block)
START_SECONDS = 60.0
ANSWER_SECONDS = 30.0


def serves(admin: int, process: subprocess.Popen[bytes]) -> bool:
    """Whether the demo is ready. Fails when it has ended."""
    assert process.poll() is None, "the demo ended"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{admin}/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a running demo."""
    port, admin = free_port(), free_port()
    folder = tmp_path_factory.mktemp("demo")  # it archives there
    log = folder / "output"
    command = [sys.executable, "-m", "proxy", "demo", "--port", str(port), "--admin-port", str(admin)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: serves(admin, process), START_SECONDS, "the demo is ready")
        eventually(lambda: f"The gateway listens on http://localhost:{port}" in log.read_text(), 10.0, "it says so")
        yield port
    finally:
        process.terminate()
        code = process.wait(START_SECONDS)
    assert code == 0, log.read_text()


def answer_to(script: str, port: int) -> str:
    """What a shell prints that is given the README's variables and one of its commands."""
    variables = VARIABLES.replace("localhost:8080", f"localhost:{port}")
    assert variables != VARIABLES
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{variables}\n{script}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=ANSWER_SECONDS,
        check=False,
    )
    return done.stdout.decode()


def test_there_are_commands_with_answers() -> None:
    assert len(SHOWN) >= 7
    assert len(SHOWN) == README.count("curl -si")


@pytest.mark.parametrize(("script", "promised"), SHOWN, ids=range(1, len(SHOWN) + 1))
def test_a_command_is_answered_as_shown(demo: int, script: str, promised: str) -> None:
    printed = re.sub(r"\AHTTP/1.1 100 Continue\r\n\r\n", "", answer_to(script, demo))
    status, *fields = printed.partition("\r\n\r\n")[0].split("\r\n")
    shown_status, *shown_fields = promised.splitlines()
    assert status.split(" ")[:2] == shown_status.split(" ")[:2], printed  # phrases differ between Pythons
    assert [field for field in shown_fields if field not in fields] == [], printed


def test_the_site_gets_no_cookie_of_the_vendor(demo: int) -> None:
    script = next(script for script, _ in SHOWN if "Cookie:" in script)
    assert "set-cookie" not in answer_to(script, demo).lower()
