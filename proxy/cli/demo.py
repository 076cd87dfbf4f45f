"""`replay-gateway demo`: the gateway with its vendor played by the stand-in, an archive, and how to try them.

The vendor's real URLs stay in the settings and only the addresses dialled are the stand-in's, so that names,
certificates and paths are those of the real thing. What was archived stays when the demo ends, with a configuration
in the archive's folder for the commands that read it back.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click

from proxy.cli.exit_codes import FAILURE, FINE
from proxy.cli.run import supervise
from proxy.cli.vendor import VendorError, stand_in
from proxy.settings import Settings
from proxy.settings.upstreams import BUILT_IN

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Below the folder in which the demo is started. What is in the spool when the demo is killed is archived by the next.
ARCHIVE = Path("archive")
SPOOL = Path("spool")
# In the archive's folder, where no object can have this name.
CONFIG = "demo.yaml"
ROTATE_SECONDS = 5
API_KEY = "0123456789abcdef0123456789abcdef"
# What the current browser SDK asks for before an upload.
SDK_HEADERS = (
    "authorization,content-encoding,content-type,x-client-library,x-client-sample-rate,x-client-url,"
    "x-client-version,x-sampling-hash-alg"
)


def run_demo(port: int, admin_port: int) -> int:
    """Blocks until Ctrl-C or SIGTERM. Returns the exit code. Leaves no process behind, and no file but the archive."""
    # While the supervisor does not handle them, these must unwind the stack, or processes and files would stay.
    before = {number: signal.signal(number, _leave) for number in STOP_SIGNALS}
    try:
        return _serve(port, admin_port)
    except VendorError as error:
        click.echo(str(error), err=True)
        return FAILURE
    except _ArchiveError as error:
        click.echo(f"the demo archives below the folder in which it is started: {error}", err=True)
        return FAILURE
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve(port: int, admin_port: int) -> int:
    with tempfile.TemporaryDirectory(prefix="replay-gateway-demo-") as directory, stand_in(Path(directory)) as vendor:
        folder = Path.cwd()
        settings = demo_settings(port, admin_port, vendor, folder)
        _prepare(folder / ARCHIVE)
        try:
            return supervise(settings, "demo", partial(_tell, folder, port, admin_port))
        finally:
            # The rest is clearing away: an impatient second Ctrl-C must not leave half of it.
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            with suppress(OSError):  # not empty: an upload waits in it
                (folder / SPOOL).rmdir()


class _ArchiveError(Exception):
    """There can be no archive. The text says why."""


def _prepare(archive: Path) -> None:
    """Have the archive's folder. Raises _ArchiveError."""
    try:
        archive.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _ArchiveError(f"{archive}: {error.strerror}") from None
    if not os.access(archive, os.W_OK | os.X_OK):
        raise _ArchiveError(f"{archive} is not writable")


def _tell(folder: Path, port: int, admin_port: int) -> None:
    # Not before it serves: a demo that can't must leave another one's file alone.
    (folder / ARCHIVE / CONFIG).write_text(json.dumps(archive_settings(folder, admin_port), indent=2) + "\n")
    click.echo(instructions(port, admin_port, folder))


def archive_settings(folder: Path, admin_port: int) -> dict[str, Any]:
    """What the archive's commands are told: an archive in `folder`, quick to be filled, and who writes it."""
    return {
        "admin": {"address": f"127.0.0.1:{admin_port}"},
        "archive": {
            "directory": str(folder / ARCHIVE),
            "spool": {"directory": str(folder / SPOOL)},
            "rotate": {"seconds": ROTATE_SECONDS},
        },
    }


def demo_settings(port: int, admin_port: int, vendor: Mapping[str, Any], folder: Path) -> Settings:
    """Settings whose upstreams have the vendor's URLs and the stand-in's addresses, with an archive in `folder`."""
    upstreams = {
        region: {
            route: {"url": url, "connect": vendor[f"{region}-tls"], "ca_file": vendor["ca_file"]}
            for route, url in routes.items()
        }
        for region, routes in BUILT_IN.items()
    }
    return Settings.model_validate(
        {
            "listen": {"address": f":{port}"},
            "upstreams": upstreams,
            "log": {"access": "all"},
            **archive_settings(folder, admin_port),
        }
    )


def instructions(port: int, admin_port: int, folder: Path) -> str:
    """What to do with a gateway on these ports and its archive in `folder`."""
    archive, of = f"{_program()} archive", f"--config {shlex.quote(str(folder / ARCHIVE / CONFIG))}"
    gateway = f"http://localhost:{port}"
    track, config = f"{gateway}/sessions/v2/track", f"{gateway}/config"
    return f"""
The gateway listens on {gateway} (every address of this machine). Behind it: a stand-in, not the vendor.
Admin: http://127.0.0.1:{admin_port}

Upload a replay:
  curl -i '{track}?device_id=demo&session_id=1&type=replay' \\
    -H 'Authorization: Bearer {API_KEY}' -H 'Content-Type: application/json' \\
    --data '{{"version":1,"events":[]}}'

Every upload is also archived into {folder / ARCHIVE}, and stays there.
After {ROTATE_SECONDS} s find it, read it back, and see whether all is accounted for:
  {archive} find --session 1 {of}
  {archive} get --session 1 {of}
  {archive} status {of}

Fetch the configuration:
  curl -i '{config}/{API_KEY}?config_group=browser'

Ask as a browser does before it uploads from another origin:
  curl -i -X OPTIONS '{track}' -H 'Origin: https://app.example.com' \\
    -H 'Access-Control-Request-Method: POST' \\
    -H 'Access-Control-Request-Headers: {SDK_HEADERS}'

The browser SDK:
  sessionReplay.init("{API_KEY}", {{
    deviceId, sessionId, sampleRate: 1,
    trackServerUrl: "{track}",
    configServerUrl: "{config}",
  }});

Content-Security-Policy of the page:
  connect-src {gateway}; worker-src blob:

Ctrl-C ends both.
"""


def _program() -> str:
    """How this command is called from the same shell."""
    if Path(sys.argv[0]).name == "replay-gateway":
        return shlex.quote(sys.argv[0])
    return f"{shlex.quote(sys.executable)} -m proxy"


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(FINE)
