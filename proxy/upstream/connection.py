"""One connection to an upstream: sends a request, reads its answer, knows when it may be reused.

llhttp referees every byte (strict); the reader beside it finds the same bounds or the answer is
bad. Nothing is sent to a client from here, and nothing that arrives unasked ever reaches one.
Must not know what is carried, or for whom.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol, cast

from proxy.model.failure import FailureKind
from proxy.runtime.reset import CUT_SECONDS, reset
from proxy.runtime.timers import Timed
from proxy.wire.answer import AnswerHead, BadAnswer
from proxy.wire.body import BodyReader
from proxy.wire.chunked import BadChunk
from proxy.wire.referee import Referee, Refused

if TYPE_CHECKING:
    from proxy.upstream.pool import Pool


class Carrier(Protocol):
    """Whoever uses a connection for one exchange."""

    def connected(self, connection: UpstreamConnection) -> None:
        """A connection is there; it is the carrier's until the answer is complete or fails."""

    def upstream_failed(self, kind: FailureKind) -> None:
        """No connection was had, or it broke; nothing more comes from this attempt."""

    def answer(self, head: AnswerHead, piece: bytes, complete: bool) -> None:
        """The answer's head, with the body that came along. `complete`: that was all of it."""

    def answer_body(self, piece: bytes, complete: bool) -> None:
        """More of the body (may be empty when complete)."""

    def upstream_writable(self, writable: bool) -> None:
        """Whether the upstream takes more of the request's body."""


# What the transport may hold of a request's body before the client is told to wait. With one
# read of at most 256,000 bytes on top (the event loop's buffer) an exchange stays in its share.
WRITE_HIGH: Final = 64 * 1024
# For an idle connection to close in good order.
CLOSE_SECONDS: Final = 10.0

_log = logging.getLogger("proxy.upstream")


class UpstreamConnection(Timed):
    """An asyncio protocol (in all but its base, which a compiled class can't have); belongs to a Pool, and while busy
    to a Carrier."""

    __slots__ = (
        "_body",
        "_buffer",
        "_head_only",
        "_head_read",
        "_interim",
        "_is_closing",
        "_is_cut",
        "_keep_alive",
        "_messages",
        "_pool",
        "_referee",
        "address",
        "carrier",
        "request_complete",
        "served",
        "transport",
        "waited",
    )

    def __init__(self, pool: Pool, address: str) -> None:
        Timed.__init__(self)
        self._pool = pool
        self.address = address
        self.transport: asyncio.Transport | None = None
        self.carrier: Carrier | None = None
        self.served: int = 0
        self.waited = False  # in the pool, idle: its upstream may have closed it since
        self.request_complete = False
        self._is_closing = False
        self._is_cut = False
        self._referee = Referee(answers=True)
        self._messages: int = 0
        self._buffer = b""
        self._body = BodyReader()
        self._head_read = False
        self._head_only = False
        self._interim: int = 0
        self._keep_alive = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's have the interface, not the class
        self.transport.set_write_buffer_limits(high=WRITE_HIGH)

    # -- the carrier's side

    def carry(self, carrier: Carrier, *, head_only: bool) -> None:
        """Begin an exchange. `head_only`: the answer to a HEAD request has no body."""
        self.carrier = carrier
        self.served += 1
        self.request_complete = False
        self._head_read = False
        self._head_only = head_only
        self._interim = 0

    def write(self, data: bytes) -> None:
        """Send bytes of the request."""
        if self.transport is not None:
            self.transport.write(data)

    def write_all(self, pieces: list[bytes]) -> None:
        """Send bytes of the request, in as few TLS records and system calls as they fit in."""
        if self.transport is not None:
            self.transport.writelines(pieces)

    def due(self, deadline: float) -> None:
        """Fail the exchange with a time-out at `deadline` (monotonic seconds)."""
        self._pool.wheel.set(self, deadline)

    def hold(self) -> None:
        """Stop reading the answer: the client is slow."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def unhold(self) -> None:
        """Read on."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def refuse(self, carrier: Carrier) -> None:
        """The carrier could not begin its exchange, or only a part of it."""
        self.carrier = carrier
        self._fail(FailureKind.INTERNAL)

    def drop(self) -> None:
        """Give the exchange up: whatever was sent of the request never becomes complete."""
        self.carrier = None
        self.abort()

    # -- the pool's side

    @property
    def reused(self) -> bool:
        """Whether the upstream may have closed it before the next exchange begins: a request that dies on it unanswered
        was not looked at (RFC 9112, 9.3.1)."""
        return self.served > 0 or self.waited

    @property
    def usable(self) -> bool:
        """Whether an idle connection can carry another exchange."""
        return self.transport is not None and not self.transport.is_closing() and self._keep_alive

    def retire(self) -> None:
        """Not to be reused: its address is gone from the name."""
        self._keep_alive = False

    def close(self) -> None:
        """Close in good order."""
        if self.transport is not None:
            self._is_closing = True
            self._pool.wheel.after(self, CLOSE_SECONDS)
            self.transport.close()

    def abort(self) -> None:
        """Close at once, so that the upstream notices even while it isn't reading."""
        if self.transport is not None:
            self._is_cut = True
            self._pool.wheel.after(self, CUT_SECONDS)
            reset(self.transport)

    def expire(self, now: float) -> None:
        if self._is_cut:
            self.connection_lost(None)
        elif self.carrier is None and self._is_closing:
            self.abort()
        elif self.carrier is None:
            self.close()  # idle for too long
        else:
            stalled = self._head_read or not self.request_complete
            self._fail(FailureKind.UPSTREAM_STALLED if stalled else FailureKind.UPSTREAM_TIMEOUT)

    def expire_failed(self) -> None:
        self.abort()

    # -- the transport's side

    def data_received(self, data: bytes) -> None:
        carrier = self.carrier
        if carrier is None:
            self._pool.unsolicited(self)
            return
        try:
            if self._head_read:
                self._receive_body(data)
            else:
                while data:
                    data = self._receive_head(data)
        except (Refused, BadAnswer, BadChunk):
            self._fail(FailureKind.BAD_ANSWER)
        except _TooLarge:
            self._fail(FailureKind.ANSWER_TOO_LARGE)
        except Exception:  # there may be no memory for the answer
            self._fail_carrier(carrier)
            _log.exception("an answer could not be passed on")

    def eof_received(self) -> None:
        carrier = self.carrier
        if carrier is None or not self._head_read or not self._body.until_close:
            return
        try:
            self._complete(b"")
        except Exception:
            self._fail_carrier(carrier)
            _log.exception("the end of an answer could not be passed on")

    def connection_lost(self, exc: Exception | None) -> None:
        """The loop says so, or has not said so for CUT_SECONDS."""
        if self.transport is None:
            return
        self._pool.lost(self)
        self._referee.close()
        self.transport = None
        if self.carrier is not None:
            # Any byte of an answer, an interim one too, says that the request has arrived: not to be sent again.
            begun = self._head_read or self._buffer or self._interim
            self._fail(FailureKind.TRUNCATED_ANSWER if begun else FailureKind.UPSTREAM_CLOSED)

    def pause_writing(self) -> None:
        if self.carrier is not None:
            self.carrier.upstream_writable(False)

    def resume_writing(self) -> None:
        if self.carrier is not None:
            self.carrier.upstream_writable(True)

    # -- reading the answer

    def _receive_head(self, data: bytes) -> bytes:
        """Returns what follows an interim answer: the next head, or a part of it."""
        fed = len(self._buffer)
        buffer = self._buffer + data if fed else data
        end = buffer.find(b"\r\n\r\n", max(fed - 3, 0))
        # Three bytes of the end may be there already, whatever the cuts.
        if (end if end >= 0 else len(buffer) - 3) > self._pool.limits.answer_head:
            raise _TooLarge
        if end < 0:
            self._referee.feed(data)
            self._buffer = buffer
            return b""
        self._buffer = b""
        head = self._pool.reader.read(buffer[:end])
        if head.status < 200:
            self._interim_answer(head, buffer[fed : end + 4])
            return buffer[end + 4 :]
        self._begin_body(head)
        piece, used = self._body.feed(buffer[end + 4 :])
        stop = end + 4 + used
        self._referee.feed(data if stop == len(buffer) and not fed else buffer[fed:stop])
        carrier = self.carrier
        assert carrier is not None
        if self._body.complete:
            self._end(stop < len(buffer))
        carrier.answer(head, piece, self._body.complete)
        return b""

    def _interim_answer(self, head: AnswerHead, data: bytes) -> None:
        """1xx: swallowed, up to a bound (RFC 9110, 15.2); 101 was never asked for."""
        self._interim += 1
        if head.status == 101 or self._interim > self._pool.limits.interim_answers:
            raise BadAnswer("unasked or endless interim answers")
        self._messages += 1
        self._referee.feed(data)
        if not self._referee.agrees(self._messages, self._messages):
            raise BadAnswer("the answer's bounds are ambiguous")

    def _begin_body(self, head: AnswerHead) -> None:
        """Decide how the body ends (RFC 9112, 6.3)."""
        self._messages += 1
        self._head_read = True
        self._keep_alive = self._keep_alive and head.keep_alive
        if self._head_only or head.bodiless:
            self._body.begin(0)
        else:
            unframed = not head.chunked and head.content_length < 0
            self._body.begin(max(head.content_length, 0), chunked=head.chunked, until_close=unframed)

    def _receive_body(self, data: bytes) -> None:
        piece, used = self._body.feed(data)
        self._referee.feed(data if used == len(data) else data[:used])
        if self._body.complete:
            self._complete(piece, surplus=used < len(data))
        elif self.carrier is not None and piece:
            self.carrier.answer_body(piece, False)

    def _complete(self, piece: bytes, *, surplus: bool = False) -> None:
        carrier = self.carrier
        assert carrier is not None
        self._end(surplus)
        carrier.answer_body(piece, True)

    def _end(self, surplus: bool) -> None:
        """The answer is complete: reuse the connection only if nothing about it is in doubt."""
        if self._head_only:
            # llhttp can't be told that this was a HEAD request and waits for a body.
            self._referee.close()
            self._referee = Referee(answers=True)
            self._messages = 0
        elif self._body.until_close:
            self._keep_alive = False
        elif not self._referee.agrees(self._messages, self._messages):
            raise BadAnswer("the answer's bounds are ambiguous")
        self.carrier = None
        if surplus:
            self._pool.unsolicited(self)
        elif self._keep_alive and self.request_complete and self.usable:
            self._pool.release(self)
        else:
            self.close()

    def _fail_carrier(self, carrier: Carrier) -> None:
        """What came for a carrier has raised something. By now the connection may be back in the pool, or somebody
        else's: not theirs to suffer from it."""
        if self.carrier is carrier:
            self._fail(FailureKind.INTERNAL)
        else:
            carrier.upstream_failed(FailureKind.INTERNAL)

    def _fail(self, kind: FailureKind) -> None:
        carrier, self.carrier = self.carrier, None
        try:
            self.abort()
        finally:
            if carrier is not None:
                carrier.upstream_failed(kind)


class TlsUpstreamConnection(UpstreamConnection):
    """The same over TLS: reads into one buffer for all connections of a pool, see `edge.connection`."""

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what is read."""
        return self._pool.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes are there."""
        self.data_received(bytes(self._pool.read_buffer[:nbytes]))


class _TooLarge(Exception):
    """The answer's head is over its limit."""
