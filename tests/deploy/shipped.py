"""The configurations that the deployments bring, read as the gateway reads them, and what they ask of a deployment.

Must not know any one kind of deployment.
"""

from __future__ import annotations

import os
from pathlib import Path

from proxy.settings import Settings
from proxy.settings.source import from_text
from proxy.supervisor import KILL_MARGIN

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"

# Measured: nginx-compare/README.md (Memory), docs/deployment.md and docs/archive.md, in bytes.
WORKER_AT_REST = 60_000_000
IDLE_TLS_CONNECTION = 46_000  # once many have come and gone; the first take 25,300
ARCHIVER = 150_000_000
SUPERVISOR = 60_000_000


def settings_of(text: str, secrets: Path | None = None) -> Settings:
    """The settings in a text. Files of /run are looked for in that folder."""
    there = text.replace("/run/secrets/replay-gateway", str(secrets)) if secrets else text
    settings = from_text(there, os.environ)
    assert isinstance(settings, Settings), [str(problem) for problem in settings]
    return settings


def seconds_to_stop(settings: Settings) -> float:
    """The longest that a gateway takes from SIGTERM to its end: what hangs is killed, workers first, then the
    archiver."""
    return settings.timeouts.lame_duck + settings.timeouts.drain + 2 * KILL_MARGIN


def memory(settings: Settings) -> int:
    """Bytes that a gateway takes when everything that has a limit is at its limit. `workers` must be a number."""
    assert isinstance(settings.workers, int)
    queue = settings.archive.spool.queue_bytes if settings.archive else 0
    limits = settings.limits
    connections = (limits.connections + limits.lingering) * IDLE_TLS_CONNECTION
    worker = WORKER_AT_REST + limits.inflight_bytes + connections + queue
    return SUPERVISOR + settings.workers * worker + (ARCHIVER if settings.archive else 0)
