"""Brings sealed segments into the store, the oldest first, and tries for ever.

Each segment is on its own: one that can't be uploaded waits longer and longer and holds up no other, and one that an
archiver died over is tried when there is no other. A segment's file goes when its objects are there, so whatever dies
at whatever moment repeats what it did, under the same keys. Threads are this module's own. Must not know what is in a
segment, nor which store it is.
"""

from __future__ import annotations

import logging
import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final

from proxy.archive.account import Account, Done
from proxy.archive.scratch import Scratch
from proxy.archive.seal import Sealed, SealOptions, data_file, seal
from proxy.archive.store import Store, StoreError, put_whole
from proxy.archive.suppression import Rules, Suppressions
from proxy.archive.trouble_marks import DISK, mark_of
from proxy.observe.ledger import Counter, Gauge, Ledger, Mark
from proxy.runtime.clock import monotonic, wall
from proxy.spool.folder import Found, State, advance, claim, found_in, prepare, remove
from proxy.spool.name import SegmentName
from proxy.spool.segment import SEGMENT_HEAD, NotASegment, decode_head

# How often the spool is looked at for segments to upload.
LOOK_SECONDS: Final = 1.0

_log = logging.getLogger("proxy.archive")


@dataclass(frozen=True, slots=True)
class UploadRules:
    """`parallel` segments at once. After a failure a segment waits `backoff` seconds, then twice as long each time, up
    to `backoff_max`, and between half of that and all of it."""

    parallel: int
    backoff: float
    backoff_max: float


@dataclass(slots=True)
class _Trouble:
    """How often a segment failed (never: somebody else had it), and until when (monotonic seconds) it is left alone."""

    failures: int = 0
    until: float = 0.0


@dataclass(slots=True)
class _Work:
    """What the threads share; changed under the lock."""

    lock: Lock = field(default_factory=Lock)
    in_hand: set[SegmentName] = field(default_factory=set)
    troubles: dict[SegmentName, _Trouble] = field(default_factory=dict)


class Uploader:
    """`folder` is the spool's. `ledger` is the archiver's own row."""

    def __init__(
        self, folder: Path, node: str, store: Store, options: SealOptions, rules: UploadRules, ledger: Ledger
    ) -> None:
        self._folder = folder
        self._store = store
        self._options = options
        self._rules = rules
        self._ledger = ledger
        self._suppressions = Suppressions(store)
        self._account = Account(ledger, folder, node)
        self._scratch: Scratch | None = None
        self._work = _Work()
        # What is uploaded at once costs next to nothing; what is sealed costs a body, as it came and decoded.
        self._sealing = Lock()
        self._stopping = Event()
        # Monotonic seconds, once it is stopping: since when and until when.
        self._since, self._until = -math.inf, 0.0
        self._threads: list[Thread] = []

    def start(self) -> None:
        """Begin. Raises OSError when the folder can't be had."""
        prepare(self._folder)
        self._scratch = Scratch(self._folder)
        for number in range(self._rules.parallel):
            thread = Thread(target=self._run, name=f"upload {number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, seconds: float) -> bool:
        """Archive what is there and can be, for so many seconds at most; whether nothing is in hand at the end."""
        self._since = monotonic()
        self._until = self._since + seconds
        self._stopping.set()
        for thread in self._threads:
            thread.join(max(self._until - monotonic(), 0.0))
        if any(thread.is_alive() for thread in self._threads):
            return False
        if self._scratch is not None:
            self._scratch.close()
        return True

    # -- a thread

    def _run(self) -> None:
        while not self._stopping.is_set() or monotonic() < self._until:
            is_last = self._stopping.is_set()  # asked first: what is found now may have been sealed just before
            found = self._look()
            if found is None and is_last:
                return
            if found is None:
                self._stopping.wait(LOOK_SECONDS)
                continue
            try:
                self._try(found)
            except Exception:  # whatever it was, this thread is one of few, and they are all that archive
                _log.exception("%s could not be archived", found.name)
                self._failed(found.name, "see above", logging.ERROR)
            finally:
                with self._work.lock:
                    self._work.in_hand.discard(found.name)

    def _look(self) -> Found | None:
        try:
            return self._next()
        except OSError as error:
            _log.error("can't look into the spool %s: %s", self._folder, error.strerror)
            return None

    def _next(self) -> Found | None:
        """The oldest segment that may be tried now, which is in this thread's hand from here on."""
        work, now = self._work, monotonic()
        with work.lock:
            sealed = [each for each in found_in(self._folder) if each.state is State.SEALED]
            work.troubles = {each.name: work.troubles[each.name] for each in sealed if each.name in work.troubles}
            self._tell(sealed)
            may = [each for each in sealed if each.name not in work.in_hand and self._is_due(each.name, now)]
            found = min(may, key=self._turn, default=None)
            if found is not None:
                work.in_hand.add(found.name)
            return found

    def _turn(self, found: Found) -> tuple[bool, float]:
        """The lowest comes first."""
        assert self._scratch is not None
        # It may be what killed the archiver: another like it must not be all that this one ever does.
        return data_file(found.name) in self._scratch.left, _age(found)

    def _is_due(self, name: SegmentName, now: float) -> bool:
        trouble = self._work.troubles.get(name)
        if trouble is None or now >= trouble.until:
            return True
        # A worker that has renamed a segment owns it until the disk has the name. The workers have ended before this is
        # told to stop: what was left to one of them is nobody's now.
        return not trouble.failures and trouble.until - LOOK_SECONDS < self._since

    def _tell(self, sealed: list[Found]) -> None:
        oldest = min(map(_age, sealed), default=0.0)
        self._ledger.gauge(Gauge.SPOOL_SEALED_SEGMENTS, len(sealed))
        self._ledger.gauge(Gauge.SPOOL_OLDEST_SECONDS, max(int(wall() - oldest), 0) if sealed else 0)

    def _try(self, found: Found) -> None:
        began = monotonic()
        try:
            descriptor = claim(found.path)
            if descriptor is None:
                self._leave(found.name, began)  # another archiver's, a worker's still, or removed to make room
                return
            try:
                self._archive(found)
            finally:
                os.close(descriptor)
        except StoreError as error:
            self._ledger.count(Counter.ARCHIVE_UPLOAD_FAILURES)
            self._remember(error.code)
            self._failed(found.name, str(error), logging.WARNING if error.is_transient else logging.ERROR)
        except OSError as error:
            self._remember(DISK)
            self._failed(found.name, f"{error.filename or 'the disk'}: {error.strerror}", logging.ERROR)
        else:
            with self._work.lock:
                self._work.troubles.pop(found.name, None)

    def _leave(self, name: SegmentName, tried: float) -> None:
        with self._work.lock:
            self._work.troubles.setdefault(name, _Trouble()).until = tried + LOOK_SECONDS

    def _failed(self, name: SegmentName, why: str, level: int) -> None:
        with self._work.lock:
            trouble = self._work.troubles.setdefault(name, _Trouble())
            trouble.failures += 1
            pause = pause_after(trouble.failures, self._rules, random.random())
            trouble.until = monotonic() + pause
        # Without the segment's name: all that wait for the same reason are one line (see the log's filter).
        _log.log(level, "can't archive yet, kept in the spool and tried again: %s", why)
        _log.debug("%s waits %.1f s", name, pause)

    def _remember(self, code: str) -> None:
        self._ledger.mark(Mark.ARCHIVE_TROUBLE, mark_of(code))
        self._ledger.mark(Mark.ARCHIVE_TROUBLE_MS, int(wall() * 1000))

    # -- a segment

    def _archive(self, found: Found) -> None:
        assert self._scratch is not None
        rules, told = self._suppressions.known(), None
        while rules is not told:
            sealed = self._store_without(found, rules)
            # Who was erased meanwhile may be in it: the erasing has not seen it, if it was before this.
            rules, told = self._suppressions.look(), rules
        self._close(found, sealed)

    def _store_without(self, found: Found, rules: Rules) -> Sealed:
        """Store a segment's objects, with nothing of whom the rules name."""
        assert self._scratch is not None
        with self._sealing:
            sealed = seal(found.path, found.name, self._options, self._scratch.path, rules.cover)
        try:
            if sealed.payloads or sealed.gaps or sealed.suppressed or (sealed.damaged_bytes and not sealed.unreadable):
                self._put(sealed.data_key, sealed.data)
                self._put(sealed.index_key, sealed.index)
                self._ledger.count(Counter.ARCHIVE_OBJECTS)
                self._ledger.mark(Mark.ARCHIVE_LAST_MS, int(wall() * 1000))
        finally:
            sealed.data.unlink(missing_ok=True)
            sealed.index.unlink(missing_ok=True)
        return sealed

    def _put(self, key: str, path: Path) -> None:
        self._ledger.count(Counter.ARCHIVE_OBJECT_BYTES, put_whole(self._store, key, path))

    def _close(self, found: Found, sealed: Sealed) -> None:
        suppressed = sealed.suppressed, sealed.suppressed_bytes
        done = Done(sealed.payloads, sealed.wire_bytes, sealed.damaged_payloads, *suppressed, self._is_old(found))
        act: Callable[[], object] = partial(remove, found)
        if sealed.damaged_bytes:
            act = partial(advance, found, State.DAMAGED)
        self._account.close(found, done, act)
        if sealed.damaged_bytes:
            self._ledger.count(Counter.ARCHIVE_DAMAGED_SEGMENTS)
            why = sealed.unreadable or f"{sealed.damaged_bytes} bytes of it are no whole frames"
            _log.error("%s is damaged and kept as it is, what was whole is archived: %s", found.name, why)

    def _is_old(self, found: Found) -> bool:
        with found.path.open("rb") as file:
            try:
                return decode_head(file.read(SEGMENT_HEAD)).opened_ms < self._ledger.marked(Mark.RUN_BEGAN_MS)
            except NotASegment:
                return False


def pause_after(failures: int, rules: UploadRules, chance: float) -> float:
    """Seconds until a segment is tried again; `chance` from 0 to 1 keeps many from coming at once."""
    longest = min(rules.backoff * 2.0 ** min(failures - 1, 60), rules.backoff_max)
    return longest * (0.5 + chance / 2)


def _age(found: Found) -> float:
    try:
        return found.path.stat().st_mtime
    except FileNotFoundError:
        return 0.0  # uploaded by another archiver meanwhile: it can't be claimed any more
