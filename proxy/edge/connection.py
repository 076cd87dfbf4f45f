"""One client connection: bytes to requests, one at a time and in order, answers back.

Keep-alive, pipelining, Expect, early answers and half-closed clients are handled here; what a
request means is not. llhttp referees every byte before it is acted on. Must not know how a request
is carried (see `track` and `config`) nor why one is refused (see `policy`).
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, Protocol, cast

from proxy.edge.plan import Plan
from proxy.edge.reception import receive
from proxy.edge.room import BEGINNING, BUSY, DRIPPING, FRESH, GRACE, IDLE, Guest
from proxy.exchange import Exchange
from proxy.model.cut import Cut
from proxy.model.failure import FailureKind
from proxy.model.record import Record
from proxy.model.verdict import Reason
from proxy.policy.answers import CLOSE, KEEP_ALIVE, OwnAnswer
from proxy.policy.headers import ClientSide, sane_request_id
from proxy.runtime.clock import monotonic
from proxy.runtime.reset import CUT_SECONDS, reset
from proxy.runtime.timers import FAR, TICK
from proxy.wire.body import BodyReader
from proxy.wire.chunked import BadChunk, TinyChunks
from proxy.wire.referee import Complaint, Referee, Refused
from proxy.wire.request import RequestHead

if TYPE_CHECKING:
    from proxy.edge.arrival import Arrival
    from proxy.edge.gateway import Gateway

# What the transport may hold of answers before the upstream is told to wait.
WRITE_HIGH: Final = 64 * 1024
# A connection accepted at the last moment has so many seconds to send its request.
FIRST_BYTE_WHILE_DRAINING: Final = 1.0
# An empty line before a request line is ignored (RFC 9112, 2.2), but not an endless row of them.
_EMPTY_LINES: Final = 8
# For answers to heads that could not be read as a whole: only decides which CORS fields they carry.
_ORIGIN: Final = re.compile(rb"\r\norigin:[ \t]*([\x21-\x7e]{1,512})[ \t]*\r\n", re.IGNORECASE)

_COMPLAINTS: Final = {
    Complaint.SYNTAX: Reason.BAD_REQUEST,
    Complaint.FRAMING: Reason.BAD_FRAMING,
    Complaint.CODING: Reason.UNKNOWN_CODING,
    Complaint.UPGRADE: Reason.UPGRADE,
}


class Relay(Protocol):
    """Whoever carries the request in hand."""

    def body(self, piece: bytes, complete: bool) -> None:
        """Body bytes from the client, their framing taken off."""

    def reject(self, reason: Reason) -> None:
        """The client's body turned out unacceptable: answer if that is still possible, and end."""

    def client_gone(self, kind: FailureKind) -> None:
        """Nothing can be said to the client any more."""

    def client_writable(self, writable: bool) -> None:
        """Whether the client takes more of the answer."""

    def fail(self, kind: FailureKind) -> None:
        """It took too long, or the gateway must end: answer if that is still possible, and end."""


# Where a connection is. Plain integers: looking up the member of an enumeration costs more than most of the steps here.
_HEAD: Final = 0  # between requests, or in the middle of a head
_BODY: Final = 1  # a request is in hand, its body still arriving
_ANSWER: Final = 2  # a request is in hand, received whole
_LINGER: Final = 3  # answered; what the client still sends is thrown away
_CLOSED: Final = 4


class ClientConnection(Guest):
    """An asyncio protocol (in all but its base, which a compiled class can't have), one per accepted connection."""

    __slots__ = (
        "_body",
        "_body_began",
        "_body_bytes",
        "_buffer",
        "_fed",
        "_gateway",
        "_half_closed",
        "_held",
        "_held_since",
        "_is_cut",
        "_keep",
        "_linger_left",
        "_messages",
        "_paused",
        "_plan",
        "_receiving",
        "_referee",
        "_request",
        "_state",
        "_stuck",
        "_tls",
        "_transport",
        "arrival",
        "relay",
        "request_id",
        "side",
    )

    def __init__(self, gateway: Gateway, tls: bool) -> None:
        Guest.__init__(self)
        self._gateway = gateway
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self.side: ClientSide  # known once there is a peer
        self.arrival: Arrival | None = None  # what stands for it until its TLS handshake is over
        self._referee: Referee | None = None  # while a message is on its way
        self._plan: Plan | None = None
        self._messages: int = 0
        self._state: int = _HEAD
        self._buffer = b""
        self._fed: int = 0  # bytes of the buffer that llhttp has seen
        self._receiving = False
        self.relay: Relay | None = None
        self._request: RequestHead | None = None
        self.request_id = b""
        self._body = BodyReader()
        self._body_began = 0.0
        self._body_bytes: int = 0
        self._held = False  # reading stopped by the relay
        self._held_since = 0.0
        self._paused = False  # reading stopped at the transport
        self._stuck = False  # the client does not take what is written
        self._half_closed = False
        self._is_cut = False
        self._keep = True  # whether the connection outlives the answer being sent
        self._linger_left: int = 0

    # -- the transport's side

    # What one of these raises (there may be no memory) is the loop's affair, but the connection does not outlive it:
    # it could be left without a deadline.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's have the interface, not the class
        try:
            self._begin()
        except Exception:
            self.abort()
            raise

    def _begin(self) -> None:
        assert self._transport is not None
        self._transport.set_write_buffer_limits(high=WRITE_HIGH)
        gateway = self._gateway.latest()  # its handshake may have taken longer than a reload
        if self.arrival is None or gateway is not self._gateway:
            self._gateway = gateway
            self._meet_client()
        refusal = self._gateway.opened(self, self._tls, self.arrival)
        self.arrival = None
        self._deadline(FIRST_BYTE_WHILE_DRAINING if self._gateway.draining else self._gateway.timeouts.keep_alive)
        if refusal is not None:
            self._refuse(refusal)

    def data_received(self, data: bytes) -> None:
        try:
            self._receive_data(data)
        except Exception:
            self.abort()
            raise

    def _receive_data(self, data: bytes) -> None:
        state = self._state
        if state == _BODY:
            self._receive_body(data)
        elif state == _LINGER:
            self._discard(data)
        elif state != _CLOSED:
            self._buffer += data
            self._receive()
        if self._buffer:
            self._control_reading()  # the next request waits its turn

    def eof_received(self) -> bool:
        """Returns whether the connection stays open for writing."""
        try:
            return self._receive_end()
        except Exception:
            self.abort()
            raise

    def _receive_end(self) -> bool:
        self._half_closed = True
        if self._state == _ANSWER:
            return not self._tls  # TLS can't be closed by halves (RFC 8446, 6.1 notwithstanding)
        if self._state == _HEAD and self._buffer:
            self._refuse(Reason.INCOMPLETE)
        elif self.relay is not None:
            self.relay.client_gone(FailureKind.CLIENT_GONE)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The loop says so, or has not said so for CUT_SECONDS."""
        if self._transport is None:
            return
        self._state = _CLOSED
        self._gateway.closed(self)
        if self._referee is not None:
            self._referee.close()
        self._transport = None
        self._buffer = b""
        relay, self.relay = self.relay, None
        if relay is not None:
            relay.client_gone(FailureKind.CLIENT_GONE)

    def pause_writing(self) -> None:
        self._stuck = True
        self._deadline(self._gateway.timeouts.client_write)
        if self.relay is not None:
            self.relay.client_writable(False)

    def resume_writing(self) -> None:
        try:
            self._resume()
        except Exception:
            self.abort()
            raise

    def _resume(self) -> None:
        self._stuck = False
        self._be_patient()
        if self.relay is not None:
            self.relay.client_writable(True)
        self._control_reading()
        self._receive()

    # -- deadlines

    def expire(self, now: float) -> None:
        relay = self.relay
        if self._is_cut:
            self.connection_lost(None)
        elif self._stuck:
            self._gateway.ledger.cut(Cut.UNREAD)
            self._give_up(FailureKind.CLIENT_STALLED)
        elif self._state == _HEAD and self._buffer:
            self._refuse(Reason.HEAD_TIMEOUT)
        elif self._state == _HEAD:
            self._close()
        elif relay is None:
            self.abort()  # lingered or closed long enough
        elif self._state == _ANSWER:
            relay.fail(FailureKind.UPSTREAM_TIMEOUT)
        elif self._held:
            relay.fail(FailureKind.UPSTREAM_STALLED)
        else:
            relay.reject(Reason.BODY_TIMEOUT)

    def expire_failed(self) -> None:
        self.abort()

    def due(self, deadline: float) -> None:
        """The relay's own deadline for the client, in monotonic seconds."""
        self._gateway.wheel.set(self, deadline)

    def _be_patient(self) -> None:
        """The deadline of the state, once the client takes what is written again."""
        timeouts = self._gateway.timeouts
        if self._state == _HEAD:
            self._deadline(timeouts.keep_alive)
        elif self._state == _BODY:
            self._await_body()
        elif self._state == _LINGER:
            self._deadline(timeouts.linger)
        elif self._state == _CLOSED:
            self._deadline(timeouts.client_write)
        else:
            self._gateway.wheel.set(self, FAR)

    def _deadline(self, seconds: float) -> None:
        self._gateway.wheel.after(self, seconds)

    # -- the worker's side

    def drain(self) -> None:
        """Close as soon as no request is in hand."""
        if self._state == _HEAD and not self._buffer:
            if self._messages:
                self._close()
            else:  # just accepted: its request may be on the way
                self._deadline(FIRST_BYTE_WHILE_DRAINING)

    def fail(self, kind: FailureKind) -> None:
        """End now, with an answer if a request is in hand."""
        if self.relay is not None:
            self.relay.fail(kind)
        if self._state != _CLOSED:
            self._close()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._await_end()
            reset(self._transport)

    def _await_end(self) -> None:
        self._is_cut = True
        self._deadline(CUT_SECONDS)

    # -- the room's side

    def standing(self, now: float) -> int:
        """How well this connection can be spared (see `room`)."""
        timeouts = self._gateway.timeouts
        if self._state == _HEAD and not self._stuck:
            # Its deadline says since when it waits.
            patience = timeouts.client_head if self._fed else timeouts.keep_alive
            if self.deadline - now > TICK + patience - GRACE:
                return FRESH
            return BEGINNING if self._fed else IDLE
        if self._state == _BODY and not self._held and self.relay is not None:
            took = now - self._body_began
            if took >= GRACE and self._body_bytes < took * self._gateway.limits.body_rate:
                return DRIPPING
        return BUSY

    def make_way(self) -> None:
        """Go, as it has been chosen to: with an answer if a request has begun."""
        ledger = self._gateway.ledger
        if self._state == _BODY and self.relay is not None:
            ledger.cut(Cut.BODY)
            self.relay.reject(Reason.BODY_TIMEOUT)
        elif self._fed:
            ledger.cut(Cut.HEAD)
            self._refuse(Reason.TOO_MANY_CONNECTIONS)
        else:
            ledger.cut(Cut.IDLE)
            self.cut()

    def cut(self) -> None:
        """End without waiting for anything; not with a reset, which could destroy an answer on its way."""
        self._state = _CLOSED
        if self._transport is not None:
            self._await_end()
            self._transport.abort()

    # -- reading heads

    def move(self, gateway: Gateway) -> None:
        """Serve what comes next by another gateway's settings; at once, or when the request in hand is over."""
        if self.relay is None and self._transport is not None:
            former, self._gateway = self._gateway, gateway
            self._plan = None  # it was made by the policies of before
            self._meet_client()
            former.hand_over(self, gateway)

    def _meet_client(self) -> None:
        assert self._transport is not None
        peer = self._transport.get_extra_info("peername")
        self.side = self._gateway.headers.client(peer[0] if peer else "", self._tls)
        self.home = self._gateway.home(self.side)

    def _receive(self) -> None:
        """Take requests from the buffer for as long as one can be begun: not while the client leaves answers
        unread, or their number would be its choice. Not re-entered: a request that is answered at once comes
        back here through `over`."""
        if self._receiving:
            return
        self._receiving = True
        try:
            while self._state == _HEAD and self._buffer and not self._stuck and self._receive_head():
                pass
        finally:
            self._receiving = False

    def _receive_head(self) -> bool:
        """One step; False when more bytes are needed."""
        if self._buffer.startswith(b"\r"):
            self._skip_empty_lines()
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", max(self._fed - 3, 0))
        # Three bytes of the end may be there already, whatever the cuts.
        if (end if end >= 0 else len(buffer) - 3) > self._gateway.limits.head:
            self._refuse(Reason.HEAD_TOO_LARGE)
            return False
        try:
            if end < 0:
                self._incomplete_head(buffer)
                if self._half_closed:
                    self._refuse(Reason.INCOMPLETE)
                return False
            self._whole_head(buffer, end)
        except Refused as refused:
            self._refuse(_COMPLAINTS[refused.complaint])
        except BadChunk as bad:
            self._refuse(_reason(bad))
        return True

    def _skip_empty_lines(self) -> None:
        for _ in range(_EMPTY_LINES):
            if not self._fed and self._buffer.startswith(b"\r\n"):
                self._buffer = self._buffer[2:]

    def _incomplete_head(self, buffer: bytes) -> None:
        """llhttp sees the bytes as they come, so that a bad head is refused at once, not at its time limit."""
        if buffer == b"\r" or not buffer:
            return
        if not self._fed:
            self._deadline(self._gateway.timeouts.client_head)
        self._show(buffer[self._fed :])
        self._fed = len(buffer)

    def _whole_head(self, buffer: bytes, end: int) -> None:
        plan = self._planned(buffer[:end])
        if isinstance(plan, Reason):
            self._refuse(plan)
            return
        request = plan.request
        body = self._body
        body.begin(max(request.content_length, 0), request.chunked, least_average=self._gateway.limits.chunk_average)
        piece, used = body.feed(buffer[end + 4 :])
        stop = end + 4 + used
        self._messages += 1
        self._check(request, buffer if not self._fed and stop == len(buffer) else buffer[self._fed : stop])
        if self._half_closed and not body.complete:
            self._refuse(Reason.INCOMPLETE)  # the rest of its body will never come
            return
        self._fed = 0
        self._buffer = buffer[stop:]
        self._request = request
        self.request_id = sane_request_id(request.notes.get(b"x-request-id")) or self._gateway.request_id()
        if body.complete:
            self._state = _ANSWER
            self._gateway.wheel.set(self, FAR)
        else:
            self._state = _BODY
            self._body_began = self._gateway.wheel.now
            self._body_bytes = len(piece)
            self._await_body()
        receive(self._gateway, self, plan, piece, body.complete)

    def _planned(self, head: bytes) -> Plan | Reason:
        plan = self._plan
        if plan is None or not plan.recurs(head):
            request = self._gateway.reader.read(head)
            if isinstance(request, Reason):
                return request
            self._gateway.headers.make_private(request)
            plan = Plan(head, request, self._gateway.admission.match(request))
            self._plan = plan if plan.recognisable else None
        return plan

    def _show(self, data: bytes) -> Referee:
        """Show bytes to llhttp."""
        referee = self._referee
        if referee is None:
            self._referee = referee = self._gateway.referees.take()
        referee.feed(data)
        return referee

    def _check(self, request: RequestHead, data: bytes) -> None:
        """Show llhttp what is about to be acted on; it must see the same message as we do."""
        referee = self._show(data)
        complete = self._body.complete
        if not referee.agrees(1, 1 if complete else 0):
            raise Refused(Complaint.FRAMING, "the request's bounds are ambiguous")
        if not complete:
            return
        if request.keep_alive and not request.chunked:
            self._referee = None
            self._gateway.referees.give(referee)
        else:
            # A trailer, too, can say Connection: close. For llhttp that is the end: it would refuse whatever message
            # comes next, which must be this client's own then.
            referee.rest()

    # -- reading bodies

    def _receive_body(self, data: bytes) -> None:
        body, request = self._body, self._request
        assert request is not None
        try:
            piece, used = body.feed(data)
            self._check(request, data if used == len(data) else data[:used])
        except (BadChunk, Refused) as bad:
            if self.relay is not None:
                self.relay.reject(_reason(bad))
            return
        if body.complete:
            self._state = _ANSWER
            self._buffer = data[used:]
            self._gateway.wheel.set(self, FAR)
        else:
            self._body_bytes += len(piece)
            self._await_body()
        if self.relay is not None and (piece or body.complete):
            self.relay.body(piece, body.complete)

    def _await_body(self) -> None:
        """The next byte has its time, and all of them together a least rate: to drip is not to send."""
        gateway = self._gateway
        deadline = gateway.wheel.now + TICK + gateway.timeouts.client_body_idle
        rate = gateway.limits.body_rate
        if rate > 0:
            slowest = self._body_began + gateway.timeouts.client_body_grace + self._body_bytes / rate
            deadline = min(deadline, slowest)
        gateway.wheel.set(self, deadline)

    # -- answering: what relays call

    def send(self, data: bytes) -> None:
        """Write bytes of an answer."""
        if self._transport is not None:
            self._transport.write(data)

    def persistence(self) -> bytes:
        """Decide whether the connection outlives this answer; returns the Connection field saying so."""
        request, gateway = self._request, self._gateway
        self._keep = (
            request is not None
            and request.keep_alive
            and self._state == _ANSWER
            and not gateway.draining
            and not (self._half_closed and not self._buffer)
            and self._messages < gateway.limits.requests_per_connection
            and len(self._buffer) <= gateway.limits.pipelined
        )
        if not self._keep:
            return CLOSE
        return b"" if request is not None and request.minor else KEEP_ALIVE

    def ends_with_answer(self) -> bytes:
        """The end of the connection will be the end of the answer; returns the field saying so."""
        self._keep = False
        return CLOSE

    def cors_fields(self) -> bytes:
        """The CORS fields for the asking origin."""
        return self._gateway.cors.answer_fields(self._request.origin if self._request else None)

    def answer_own(self, own: OwnAnswer) -> None:
        """Send one of the gateway's own answers to the request in hand."""
        connection = self.persistence()
        if own.close:
            connection, self._keep = CLOSE, False
        head_only = self._request is not None and self._request.method == b"HEAD"
        self.send(own.render(self._gateway.date, self.cors_fields(), self.request_id, connection, head_only=head_only))

    def hold(self) -> None:
        """Stop reading: the upstream takes no more for now."""
        if not self._held:
            self._held = True
            self._held_since = self._gateway.wheel.now
            self._control_reading()
            self._deadline(self._gateway.timeouts.upstream_stall)

    def unhold(self) -> None:
        """Read on."""
        if self._held:
            self._held = False
            self._control_reading()
            if self._state == _BODY:
                self._body_began += self._gateway.wheel.now - self._held_since  # it could not send meanwhile
                self._await_body()

    def over(self) -> None:
        """The request in hand has been answered as far as it will be."""
        self.relay = None
        self._held = False
        try:
            self._go_on()
        except Exception:  # whoever calls this is not the one to be cut for it
            self.abort()
            raise

    def _go_on(self) -> None:
        """Close, or take the next request."""
        if self._gateway.successor is not None:
            self.move(self._gateway.latest())
        if self._state == _CLOSED:
            return
        if len(self._buffer) > self._gateway.limits.pipelined:
            self._gateway.ledger.cut(Cut.PIPELINED)
            self._keep = False
        # One who did not ask for the end may have sent more already.
        goes_on = self._request is not None and self._request.keep_alive and not self._gateway.draining
        if self._state == _BODY or ((self._buffer or goes_on) and not self._keep):
            self._linger()
        elif not self._keep or self._gateway.draining or (self._half_closed and not self._buffer):
            self._close()
        else:
            self._request = None
            self.request_id = b""
            self._state = _HEAD
            if not self._stuck:  # else the time to take the answer is still running
                self._deadline(self._gateway.timeouts.keep_alive)
            self._control_reading()
            self._receive()

    # -- refusing and ending

    def _refuse(self, reason: Reason) -> None:
        """Refuse bytes that make no sound head; the connection can't be trusted any longer."""
        gateway = self._gateway
        own = gateway.answers.rejection(reason, None)
        found = _ORIGIN.search(self._buffer)
        record = Record(monotonic(), gateway.request_id(), b"")
        cors = gateway.cors.answer_fields(found[1] if found else None)
        self.send(own.render(gateway.date, cors, record.request_id, CLOSE, head_only=False))
        gateway.record(Exchange(record).rejected(reason, own.status, monotonic()))
        self._linger()

    def _linger(self) -> None:
        """Throw away what the client still sends, within bounds: closing with bytes unread, or yet to come, would
        reset the connection and could destroy the answer on its way (RFC 9112, 9.6)."""
        transport = self._transport
        halves = transport is not None and transport.can_write_eof()
        self._linger_left = self._gateway.limits.body
        if not halves and self._state == _BODY and self._body.counted:
            # TLS can't be closed by halves: the client learns of the end only when all of it is closed.
            self._linger_left = min(self._linger_left, self._body.left)
        self._state = _LINGER
        self._gateway.part(self)
        self._fed = 0
        self._buffer = b""
        self._request = None
        if self._half_closed or self._linger_left <= 0 or transport is None:
            self._close()
            return
        self._control_reading()
        if halves and not transport.is_closing():
            transport.write_eof()
        self._deadline(self._gateway.timeouts.linger)

    def _discard(self, data: bytes) -> None:
        self._linger_left -= len(data)
        if self._linger_left <= 0:
            self._close()

    def _give_up(self, kind: FailureKind) -> None:
        relay, self.relay = self.relay, None
        if relay is not None:
            relay.client_gone(kind)
        self.abort()

    def _close(self) -> None:
        """Close once everything written is sent."""
        self._state = _CLOSED
        self._gateway.part(self)
        if self._transport is not None:
            self._transport.close()
            self._deadline(self._gateway.timeouts.client_write)

    def _control_reading(self) -> None:
        waits = self._state == _ANSWER or (self._state == _HEAD and self._stuck)
        pause = self._held or (waits and bool(self._buffer))
        if pause == self._paused or self._transport is None or self._transport.is_closing():
            return
        self._paused = pause
        if pause:
            self._transport.pause_reading()
            if self._state == _ANSWER:  # what is too far ahead will not be looked at, see `over`
                self._buffer = self._buffer[: self._gateway.limits.pipelined + 1]
        else:
            self._transport.resume_reading()


def _reason(bad: Exception) -> Reason:
    return Reason.TINY_CHUNKS if isinstance(bad, TinyChunks) else Reason.BAD_FRAMING


class TlsClientConnection(ClientConnection):
    """The same over TLS: what the loop decrypts goes into one buffer for all connections of the worker (asyncio's
    BufferedProtocol), instead of a new object of 256 KiB for every read, whatever its size."""

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to put what is read; in use until `buffer_updated`, which the loop calls before it reads elsewhere."""
        return self._gateway.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes are there."""
        self.data_received(bytes(self._gateway.read_buffer[:nbytes]))
