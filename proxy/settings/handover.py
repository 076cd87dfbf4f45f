"""Settings written for a reader: for another process of the gateway, with secrets, or for people, without.

What `dump` returns must not be logged or shown.
"""

from __future__ import annotations

import json
from typing import Any

from proxy.settings.masking import REVEAL
from proxy.settings.schema import Settings


def dump(settings: Settings) -> bytes:
    """The settings with their secrets, as `load` reads them. The spelling is exact, nothing is rounded."""
    return settings.model_dump_json(context={REVEAL: True}).encode()


def load(data: bytes) -> Settings:
    """The settings that `dump` wrote, equal to the original."""
    return Settings.model_validate(json.loads(data))


def masked(settings: Settings) -> dict[str, Any]:
    """The settings as the file would say them, every key included, secrets masked."""
    return settings.model_dump(mode="json")
