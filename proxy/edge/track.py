"""Carries one track request: body to the upstream, answer to the client, both as they come.

Flow control runs in both directions, nothing is decoded, and a truncated message is never made
to look complete. Must not know how either side's bytes are framed on its connection, nor decide
what a failure means (see `exchange` and `model.failure`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.exchange import Exchange
from proxy.model.failure import FailureKind
from proxy.model.record import Record
from proxy.model.verdict import Reason, Route
from proxy.policy.admission import Admit
from proxy.policy.answers import OwnAnswer
from proxy.policy.describe import meta
from proxy.policy.headers import answer_head
from proxy.runtime.clock import monotonic
from proxy.runtime.timers import FAR
from proxy.spool.entries import Upload
from proxy.upstream.connection import UpstreamConnection
from proxy.wire.answer import AnswerHead
from proxy.wire.chunked import LAST_CHUNK, encode
from proxy.wire.request import RequestHead

if TYPE_CHECKING:
    from proxy.edge.connection import ClientConnection
    from proxy.edge.gateway import Gateway

# Below this a head and its body go out in one write (one TLS record); above, the copy costs more.
_JOIN: Final = 32 * 1024


# Of the memory that an upload may need so much is set aside with its head, for all of it has still to come.
UNPROVEN: Final = 16 * 1024

_TRACK: Final = Route.TRACK


class TrackRelay:
    """One request on its way. Ends with exactly one record."""

    __slots__ = (
        "_asked",
        "_body_complete",
        "_client",
        "_connection",
        "_copy",
        "_described",
        "_encoding",
        "_exchange",
        "_gateway",
        "_held",
        "_held_bytes",
        "_is_whole",
        "_pool",
        "_reencode",
        "_request",
        "_reserved",
        "_withheld",
    )

    def __init__(
        self,
        gateway: Gateway,
        client: ClientConnection,
        exchange: Exchange,
        request: RequestHead,
        admit: Admit,
        head: bytes,
        reserved: int,
        described: bytes,
    ) -> None:
        self._gateway = gateway
        self._client: ClientConnection | None = client
        self._exchange = exchange
        self._request = request
        self._asked = False  # for a connection
        self._pool = gateway.pool(admit.target)
        self._reserved = reserved
        self._connection: UpstreamConnection | None = None
        # What was sent so far, for as long as it can be sent once more; None when it can't.
        self._held: list[bytes] | None = [head]
        self._held_bytes = 0
        self._body_complete = False
        self._encoding = request.chunked
        self._reencode = False
        self._copy = Upload() if gateway.tee is not None else None  # for the archive
        self._described = described
        self._is_whole = False  # the answer
        self._withheld: list[bytes] | None = None  # of the answer, while the copy is not safe on the disk
        exchange.admit(_TRACK, admit.target.region)
        gateway.exchanges += 1

    # -- the client's side

    def body(self, piece: bytes, complete: bool) -> None:
        record = self._exchange.record
        record.received_bytes += len(piece)
        if record.received_bytes > self._gateway.limits.body:
            self.reject(Reason.BODY_TOO_LARGE)
            return
        if record.received_bytes > self._reserved and not self._reserve(2 * record.received_bytes):
            self.reject(Reason.MEMORY)
            return
        data = encode(piece) if self._encoding and piece else piece
        if self._copy is not None:
            self._keep(self._copy, piece, complete)
        if complete:
            self._body_complete = True
            if self._encoding:
                data += LAST_CHUNK
        if self._held is not None:
            self._held.append(data)
            self._held_bytes += len(data)
        if self._connection is not None:
            self._send_on(self._connection, data)
        elif complete or self._held_bytes >= self._gateway.limits.retry_body:
            self._ask()

    def _reserve(self, wanted: int) -> bool:
        """Set aside so much of the memory that this upload may come to need; False when there is no room."""
        wanted = min(wanted, self._gateway.limits.exchange_bytes)
        if self._request.content_length >= 0:
            wanted = min(wanted, self._request.content_length)
        more = wanted - self._reserved
        if more > 0:
            if not self._gateway.reserve(more):
                return False
            self._reserved = wanted
        return True

    def _keep(self, copy: Upload, piece: bytes, complete: bool) -> None:
        tee = self._gateway.tee
        assert tee is not None
        if piece:
            tee.hold(copy, piece)
        if complete:
            tee.whole(copy, meta(self._exchange.record.request_id, self._described))

    def _ask(self) -> None:
        """Ask for a connection: not before the request is whole or as much of it is here as is kept for a repeat,
        so that a client which drips its upload occupies no connection."""
        if not self._asked:
            if not self._body_complete and not self._reserve(self._gateway.limits.exchange_bytes):
                self.reject(Reason.MEMORY)
                return
            self._asked = True
            self._pool.acquire(self)
        if self._connection is None and self._client is not None and not self._body_complete:
            self._client.hold()

    def _send_on(self, connection: UpstreamConnection, data: bytes) -> None:
        if self._held is not None and self._held_bytes > self._gateway.limits.retry_body:
            self._held = None
        connection.write(data)
        if self._body_complete:
            self._request_sent(connection)

    def reject(self, reason: Reason) -> None:
        self._let_go()
        client, self._client = self._client, None
        own: OwnAnswer | None = None
        if client is not None and not self._exchange.answered:
            own = self._gateway.answers.rejection(reason, Route.TRACK)
        self._end(client, own, self._exchange.rejected(reason, own.status if own is not None else 0, monotonic()))

    def client_gone(self, kind: FailureKind) -> None:
        if self._client is None:
            return
        self._client = None
        if kind is FailureKind.CLIENT_GONE and not self._exchange.answered and self._is_on_its_way():
            return  # received whole: it is delivered all the same
        self._let_go()
        self._finish(self._exchange.failed(kind, monotonic()))

    def _is_on_its_way(self) -> bool:
        """Whether the request is received whole and its delivery needs nothing more from here. What received the last
        of it may have raised before it handed that on."""
        if self._connection is not None:
            return self._connection.request_complete
        return self._body_complete and self._pool.awaits(self)

    def client_writable(self, writable: bool) -> None:
        connection = self._connection
        if connection is None or not self._exchange.answered:
            return
        if writable:
            connection.unhold()
            connection.due(monotonic() + self._gateway.timeouts.upstream_stall)
        else:
            connection.hold()
            connection.due(FAR)  # it is the client who is late, and it has a limit of its own

    def fail(self, kind: FailureKind) -> None:
        self._let_go()
        if not self._exchange.is_over:
            self._broken(kind)

    # -- the upstream's side

    def connected(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        reused = connection.reused
        self._exchange.connected(monotonic(), reused)
        connection.carry(self, head_only=False)
        held = self._held
        assert held is not None
        if not self._body_complete and self._client is not None:
            self._client.unhold()  # before the writes, which may hold it again
        if self._held_bytes <= _JOIN:
            connection.write(b"".join(held))
        else:
            connection.write_all(held)
        if not reused or self._held_bytes > self._gateway.limits.retry_body:
            self._held = None
        if self._body_complete:
            self._request_sent(connection)
        else:
            connection.due(FAR)

    def _request_sent(self, connection: UpstreamConnection) -> None:
        """All of the request is handed over: from now on the upstream is waited for.

        The answer must come before the SDK gives up (10 s after it began). A client that was still
        sending by then has no such limit, and gets the time that an answer may take."""
        connection.request_complete = True
        timeouts = self._gateway.timeouts
        now = monotonic()
        total = self._exchange.record.began + timeouts.track_total
        answer_by = now + timeouts.first_byte
        connection.due(min(answer_by, total) if now < total else answer_by)

    def upstream_writable(self, writable: bool) -> None:
        if self._client is not None and not self._body_complete:
            self._client.unhold() if writable else self._client.hold()

    def upstream_failed(self, kind: FailureKind) -> None:
        self._connection = None
        if self._exchange.is_over:
            return  # what raised did so after that
        self._pool.failed(kind)
        if self._exchange.retries(kind, body_held=self._held is not None):
            self._pool.acquire(self, fresh=True)
        else:
            self._broken(kind)

    def answer(self, head: AnswerHead, piece: bytes, complete: bool) -> None:
        self._pool.answered()
        self._held = None
        self._arrived(complete)
        self._exchange.answer(head.status, head.status, head.skipped)
        client = self._client
        if client is not None:
            # Without a length the body's end must be marked, so that a cut can be told from the end.
            unframed = head.content_length < 0 and not head.bodiless
            self._reencode = unframed and self._request.minor == 1
            connection = client.persistence()
            if unframed and not self._reencode:
                connection = client.ends_with_answer()
            if self._copy is not None:
                self._wait_for_disk(self._copy)
            data = answer_head(
                head,
                client.cors_fields(),
                self._exchange.record.request_id,
                _TRACK,
                chunked=self._reencode,
                connection=connection,
            )
            self._relay(data, piece, complete)
        if complete:
            self._answered_whole()

    def answer_body(self, piece: bytes, complete: bool) -> None:
        self._arrived(complete)
        self._relay(b"", piece, complete)
        if complete:
            self._answered_whole()

    def _relay(self, head: bytes, piece: bytes, complete: bool) -> None:
        if self._client is None:
            return
        self._exchange.record.sent_bytes += len(piece)
        if self._reencode:
            piece = (encode(piece) if piece else b"") + (LAST_CHUNK if complete else b"")
        if not head and not piece:
            return
        if self._withheld is None:
            self._client.send(head + piece)
            return
        self._withheld.append(head + piece)
        if self._connection is not None:
            self._connection.hold()  # one piece is enough to keep
            self._connection.due(FAR)  # it is the disk that is late, and it has a limit of its own

    def _wait_for_disk(self, copy: Upload) -> None:
        """Keep the answer back until the copy is safe, if that was asked for (`archive.spool.sync: durable`)."""
        tee = self._gateway.tee
        if tee is not None and tee.must_wait(copy, self._safe):
            self._withheld = []

    def _safe(self) -> None:
        """The copy is on the disk, or never will be."""
        try:
            self._release()
        except Exception:  # nobody else would end it
            self.fail(FailureKind.INTERNAL)
            raise

    def _release(self) -> None:
        withheld, self._withheld = self._withheld, None
        if self._client is not None and withheld:
            self._client.send(b"".join(withheld))
        if self._connection is not None:
            self._connection.unhold()
            self._connection.due(monotonic() + self._gateway.timeouts.upstream_stall)
        if self._is_whole:
            self._answered_whole()

    def _arrived(self, complete: bool) -> None:
        if complete:
            self._connection = None  # back in the pool, or somebody else's already
        elif self._connection is not None:
            self._connection.due(monotonic() + self._gateway.timeouts.upstream_stall)

    def _answered_whole(self) -> None:
        self._is_whole = True
        if self._withheld is not None:
            return
        client, self._client = self._client, None
        self._finish(self._exchange.relayed(monotonic()))
        if client is not None:
            client.over()

    # -- ending

    def _broken(self, kind: FailureKind) -> None:
        """It can't be carried."""
        client, self._client = self._client, None
        own = None if self._exchange.answered else self._gateway.answers.failure(kind)
        self._end(client, own, self._exchange.failed(kind, monotonic()))

    def _end(self, client: ClientConnection | None, own: OwnAnswer | None, record: Record) -> None:
        """Say what happened while nothing was said yet, else cut the connection. Over it is in any case: there may be
        no memory for saying something."""
        try:
            if client is not None and own is not None:
                client.answer_own(own)
        except Exception:
            if client is not None:
                client.abort()
            raise
        finally:
            self._finish(record)
        if client is not None:
            client.abort() if own is None else client.over()

    def _let_go(self) -> None:
        """Give the upstream side up; a request that is not complete there never becomes so."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()
        else:
            self._pool.forget(self)

    def _finish(self, record: Record) -> None:
        gateway = self._gateway
        gateway.exchanges -= 1
        gateway.unreserve(self._reserved)
        self._held = None
        if self._copy is not None:
            self._part(self._copy, record)
        gateway.record(record)

    def _part(self, copy: Upload, record: Record) -> None:
        self._copy, copy.waiter = None, None
        tee = self._gateway.tee
        if tee is None:
            return
        if copy.sequence:
            tee.follow(copy, record)
        else:
            tee.abandon(copy)
