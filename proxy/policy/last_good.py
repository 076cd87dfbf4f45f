"""The last configuration that the vendor gave, kept for when it gives none.

Without an answer within a second the SDK records nothing on that page, so an outage of the
configuration service would cost every recording of its time. Nothing is served from here while
the vendor answers. Pure: `now` is an argument. Must not know how answers are fetched.

Room is shared out by who asked first. A site has a few keys and some dozens of ways to ask, and its
visitors come from many networks, each of which asked first for one or two. One who invents questions
that the vendor answers well, with the site's own key, can ask as many as he likes and each as often as
he likes; what he can't invent is the network that he asks from. So when all places are taken, the
network that holds most gives up one of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from email.utils import formatdate

import orjson

from proxy.policy.limits import TokenBuckets
from proxy.settings import ConfigCache
from proxy.wire.answer import AnswerHead

DIGEST = 32
# An unchanged answer is told to the other workers again after so many seconds, to renew its age.
TELL_AGAIN = 30.0
# So many are told a second, or at once after a quiet time: a site has some dozens, and a flood of invented questions
# must not become one of messages between the processes. What was not told is told when it is renewed.
TELL_RATE = 20.0
TELL_BURST = 256
# An unchanged answer is kept anew after so many seconds: its age, which is told in whole ones, can only be overstated.
RENEW = 1.0
# Fields that speak of the moment, to the one who asked, or of a framing that another may follow.
_NOT_SERVED = (b"cache-control:", b"age:", b"set-cookie:", b"content-length:")
NEVER = float("-inf")
# No answer is older than thirty years.
_AGE_DIGITS = 9


class LastGood:
    """One answer: its field lines as they came, its body, when it came (`stored`) and when it was asked for (`asked`),
    both in monotonic seconds, one clock for all processes of the machine, and what people's clocks showed then (`wall`,
    seconds since 1970). `asker` is the network that asked for it first; `outage_began` when the vendor first failed
    after it.

    Most are never served, so what serving needs is worked out then.
    """

    __slots__ = ("asked", "asker", "body", "fields", "outage_began", "status_line", "stored", "told", "wall")

    def __init__(
        self, status_line: bytes, fields: list[bytes], body: bytes, stored: float, asked: float, wall: float, asker: str
    ) -> None:
        self.status_line = status_line
        self.fields = fields
        self.body = body
        self.stored = stored
        self.asked = asked
        self.wall = wall
        self.asker = asker
        self.told = NEVER
        self.outage_began: float | None = None

    def served(self, now: float) -> list[bytes]:
        """The field lines to serve it with, without its length. A Date that is missing is added (RFC 9110, 6.6.1);
        the age is what caches on the way said it was (RFC 9111, 4.2.3, without comparing the vendor's clock to ours),
        counted from the question."""
        fields = [line for line in self.fields if not line.lower().startswith(_NOT_SERVED)]
        if not any(line.lower().startswith(b"date:") for line in fields):
            fields.append(b"Date: " + formatdate(self.wall, usegmt=True).encode())
        fields.append(b"Age: %d" % max(int(now - self.asked + _age(self.fields)), 0))
        return fields


def _age(fields: list[bytes]) -> int:
    """Seconds that the answer had been in caches before it came; what is no number counts as none."""
    for line in fields:
        name, _, value = line.partition(b":")
        digits = value.strip(b" \t")
        if name.lower() == b"age" and digits.isdigit():
            return int(digits[:_AGE_DIGITS])
    return 0


def is_good(head: AnswerHead, body: bytes) -> bool:
    """Whether an answer is one that the SDK can record by: 200, JSON, not empty."""
    # find, not `in`: that first asks whether the left side is a number, and pays for an exception each time.
    return head.status == 200 and head.content_type.lower().find(b"json") >= 0 and bool(body)


def is_refusal(status: int) -> bool:
    """Whether the vendor itself refuses this key: that must reach the SDK, now and later."""
    return status in (401, 403)


def speaks_for_itself(head: AnswerHead, body: bytes) -> bool:
    """Whether an answer is to be relayed rather than replaced: good ones, and the client's own faults.
    Server errors, throttling and pages that are no JSON would only stop the recording."""
    return is_good(head, body) or (300 <= head.status < 500 and head.status not in (408, 429))


class LastGoodAnswers:
    """Bounded by `config_cache.entries`; when full, the network that holds most loses the answer that was refreshed
    longest ago."""

    def __init__(self, settings: ConfigCache) -> None:
        self._settings = settings
        self._telling = TokenBuckets(TELL_RATE, TELL_BURST)
        self._answers: dict[bytes, LastGood] = {}
        self._shares: dict[str, OrderedDict[bytes, None]] = {}  # what each network holds, refreshed longest ago first

    @property
    def active(self) -> bool:
        """Whether anything is kept at all."""
        return self._settings.stale_if_error > 0

    def is_fresh(self, key: bytes, body: bytes, now: float) -> bool:
        """Whether this very answer came a moment ago, so that keeping it anew would change nothing but its age."""
        known = self._answers.get(key)
        return known is not None and now - known.stored < RENEW and known.body == body

    def store(self, key: bytes, answer: LastGood) -> bytes | None:
        """Keep an answer under a digest of DIGEST bytes. Returns an entry for the other workers when they
        have reason to know."""
        if not self.active:
            return None
        known = self._answers.get(key)
        changed = known is None or known.body != answer.body or answer.stored - known.told >= TELL_AGAIN
        tell = changed and self._telling.take(None, answer.stored)
        if tell:
            answer.told = answer.stored
        elif known is not None:
            answer.told = known.told
        self._keep(key, answer)
        return _pack(key, answer) if tell else None

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

    def entries(self) -> Iterator[bytes]:
        """All answers as `load` takes them, those that are refreshed longest ago first: for a worker that begins."""
        for key, answer in sorted(self._answers.items(), key=lambda known: known[1].stored):
            yield _pack(key, answer)

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
        answer = self._answers.pop(key, None)
        if answer is None:
            return False
        share = self._shares[answer.asker]
        del share[key]
        if not share:
            del self._shares[answer.asker]
        return True

    def usable(self, key: bytes, now: float) -> LastGood | None:
        """The answer to give in the vendor's stead, if there is one and the bounds allow it."""
        answer = self._answers.get(key)
        if answer is None or now - answer.stored > self._settings.max_age:
            return None
        began = now if answer.outage_began is None else answer.outage_began
        return answer if now - began <= self._settings.stale_if_error else None

    def _keep(self, key: bytes, answer: LastGood) -> None:
        known = self._answers.get(key)
        if known is not None:
            answer.asker = known.asker
        self._answers[key] = answer
        share = self._shares.setdefault(answer.asker, OrderedDict())
        share[key] = None
        share.move_to_end(key)
        if len(self._answers) > self._settings.entries:
            self.forget(self._most_dispensable())

    def _most_dispensable(self) -> bytes:
        """Of what the network with the largest share holds, the answer that was refreshed longest ago. Among
        networks with as much, that counts too."""
        most, since, key = 0, 0.0, b""
        for share in self._shares.values():
            if len(share) >= most:
                oldest = next(iter(share))
                stored = self._answers[oldest].stored
                if len(share) > most or stored < since:
                    most, since, key = len(share), stored, oldest
        return key


def _pack(key: bytes, answer: LastGood) -> bytes:
    lines = [line.decode("latin-1") for line in (answer.status_line, *answer.fields)]
    about = [answer.stored, answer.asked, answer.wall, answer.asker, lines]
    return key + orjson.dumps(about) + b"\n" + answer.body


def _unpack(entry: bytes) -> tuple[bytes, LastGood]:
    about, _, body = entry[DIGEST:].partition(b"\n")
    stored, asked, wall, asker, lines = orjson.loads(about)
    status_line, *fields = [line.encode("latin-1") for line in lines]
    answer = LastGood(status_line, fields, body, stored, asked, wall, asker)
    answer.told = stored
    return entry[:DIGEST], answer
