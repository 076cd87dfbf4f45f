"""Settings written for a reader: for another process of the gateway, with secrets, or for people, without.

What `dump` returns must not be logged or shown.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from proxy.settings.masking import REVEAL
from proxy.settings.schema import Settings
from proxy.settings.translation import problems_of


def dump(settings: Settings) -> bytes:
    """The settings with their secrets, as `load` reads them. The spelling is exact, nothing is rounded."""
    return settings.model_dump_json(context={REVEAL: True}).encode()


def dump_for_worker(settings: Settings) -> bytes:
    """The same without the keys of the archive's store: a worker reads what strangers send, and never speaks to it."""
    archive = settings.archive
    if archive is None or archive.s3 is None:
        return dump(settings)
    without = archive.model_copy(update={"s3": archive.s3.without_keys()})
    return dump(settings.model_copy(update={"archive": without}))


def load(data: bytes) -> Settings:
    """The settings that `dump` or `dump_for_worker` wrote; equal to the original, or but for those keys. ValueError if
    they can't be read, by a package that was replaced under a running gateway: it is logged, and so names no secret."""
    written = json.loads(data)
    try:
        return Settings.model_validate(written)
    except ValidationError as error:
        problems = "; ".join(map(str, problems_of(error, written)))
    raise ValueError(f"the settings handed over can't be read (was the package replaced? restart it): {problems}")


def masked(settings: Settings) -> dict[str, Any]:
    """The settings as the file would say them, every key included, secrets masked."""
    return settings.model_dump(mode="json")
