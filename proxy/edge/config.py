"""Carries config requests: one fetch for all who ask the same at the same time, and the last known
good answer when the vendor fails or is late.

An answer is read whole before it is passed on (they are small and bounded by `limits.config_answer`),
so that a broken one can still be replaced. Must not know which answers are good or how long they
may be kept (see `policy.last_good`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from proxy.exchange import Exchange
from proxy.model.failure import FailureKind
from proxy.model.record import Record
from proxy.model.verdict import Reason, Route
from proxy.observe.ledger import Counter, Mark
from proxy.policy.admission import Admit
from proxy.policy.headers import ConfigQuestion, answer_head
from proxy.policy.last_good import LastGood, LastGoodAnswers, is_good, is_refusal, speaks_for_itself
from proxy.policy.retry import may_retry
from proxy.runtime.clock import monotonic, wall
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.pool import Pool
from proxy.wire.answer import AnswerHead
from proxy.wire.request import RequestHead

if TYPE_CHECKING:
    from proxy.edge.connection import ClientConnection
    from proxy.edge.gateway import Gateway

_CONFIG: Final = Route.CONFIG


class ConfigDesk:
    """The fetches under way and the answers kept, for one worker."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._fetches: dict[bytes, ConfigFetch] = {}
        self.last_good = LastGoodAnswers(gateway.settings.config_cache)
        self.on_store: Callable[[bytes], None] | None = None

    def load(self, entry: bytes) -> None:
        """Take a last known good answer from another worker."""
        self.last_good.load(entry)

    def join(self, question: bytes) -> ConfigFetch | None:
        """The fetch under way for the very same question, if there is one."""
        return self._fetches.get(question)

    def begin(self, question: ConfigQuestion, pool: Pool, request_id: bytes) -> ConfigFetch:
        """A new fetch, to be started."""
        fetch = ConfigFetch(self._gateway, question, pool, question.head.render(0, request_id))
        self._fetches[question.whole] = fetch
        return fetch

    def done(self, fetch: ConfigFetch) -> None:
        """A fetch is over, one way or the other."""
        if self._fetches.get(fetch.question.whole) is fetch:
            del self._fetches[fetch.question.whole]

    def learn(self, fetch: ConfigFetch, head: AnswerHead, body: bytes, now: float) -> None:
        """The vendor answered in full."""
        if is_good(head, body):
            self._gateway.ledger.mark(Mark.CONFIG_LIVE_MS, int(wall() * 1000))
            if self.last_good.is_fresh(fetch.question.key, body, now):
                return
            fields, asker = head.fields.copy(), fetch.question.asker
            good = LastGood(head.status_line, fields, body, now, fetch.began, wall(), asker)
            entry = self.last_good.store(fetch.question.key, good)
            if entry is not None:
                self._gateway.ledger.count(Counter.CONFIG_STORED)
                if self.on_store is not None:
                    self.on_store(entry)
        elif is_refusal(head.status) and self.last_good.forget(fetch.question.key) and self.on_store is not None:
            self.on_store(fetch.question.key)  # without an answer: nobody is to give the old one any more


class ConfigFetch:
    """One question to the vendor. It outlives the clients that asked, so that a late answer still serves
    the next ones. `question` is the first asker's."""

    __slots__ = (
        "_body",
        "_connection",
        "_gateway",
        "_head",
        "_pool",
        "_retried",
        "_reused",
        "_size",
        "_upstream_head",
        "began",
        "question",
        "relays",
    )

    def __init__(self, gateway: Gateway, question: ConfigQuestion, pool: Pool, head: bytes) -> None:
        self._gateway = gateway
        self._pool = pool
        self._upstream_head = head
        self._connection: UpstreamConnection | None = None
        self._head: AnswerHead | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._retried = False
        self._reused = False
        self.question = question
        self.began = monotonic()
        self.relays: list[ConfigRelay] = []

    def start(self) -> None:
        """Ask for a connection."""
        self._pool.acquire(self)

    def connected(self, connection: UpstreamConnection) -> None:
        now = monotonic()
        self._connection = connection
        self._reused = connection.reused
        for relay in self.relays:
            relay.connected(now, self._reused)
        connection.carry(self, head_only=self._upstream_head.startswith(b"HEAD "))
        connection.write(self._upstream_head)
        connection.request_complete = True
        connection.due(now + self._gateway.timeouts.first_byte)

    def upstream_writable(self, writable: bool) -> None:
        """A head is all there is to write."""

    def answer(self, head: AnswerHead, piece: bytes, complete: bool) -> None:
        self._pool.answered()
        self._head = head
        self.answer_body(piece, complete)

    def answer_body(self, piece: bytes, complete: bool) -> None:
        if complete:
            self._connection = None  # back in the pool, or somebody else's already
        self._size += len(piece)
        if self._size > self._gateway.limits.config_answer:
            if self._connection is not None:
                self._connection.drop()
            self._fail(FailureKind.ANSWER_TOO_LARGE)
            return
        self._body.append(piece)
        if complete:
            self._complete()

    def upstream_failed(self, kind: FailureKind) -> None:
        self._connection = None
        self._pool.failed(kind)
        retry = self._head is None and may_retry(
            kind, already_retried=self._retried, reused=self._reused, answer_begun=False, body_held=True
        )
        if not retry:
            self._fail(kind)
            return
        self._retried = True
        for relay in self.relays:
            relay.retried(kind)
        self._pool.acquire(self, fresh=True)

    def _complete(self) -> None:
        head, body, now = self._head, b"".join(self._body), monotonic()
        assert head is not None
        desk = self._gateway.config_answers
        desk.done(self)
        desk.learn(self, head, body, now)
        if speaks_for_itself(head, body):
            desk.last_good.answered(self.question.key)
        else:
            desk.last_good.failed(self.question.key, now)
        for relay in list(self.relays):
            relay.fetched(head, body)

    def _fail(self, kind: FailureKind) -> None:
        desk = self._gateway.config_answers
        desk.done(self)
        desk.last_good.failed(self.question.key, monotonic())
        for relay in list(self.relays):
            relay.fetch_failed(kind)


class ConfigRelay:
    """One client's config request. Ends with exactly one record."""

    __slots__ = ("_client", "_exchange", "_fetch", "_gateway", "_key", "_request")

    def __init__(self, gateway: Gateway, client: ClientConnection, exchange: Exchange, request: RequestHead) -> None:
        self._gateway = gateway
        self._client: ClientConnection | None = client
        self._exchange = exchange
        self._request = request
        self._key = b""
        self._fetch: ConfigFetch | None = None
        gateway.exchanges += 1

    def begin(self, admit: Admit, question: ConfigQuestion) -> None:
        """Ask, or join those who ask already."""
        gateway, record = self._gateway, self._exchange.record
        self._exchange.admit(_CONFIG, admit.target.region)
        if self._client is not None:
            self._client.due(record.began + gateway.timeouts.config_total)
        desk = gateway.config_answers
        self._key = question.key
        fetch = desk.join(question.whole)
        late = fetch is not None and record.began - fetch.began >= gateway.timeouts.config_total
        if late and self._serve_stale():
            return  # no use in waiting for it, nor in asking once more
        if fetch is not None and not late:
            gateway.ledger.count(Counter.CONFIG_COALESCED)
            self._fetch = fetch
            fetch.relays.append(self)
        else:
            self._fetch = desk.begin(question, gateway.pool(admit.target), record.request_id)
            self._fetch.relays.append(self)
            self._fetch.start()

    # -- the client's side

    def body(self, piece: bytes, complete: bool) -> None:
        """A config request has no body."""

    def reject(self, reason: Reason) -> None:
        """Can't come to this: there is no body to object to."""

    def client_gone(self, kind: FailureKind) -> None:
        if self._client is not None:
            self._client = None
            self._finish(self._exchange.failed(kind, monotonic()))

    def client_writable(self, writable: bool) -> None:
        """The answer is small and written at once."""

    def fail(self, kind: FailureKind) -> None:
        self._gateway.config_answers.last_good.failed(self._key, monotonic())
        if not self._serve_stale():
            self._broken(kind)

    # -- the fetch's side

    def connected(self, now: float, reused: bool) -> None:
        """The fetch has a connection."""
        self._exchange.connected(now, reused)

    def retried(self, kind: FailureKind) -> None:
        """The fetch is tried once more."""
        self._exchange.retries(kind, body_held=True)

    def fetched(self, head: AnswerHead, body: bytes) -> None:
        """The vendor's answer is there."""
        if not speaks_for_itself(head, body) and self._serve_stale():
            return
        client = self._client
        if client is None:
            return
        self._exchange.answer(head.status, head.status)
        bare = head.bodiless or self._request.method == b"HEAD"
        if head.content_length < 0 and not bare:
            head.fields.append(b"Content-Length: %d" % len(body))
            head.content_length = len(body)
        self._send(client, head, b"" if bare else body)
        self._over(client, self._exchange.relayed(monotonic()))

    def fetch_failed(self, kind: FailureKind) -> None:
        """No answer came."""
        if not self._serve_stale():
            self._broken(kind)

    # -- ending

    def _serve_stale(self) -> bool:
        now, client = monotonic(), self._client
        good = self._gateway.config_answers.last_good.usable(self._key, now)
        if good is None or client is None:
            return False
        self._exchange.answer(200, 0)
        head = AnswerHead(200, good.status_line, 1)
        head.fields = [*good.served(now), b"Content-Length: %d" % len(good.body), b"X-Gateway-Config: stale"]
        self._send(client, head, b"" if self._request.method == b"HEAD" else good.body)
        self._over(client, self._exchange.served_stale(now))
        return True

    def _send(self, client: ClientConnection, head: AnswerHead, body: bytes) -> None:
        data = answer_head(
            head,
            client.cors_fields(),
            self._exchange.record.request_id,
            _CONFIG,
            chunked=False,
            connection=client.persistence(),
        )
        self._exchange.record.sent_bytes += len(body)
        client.send(data + body)

    def _broken(self, kind: FailureKind) -> None:
        client = self._client
        if client is not None:
            client.answer_own(self._gateway.answers.failure(kind))
            self._over(client, self._exchange.failed(kind, monotonic()))

    def _over(self, client: ClientConnection, record: Record) -> None:
        self._client = None
        self._finish(record)
        client.over()

    def _finish(self, record: Record) -> None:
        if self._fetch is not None and self in self._fetch.relays:
            self._fetch.relays.remove(self)
        self._gateway.exchanges -= 1
        self._gateway.record(record)
