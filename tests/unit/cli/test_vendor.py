"""Proves that the stand-in vendor lives exactly as long as it is needed, whatever happens to who started it."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from proxy.cli.vendor import VendorError, stand_in
from tests.gateway import eventually, is_alive

ROOT = Path(__file__).resolve().parents[3]
HOLDER = """
import sys, pathlib
from proxy.cli.vendor import stand_in
with stand_in(pathlib.Path(sys.argv[1])) as vendor:
    print(vendor["pid"], flush=True)
    sys.stdin.read()
"""


def test_it_serves_while_the_block_lasts(tmp_path: Path) -> None:
    with stand_in(tmp_path) as vendor:
        assert is_alive(vendor["pid"])
        assert Path(vendor["ca_file"]).parent == tmp_path
        context = ssl.create_default_context(cafile=vendor["ca_file"])
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(f"https://{vendor['eu-tls']}/config/key", timeout=30) as answer:
            assert answer.status == 200
    assert not is_alive(vendor["pid"])


def test_it_ends_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), stand_in(tmp_path) as vendor:
        raise RuntimeError
    assert not is_alive(vendor["pid"])


def test_it_ends_even_if_it_was_stopped(tmp_path: Path) -> None:
    with stand_in(tmp_path) as vendor:
        os.kill(vendor["pid"], signal.SIGKILL)
    assert not is_alive(vendor["pid"])


def test_it_ends_when_its_starter_is_killed(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        holder.kill()
    eventually(lambda: not is_alive(pid), 30, "the stand-in ends")


def test_what_it_says_when_it_can_not_start_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VendorError, match=r"the stand-in vendor did not start: .+"), stand_in(tmp_path / "file"):
        raise AssertionError("it should not have started")
