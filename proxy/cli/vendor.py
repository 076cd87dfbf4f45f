"""The stand-in vendor as a child process, for as long as a block lasts. Must not know of the gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STOP_SECONDS = 5.0


class VendorError(Exception):
    """The stand-in did not start. The text is what it said."""


@contextmanager
def stand_in(directory: Path) -> Iterator[dict[str, Any]]:
    """Where it serves: site names to addresses, and `ca_file`. Its certificates go to `directory`.

    Raises VendorError. It ends with the block, and by itself when this process is killed: then its standard
    input closes. It has a session of its own, so that Ctrl-C reaches the gateway, which drains, and not it.
    """
    command = [sys.executable, "-m", "proxy.standin", "--quiet", "--until-stdin-closes", "--tls-dir", str(directory)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        try:
            yield _announced(process)
        finally:
            _end(process)


def _announced(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    if not line:
        raise VendorError(f"the stand-in vendor did not start: {process.stderr.read().strip()}")
    announced: dict[str, Any] = json.loads(line)
    return announced


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
