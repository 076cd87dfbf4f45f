"""An exported configuration as a running server: exported by the command as a user would, checked by the server's own
check, started on loopback. It must not import anything of `proxy`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparison.peers import PATH, stop

from tests.conformance.wire import Client
from tests.gateway import COMMAND, ROOT, eventually

START_SECONDS = 30.0
# What any nginx needs around an http block's file to live in one folder of an ordinary user.
FRAME = """pid {folder}/pid;
daemon off;
{user}
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/exported;
}}
"""


class NotStartedError(Exception):
    """The server has ended at once; the text is what it said. Somebody else may have taken a port meanwhile."""


@dataclass(frozen=True)
class Exported:
    """A running server: where it listens, plain and with TLS."""

    name: str
    port: int
    tls_port: int

    def client(self) -> Client:
        """A new connection to the plain listener."""
        return Client(("127.0.0.1", self.port))


def export(name: str, config: Mapping[str, Any], folder: Path, *arguments: str) -> str:
    """What the command prints for these settings."""
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(config))  # JSON is YAML
    command = [str(COMMAND), "export", name, "--config", str(file), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def running(name: str, config: Mapping[str, Any], folder: Path) -> Iterator[Exported]:
    """The server with the exported settings, until the block is left. `config` has a plain and a TLS listener."""
    (folder / "exported").write_text(export(name, config, folder))
    environment = {**os.environ, "PATH": PATH, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    check, start = commands(name, folder)
    checked = subprocess.run(check, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr, checked.stderr
    assert "[WARNING]" not in checked.stderr, checked.stderr
    ports = [int(listener["address"].rpartition(":")[2]) for listener in config["listen"]]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(start, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        eventually(lambda: process.poll() is not None or all(map(listens, ports)), START_SECONDS, name)
        if process.poll() is not None:
            raise NotStartedError((folder / "output").read_text())
        yield Exported(name, *ports)
    finally:
        stop(process)


def commands(name: str, folder: Path) -> tuple[list[str], list[str]]:
    """The server's own check of the file, and its start in the foreground."""
    program = shutil.which(name, path=PATH)
    assert program, f"{name} is not installed"
    file = str(folder / "exported")
    if name == "haproxy":
        return [program, "-c", "-f", file], [program, "-db", "-f", file]
    if name == "caddy":
        arguments = ["--adapter", "caddyfile", "--config", file]
        return [program, "validate", *arguments], [program, "run", *arguments]
    frame = folder / "nginx.conf"
    frame.write_text(FRAME.format(folder=folder, user="user root;" if os.geteuid() == 0 else ""))
    start = [program, "-p", str(folder), "-e", "stderr", "-c", str(frame)]
    return [*start, "-t"], start


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
