"""What an upload says: the rrweb events in a body of any SDK version, gzip-coded or not, packed or not.

Pure: bodies in, events out. A body is `{"version": 1 | 2, "events": [...]}`; an event is an object, or a string that
holds JSON of one, or (up to SDK 1.35.1) a string that holds JSON of a zlib stream written as latin-1 text.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

FULL_SNAPSHOT = 2  # rrweb's event type


def events(body: bytes) -> list[dict[str, Any]]:
    """The events of one upload, in order. Raises on anything that is not one."""
    plain = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    return [_event(event) for event in json.loads(plain)["events"]]


def texts(event: object) -> Iterator[str]:
    """Every string anywhere in an event."""
    if isinstance(event, str):
        yield event
    elif isinstance(event, dict):
        for value in event.values():
            yield from texts(value)
    elif isinstance(event, list):
        for value in event:
            yield from texts(value)


def _event(event: object) -> dict[str, Any]:
    while isinstance(event, str):
        event = json.loads(event if event[0] in '"{' else zlib.decompress(event.encode("latin-1")))
    assert isinstance(event, dict), f"not an event: {event!r}"
    return event
