"""What differs between two settings, and which of it a running gateway can't take over.

Must not know how they are taken over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from proxy.settings.handover import dump
from proxy.settings.masking import SECRET_NAMES
from proxy.settings.problem import path_text
from proxy.settings.schema import Settings
from proxy.settings.section import Location

# Addresses and processes are those of the start, and so is what both sides of the spool have agreed on.
_FIXED = ("admin", "archive", "workers")


def changes(old: Settings, new: Settings) -> list[str]:
    """The paths of all values that differ, as `limits.body`, in the order of the settings. Without the values, which
    may be secrets; and where the names are secret, only the path of the table."""
    return [path_text(where) for where in _differences(_plain(old), _plain(new), ())]


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """Those of the changes that only a restart can bring: addresses and their number, TLS switched on or off, workers,
    regions that come or go, everything of the archive and of the admin server."""
    return [path_text(where) for where in _differences(_plain(old), _plain(new), ()) if _is_fixed(where, old, new)]


def _is_fixed(where: Location, old: Settings, new: Settings) -> bool:
    if where[0] == "listen":
        return where[2:3] != ("tls",) or len(where) == 3
    if where[0] == "upstreams":
        return (where[1] in old.upstreams) is not (where[1] in new.upstreams)
    return where[0] in _FIXED


def _plain(settings: Settings) -> Any:
    return json.loads(dump(settings))


def _differences(old: Any, new: Any, where: Location) -> Iterator[Location]:
    if isinstance(old, dict) and isinstance(new, dict) and where not in SECRET_NAMES:
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _differences(old.get(key), new.get(key), (*where, key))
    elif where == ("listen",) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _differences(one, other, (*where, number))
    elif old != new:
        yield where
