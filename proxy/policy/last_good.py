"""The last configuration that the vendor gave, kept for when it gives none.

Without an answer within a second the SDK records nothing on that page, so an outage of the
configuration service would cost every recording of its time. Nothing is served from here while
the vendor answers. Pure: `now` is an argument. Must not know how answers are fetched.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import orjson

from proxy.settings import ConfigCache
from proxy.wire.answer import AnswerHead

DIGEST = 32
# An unchanged answer is told to the other workers again after so many seconds, to renew its age.
TELL_AGAIN = 30.0


@dataclass(slots=True)
class LastGood:
    """One answer: its relayable field lines, its body, and when it came (monotonic seconds, one clock
    for all processes of the machine). `outage_began` is when the vendor first failed after it."""

    status_line: bytes
    fields: list[bytes]
    body: bytes
    stored: float
    told: float = float("-inf")
    outage_began: float | None = None


def is_good(head: AnswerHead, body: bytes) -> bool:
    """Whether an answer is one that the SDK can record by: 200, JSON, not empty."""
    return head.status == 200 and b"json" in head.content_type.lower() and bool(body)


def is_refusal(status: int) -> bool:
    """Whether the vendor itself refuses this key: that must reach the SDK, now and later."""
    return status in (401, 403)


def speaks_for_itself(head: AnswerHead, body: bytes) -> bool:
    """Whether an answer is to be relayed rather than replaced: good ones, and the client's own faults.
    Server errors, throttling and pages that are no JSON would only stop the recording."""
    return is_good(head, body) or (300 <= head.status < 500 and head.status not in (408, 429))


class LastGoodAnswers:
    """Bounded by `config_cache.entries`; when full, the answer refreshed longest ago goes first."""

    def __init__(self, settings: ConfigCache) -> None:
        self._settings = settings
        self._answers: OrderedDict[bytes, LastGood] = OrderedDict()

    @property
    def active(self) -> bool:
        """Whether anything is kept at all."""
        return self._settings.stale_if_error > 0

    def store(self, key: bytes, head: AnswerHead, body: bytes, now: float) -> bytes | None:
        """Keep an answer under a digest of DIGEST bytes. Returns an entry for the other workers when they
        have reason to know."""
        if not self.active:
            return None
        fields = [line for line in head.fields if not line.lower().startswith((b"cache-control:", b"age:", b"date:"))]
        known = self._answers.get(key)
        fresh = LastGood(head.status_line, fields, body, now)
        changed = known is None or known.body != body or now - known.told >= TELL_AGAIN
        fresh.told = now if changed or known is None else known.told
        self._keep(key, fresh)
        return _pack(key, fresh) if changed else None

    def load(self, entry: bytes) -> None:
        """Take an entry from another worker, unless a newer answer is known here. A bare digest says that the
        vendor refused."""
        if len(entry) == DIGEST:
            self.forget(entry)
            return
        key, answer = _unpack(entry)
        known = self._answers.get(key)
        if self.active and (known is None or known.stored < answer.stored):
            self._keep(key, answer)

    def failed(self, key: bytes, now: float) -> None:
        """The vendor failed to give this answer."""
        answer = self._answers.get(key)
        if answer is not None and answer.outage_began is None:
            answer.outage_began = now

    def answered(self, key: bytes) -> None:
        """The vendor is there again, be it with an answer that is not kept (304)."""
        answer = self._answers.get(key)
        if answer is not None:
            answer.outage_began = None

    def forget(self, key: bytes) -> bool:
        """The vendor refuses: what it said before no longer holds. Returns whether anything was known."""
        return self._answers.pop(key, None) is not None

    def usable(self, key: bytes, now: float) -> LastGood | None:
        """The answer to give in the vendor's stead, if there is one and the bounds allow it."""
        answer = self._answers.get(key)
        if answer is None or now - answer.stored > self._settings.max_age:
            return None
        began = now if answer.outage_began is None else answer.outage_began
        return answer if now - began <= self._settings.stale_if_error else None

    def _keep(self, key: bytes, answer: LastGood) -> None:
        self._answers[key] = answer
        self._answers.move_to_end(key)
        while len(self._answers) > self._settings.entries:
            self._answers.popitem(last=False)


def _pack(key: bytes, answer: LastGood) -> bytes:
    lines = [line.decode("latin-1") for line in (answer.status_line, *answer.fields)]
    return key + orjson.dumps([answer.stored, lines]) + b"\n" + answer.body


def _unpack(entry: bytes) -> tuple[bytes, LastGood]:
    about, _, body = entry[DIGEST:].partition(b"\n")
    stored, lines = orjson.loads(about)
    status_line, *fields = [line.encode("latin-1") for line in lines]
    return entry[:DIGEST], LastGood(status_line, fields, body, stored, told=stored)
