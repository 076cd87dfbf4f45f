"""What follows from a request head, worked out once for all requests of a connection that begin with the same head.

A page's uploads repeat the head before them byte for byte, but for Content-Length (captures of real sessions). So a
connection keeps the last plan, and a head that recurs is compared, not read: two comparisons instead of eighteen
fields. llhttp sees every head whole all the same. Must not know what the request is for.
"""

from __future__ import annotations

from typing import Final

from proxy.model.verdict import Reason
from proxy.policy.headers import ConfigQuestion, UpstreamHead
from proxy.policy.routing import Match
from proxy.wire.request import LENGTH_DIGITS, RequestHead

_LENGTH: Final = b"\r\nContent-Length: "
# SDK heads have 700 to 1,700 bytes. With its parts a plan is about three times as large, and every connection has one.
_LONGEST: Final = 2048


class Plan:
    """`request` is the head as read (its `content_length` that of the latest request; the `fields` are gone once the
    upstream's head was made of them), `match` where it leads.
    `upstream_head` is what an upload's became for the upstream, `described` what the archive is told of it, `question`
    what a config request's asks, once that was needed."""

    __slots__ = ("_after", "_before", "_counted", "described", "match", "question", "request", "upstream_head")

    def __init__(self, head: bytes, request: RequestHead, match: Match | Reason) -> None:
        self.request = request
        self.match = match
        self.upstream_head: UpstreamHead | None = None
        self.described = b""
        self.question: ConfigQuestion | None = None
        self._before: bytes | None = None  # None: not to be recognised again
        self._after = b""
        self._counted = False
        # A page's preflights are few (Access-Control-Max-Age), and what is kept here is kept by every idle connection.
        if len(head) <= _LONGEST and request.method != b"OPTIONS":
            self._learn(head)

    @property
    def recognisable(self) -> bool:
        """Whether it is worth keeping."""
        return self._before is not None

    def _learn(self, head: bytes) -> None:
        request = self.request
        if request.content_length < 0:
            self._before = head
            return
        line = b"%b%d" % (_LENGTH, request.content_length)
        at = head.find(line)
        stop = at + len(line)
        if at < 0 or (stop < len(head) and head[stop : stop + 2] != b"\r\n"):
            return  # in another spelling: seldom, and not worth more code
        self._counted = True
        self._before = head[: at + len(_LENGTH)]
        self._after = head[stop:]

    def recurs(self, head: bytes) -> bool:
        """Whether `head` is the same but for its length, which the plan's request then has."""
        before, after = self._before, self._after
        if before is None or not head.startswith(before) or not head.endswith(after):
            return False
        first = len(before)
        digits = len(head) - first - len(after)
        if not self._counted:
            return digits == 0
        if digits < 1 or digits > LENGTH_DIGITS:
            return False
        value = head[first : first + digits]
        if not value.isdigit() or (digits > 1 and value.startswith(b"0")):
            return False
        self.request.content_length = int(value)
        return True
