"""Who is not to be archived any more: small objects in the store, which the archiver reads.

    v1/suppressed/<SHA-256 of the rule>.json      {"v":1,"device":…,"session":…,"from":…,"to":…,"at":…}

Device and session are SHA-256 of what the browser called them, or null for any; from, to and at (when it was asked for)
are Unix time in ms. An object that says `{"v":1}` is no rule: it takes one back, where nobody may delete objects. Must
not know segments, or what else is in the store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from hashlib import sha256
from threading import Lock
from typing import Any, Final

import orjson

from proxy.archive.erase import Unwanted
from proxy.archive.store import Entry, Store, StoreError, put_whole
from proxy.runtime.clock import monotonic

SUPPRESSED: Final = "v1/suppressed/"
# So long (seconds) segments wait when the rules can't be read, for what may pass by itself.
PATIENCE: Final = 3600.0

_Who = tuple[str | None, str | None]
_log = logging.getLogger("proxy.archive")


def suppress(store: Store, unwanted: Unwanted, now_ms: int) -> None:
    """Have uploads that are to go not archived either, which are in the spool yet or still to come. Raises
    StoreError."""
    rule: dict[str, Any] = {"v": 1, "device": _digest(unwanted.device_id), "session": _digest(unwanted.session_id)}
    rule |= {"from": unwanted.from_ms, "to": unwanted.to_ms}
    key = f"{SUPPRESSED}{sha256(orjson.dumps(rule)).hexdigest()}.json"
    put_whole(store, key, orjson.dumps({**rule, "at": now_ms}) + b"\n")


def _digest(name: str | None) -> str | None:
    return None if name is None else sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


class Rules:
    """Who is suppressed, as it was read once."""

    def __init__(self) -> None:
        self._spans: dict[_Who, list[tuple[int, int]]] = {}

    def add(self, text: bytes) -> None:
        """Take in what an object says. Raises ValueError."""
        match orjson.loads(text):
            case {
                "v": 1,
                "device": str() | None as device,
                "session": str() | None as session,
                "from": int() as from_ms,
                "to": int() as to_ms,
            } if device or session:
                self._spans.setdefault((device, session), []).append((from_ms, to_ms))
            case {"v": 1, **rest} if not rest:
                pass
            case _:
                raise ValueError("no rule of this version")

    def cover(self, device_id: str, session_id: str, time_ms: int) -> bool:
        """Whether an upload that was complete at `time_ms` is not to be archived."""
        if not self._spans:
            return False
        device, session = _digest(device_id), _digest(session_id)
        spans = (self._spans.get(who, ()) for who in ((device, None), (None, session), (device, session)))
        return any(begin <= time_ms < end for each in spans for begin, end in each)


class Suppressions:
    """The rules of a store, for the archiver's threads."""

    def __init__(self, store: Store, now: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._now = now
        self._lock = Lock()
        self._texts: dict[Entry, bytes] | None = None  # None: nothing was read yet
        self._rules = Rules()
        self._read_at = now()

    def known(self) -> Rules:
        """The rules that were read last. Raises StoreError as `look` does, when none were."""
        return self._rules if self._texts is not None else self.look()

    def look(self) -> Rules:
        """The rules as they are now; the same object as long as they are the same.

        Raises StoreError when they can't be read. But not for ever: when nobody gets an answer for PATIENCE, or these
        keys get none at all, the archive goes on with what is known, since a spool that is full loses more than an
        erasing that has to be repeated.
        """
        with self._lock:
            try:
                self._read()
                self._read_at = self._now()
            except StoreError as error:
                if error.is_transient and self._now() - self._read_at < PATIENCE:
                    raise
                _log.error("can't read who is not to be archived any more, so they may be: %s", error)
            return self._rules

    def _read(self) -> None:
        before = self._texts or {}
        # One small listing; what is in an object is read again only when it has changed.
        texts = {each: before.get(each) or self._text(each.key) for each in self._store.entries(SUPPRESSED)}
        is_same = self._texts is not None and [*texts.values()] == [*self._texts.values()]
        self._texts = texts
        if is_same:
            return
        rules = Rules()
        for entry, text in texts.items():
            try:
                rules.add(text)
            except ValueError as error:
                _log.error("%s does not say who is not to be archived any more: %s", entry.key, error)
        self._rules = rules

    def _text(self, key: str) -> bytes:
        try:
            return self._store.read(key)
        except KeyError:
            return b'{"v":1}'  # removed meanwhile
