"""One connection: cuts the incoming bytes into requests, records them, answers them.

The default answer takes a straight way without a task or a plan; everything else is a plan played
by `player`. Must not know which actions exist, only at which moment they are played.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from proxy.standin.actions import Action, ActionError
from proxy.standin.answers import Answer, Request
from proxy.standin.body import BodyError, ChunkedReader, Digest
from proxy.standin.head import END, Head, read_head, unfinished_fault
from proxy.standin.player import play
from proxy.standin.presets import CONTINUE
from proxy.standin.records import Peer, Record
from proxy.standin.site import Site
from proxy.standin.steps import Ending, Plan
from proxy.standin.wire import Wire

HELD_BYTES = 1 << 16  # of requests that came before their turn; then reading pauses


class Connection(asyncio.Protocol):
    """The server side of one connection.

    A request is *whole* when its last byte is in, and *out* when its answer has been written; the
    exchange is finished when it is both, in whichever order.
    """

    __slots__ = (
        "_action",
        "_chunks",
        "_digest",
        "_early",
        "_gone",
        "_held",
        "_left",
        "_loop",
        "_out",
        "_pipelined",
        "_place",
        "_rate",
        "_record",
        "_site",
        "_sock",
        "_status",
        "_task",
        "_timer",
        "_vendor",
        "_whole",
        "_wire",
        "peer",
    )

    def __init__(self, site: Site, sock: socket.socket, peer: Peer, gone: Callable[[Connection], None]) -> None:
        self._site = site
        self._gone = gone
        self._vendor = site.vendor
        self._sock = sock
        self.peer = peer
        self._loop = asyncio.get_running_loop()
        self._wire: Wire
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._held = b""
        self._place = 0
        self._pipelined = False
        self._record: Record | None = None
        self._digest = Digest(False, False)
        self._chunks: ChunkedReader | None = None
        self._action: Action | None = None
        self._left = self._status = 0
        self._rate = 0.0
        self._whole = self._out = self._early = False

    # -- what the event loop calls ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._wire = Wire(self._sock, cast(asyncio.Transport, transport), self._vendor.departures)
        handshake = transport.get_extra_info("ssl_object")
        if handshake is not None:
            self.peer.sni = self._site.server_names.get(handshake)
            self.peer.tls_version = handshake.version()

    def data_received(self, data: bytes) -> None:
        if self._wire.deaf:
            return
        if self._record is None and self._task is not None:
            self._stop_task()  # it was idling, for the case that nothing more comes
        if self._whole:
            self._hold(data)
        else:
            self._read(data)
        if self._rate and not self._wire.deaf:
            self._wire.pause()
            self._timer = self._loop.call_later(len(data) / self._rate, self._wire.resume)

    def connection_lost(self, error: Exception | None) -> None:
        self._wire.lost()
        self._stop_task()
        if self._timer is not None:
            self._timer.cancel()
        if self._record is None and self._held:
            self._begin(Head(self._held))
        if self._record is not None:
            self._give_up()
            self._narrate()
        self._gone(self)

    def pause_writing(self) -> None:
        self._wire.full()

    def resume_writing(self) -> None:
        self._wire.drained()

    # -- reading ----------------------------------------------------------------------------------

    def _hold(self, data: bytes) -> None:
        """Keeps bytes of requests that came while an answer is pending."""
        self._pipelined = True
        self._held += data
        if len(self._held) > HELD_BYTES:
            self._wire.pause()

    def _read(self, data: bytes) -> None:
        """Consumes what has arrived, request by request, up to one whose answer takes time."""
        if self._held:
            data, self._held = self._held + data, b""
        while data and not self._wire.deaf:
            if self._whole:
                self._hold(data)
                return
            data = self._read_head(data) if self._record is None else self._read_body(data)

    def _read_on(self) -> None:
        """After an answer that took time: what was held back meanwhile."""
        if self._wire.deaf or self._whole:
            return
        self._wire.resume()
        if self._held:
            if self._record is None:
                self._stop_task()
            self._read(b"")

    def _read_head(self, data: bytes) -> bytes:
        """Consumes a head; returns the bytes after it, or keeps an unfinished one."""
        end = data.find(END)
        if end < 0:
            self._held = data
            fault = unfinished_fault(data)
            if fault:
                self._held = b""
                self._refuse(self._begin(Head(data)), fault)
            return b""
        end += len(END)
        head, judge = read_head(data[:end], self.peer.sni, self._site.tls is not None)
        record = self._begin(head)
        if head.refusal:
            self._refuse(record, "")
            return b""
        self._left = head.length
        if head.framing == "chunked":
            self._chunks = ChunkedReader(judge, record.note)
        rest = data[end:]
        self._choose(head)
        if not self._left and self._chunks is None:
            self._complete(record, bool(rest))
        elif self._early:
            self._held = rest
            self._loop.call_soon(self._read_on)
            return b""
        return rest

    def _begin(self, head: Head) -> Record:
        self._place += 1
        log = self._vendor.log
        record = log.begin(self.peer, self._place, head, self._vendor.clock.now())
        self._record = record
        self._digest = Digest(head.gzip and self._vendor.check, log.keep_bodies > 0)
        if self._pipelined:
            self._pipelined = False
            record.note("pipelined: this request came before the last one was answered")
        return record

    def _read_body(self, data: bytes) -> bytes:
        """Consumes body bytes; returns the bytes after the body."""
        record = self._record
        assert record is not None
        rest: bytes | None
        if self._chunks is None:
            part, rest = data[: self._left], data[self._left :]
            self._digest.feed(part)
            self._left -= len(part)
            if self._left:
                return b""
        else:
            try:
                rest = self._chunks.feed(data, self._digest)
            except BodyError as refusal:
                self._refuse(record, str(refusal))
                return b""
            if rest is None:
                return b""
        self._complete(record, bool(rest))
        return rest

    def _complete(self, record: Record, more: bool) -> None:
        """The request is whole; `more` says that bytes of the next one are already here."""
        self._vendor.log.end(record, self._digest, True, self._vendor.clock.now())
        self._whole = True
        self._chunks = None
        self._rate = 0.0
        if self._out:
            self._finish()
        elif not self._early:
            self._pipelined = more
            self._answer(record)

    def _refuse(self, record: Record, violation: str) -> None:
        """Nothing after this can be understood: answers 400 and listens no more."""
        if violation:
            record.note(violation)
        self._give_up()
        if not self._out and self._task is None:
            self._write_default(record, self._site.defaults.refused, True)
        self.end(Ending.CLOSE)

    def _give_up(self) -> None:
        """Whatever of the open request has not come never will."""
        record = self._record
        if record is not None and record.ended is None:
            self._vendor.log.end(record, self._digest, False, self._vendor.clock.now())

    # -- answering --------------------------------------------------------------------------------

    def _choose(self, head: Head) -> None:
        """Decides what this request meets, and begins with it if it can't wait for the body."""
        try:
            action = self._vendor.behaviour.at_head(self._site.name, head.method, head.target, self._place)
        except ActionError as error:
            action = Action("status", {"code": 500, "body": str(error)})
        self._action = action
        if action is not None and action.phase != "end":
            self._early = True
            self._play(action)
            return
        if head.expects_continue:
            self._wire.write(CONTINUE)
        if action is not None and action.read_rate:
            self._rate = action.read_rate
            self._wire.narrow()

    def _answer(self, record: Record) -> None:
        """Answers a whole request."""
        if self._action is not None:
            self._play(self._action)
            return
        head = record.head
        answer = self._site.defaults.choose(head.method, head.target, record.decoded_ok)
        self._write_default(record, answer, head.close)
        self._finish()

    def _write_default(self, record: Record, answer: Answer, close: bool) -> None:
        date = self._vendor.clock.date()
        self._wire.write(self._site.defaults.bytes_of(answer, date, record.head.method, close))
        record.answered(answer.status)

    def _play(self, action: Action) -> None:
        record = self._record
        assert record is not None
        head = record.head
        answer = self._site.defaults.choose(head.method, head.target, record.decoded_ok)
        request = Request(head.method, self._vendor.clock.date(), head.close, answer)
        self._task = self._loop.create_task(self._perform(action.plan(request)))

    async def _perform(self, plan: Plan) -> None:
        self._status = plan.status
        await play(plan, self)
        self._task = None

    def _finish(self) -> None:
        """The exchange is over; makes room for the next one."""
        record = self._record
        assert record is not None
        self._narrate()
        self._record = self._action = None
        self._whole = self._out = self._early = False
        if record.head.close:
            self.end(Ending.CLOSE)

    def _narrate(self) -> None:
        narrate = self._vendor.narrate
        if narrate is not None and self._record is not None:
            narrate(self._record)

    # -- what a player may do ---------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Writes; the first bytes after a request count as its answer."""
        record = self._record
        if record is not None and record.status is None:
            record.answered(self._status)
        self._wire.write(data)

    async def taken(self) -> None:
        """Waits while the client takes nothing."""
        await self._wire.taken()

    async def flushed(self) -> None:
        """Waits until an answer that was begun has left."""
        if self._record is None or self._record.status is not None:
            await self._wire.flushed()

    def over(self) -> None:
        """The answer is out."""
        self._out = True
        if self._whole:
            self._finish()
            self._loop.call_soon(self._read_on)

    def end(self, how: Ending) -> None:
        """Ends the connection in one of its ways; only a hanging one still reads."""
        if how is Ending.HANG:
            return
        record = self._record
        more_to_come = record is not None and not self._whole
        self._give_up()
        self._wire.finish(how, more_to_come)

    def abort(self) -> None:
        """The stand-in is shutting down."""
        self._wire.abort()

    def _stop_task(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
