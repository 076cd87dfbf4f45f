"""Proves that the gateway needs no writable file but its spool's and its archive's: a real one, with the composition's
configuration, where everything else is read-only."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.gateway import COMMAND, eventually, free_port

from .shipped import DEPLOY, ROOT

VOLUME = "/var/lib/replay-gateway"
IN_A_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", sys.executable, "-m", "tests.deploy.confined")
# Without the proxies of the environment.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Confined:
    """The gateway, its ports, and where its log is."""

    def __init__(self, folder: Path) -> None:
        self.port, self.admin = free_port(), free_port()
        self.log = folder / "log"
        self.state = folder / "state"
        self.state.mkdir()
        config = yaml.safe_load((DEPLOY / "compose" / "gateway.yaml").read_text().replace(VOLUME, str(self.state)))
        config["listen"] = {"address": f"127.0.0.1:{self.port}"}
        config["admin"] = {"address": f"127.0.0.1:{self.admin}"}
        config["workers"] = 1
        config["timeouts"]["lame_duck"] = 0
        config["archive"]["rotate"] = {"seconds": 1}
        config["upstreams"] = {"us": {"track": {"url": f"http://127.0.0.1:{free_port()}/sessions/v2/track"}}}
        (folder / "gateway.yaml").write_text(yaml.safe_dump(config))
        command = (*IN_A_NAMESPACE, str(self.state), str(COMMAND), "run", "--config", str(folder / "gateway.yaml"))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ask(self, path: str) -> str:
        """An answer of the admin server with 200; empty for any other."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            with OPENER.open(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def upload(self) -> int:
        """The status of an upload."""
        url = f"http://127.0.0.1:{self.port}/sessions/v2/track?device_id=d&session_id=1"
        request = urllib.request.Request(url, b'{"version":1,"events":[]}', {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            OPENER.open(request, timeout=30)
        with refused.value as error:
            return error.code


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Confined]:
    confined = Confined(tmp_path)
    yield confined
    confined.process.kill()
    confined.process.wait()


def test_it_starts_carries_archives_and_ends(gateway: Confined) -> None:
    eventually(lambda: gateway.ask("/health/ready"), 60.0, "it is ready")
    assert gateway.upload() == 502  # nobody listens where the vendor should be
    eventually(lambda: "\nreplay_gateway_archived_total 1.0\n" in gateway.ask("/metrics"), 30.0, "it is archived")
    gateway.process.terminate()
    assert gateway.process.wait(30) == 0, gateway.log.read_text()
    assert "Traceback" not in gateway.log.read_text()
    assert list(gateway.state.iterdir()) == []  # what it wrote was in the file system that is gone
