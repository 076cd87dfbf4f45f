"""`replay-gateway demo`: the gateway with its vendor played by the stand-in, and how to try both.

The vendor's real URLs stay in the settings and only the addresses dialled are the stand-in's, so that names,
certificates and paths are those of the real thing.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Mapping
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
API_KEY = "0123456789abcdef0123456789abcdef"
# What the current browser SDK asks for before an upload.
SDK_HEADERS = (
    "authorization,content-encoding,content-type,x-client-library,x-client-sample-rate,x-client-url,"
    "x-client-version,x-sampling-hash-alg"
)


def run_demo(port: int, admin_port: int) -> int:
    """Blocks until Ctrl-C or SIGTERM. Returns the exit code. Leaves no process and no file behind."""
    # While the supervisor does not handle them, these must unwind the stack, or processes and files would stay.
    before = {number: signal.signal(number, _leave) for number in STOP_SIGNALS}
    try:
        return _serve(port, admin_port)
    except VendorError as error:
        click.echo(str(error), err=True)
        return FAILURE
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve(port: int, admin_port: int) -> int:
    with tempfile.TemporaryDirectory(prefix="replay-gateway-demo-") as directory, stand_in(Path(directory)) as vendor:
        settings = demo_settings(port, admin_port, vendor)
        try:
            return supervise(settings, "demo", partial(click.echo, instructions(port, admin_port)))
        finally:
            # The rest is clearing away: an impatient second Ctrl-C must not leave half of it.
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)


def demo_settings(port: int, admin_port: int, vendor: Mapping[str, Any]) -> Settings:
    """Settings whose upstreams have the vendor's URLs and the stand-in's addresses."""
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
            "admin": {"address": f"127.0.0.1:{admin_port}"},
            "upstreams": upstreams,
            "log": {"access": "all"},
        }
    )


def instructions(port: int, admin_port: int) -> str:
    """What to do with a gateway on these ports."""
    gateway = f"http://localhost:{port}"
    track, config = f"{gateway}/sessions/v2/track", f"{gateway}/config"
    return f"""
The gateway listens on {gateway} (every address of this machine). Behind it: a stand-in, not the vendor.
Admin: http://127.0.0.1:{admin_port}

Upload a replay:
  curl -i '{track}?device_id=demo&session_id=1&type=replay' \\
    -H 'Authorization: Bearer {API_KEY}' -H 'Content-Type: application/json' \\
    --data '{{"version":1,"events":[]}}'

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


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(FINE)
