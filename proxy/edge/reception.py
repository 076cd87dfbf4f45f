"""What is done with a request once its head is read: answer it here, refuse it, or have it carried.

Asks `policy.admission` and acts on the verdict. Must not know how requests are read from a connection
or kept in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.edge.config import ConfigRelay
from proxy.edge.track import TrackRelay
from proxy.exchange import Exchange
from proxy.model.record import Record
from proxy.model.verdict import Reason, Route
from proxy.policy.admission import Admit, allowed_methods
from proxy.policy.answers import CONTINUE, preflight_answer
from proxy.policy.routing import Match
from proxy.runtime.clock import monotonic
from proxy.wire.request import RequestHead

if TYPE_CHECKING:
    from proxy.edge.connection import ClientConnection
    from proxy.edge.gateway import Gateway


def receive(gateway: Gateway, client: ClientConnection, request: RequestHead, piece: bytes, complete: bool) -> None:
    """Begin the exchange of a sound request. `piece` is the body that came with the head; `complete`: all of it."""
    now = monotonic()
    exchange = Exchange(Record(now, client.request_id, request.method))
    match = gateway.admission.match(request)
    if isinstance(match, Reason):
        reject(gateway, client, exchange, match, None)
        return
    exchange.record.route = match.route
    if request.method == b"OPTIONS":
        _preflight(gateway, client, exchange, request, match)
        return
    verdict = gateway.admission.judge(request, match, client.lines, now)
    if isinstance(verdict, Reason):
        reject(gateway, client, exchange, verdict, match.route)
    elif match.route is Route.CONFIG:
        _fetch(gateway, client, exchange, request, verdict)
    else:
        _carry(gateway, client, exchange, request, verdict, piece, complete)


def reject(gateway: Gateway, client: ClientConnection, exchange: Exchange, reason: Reason, route: Route | None) -> None:
    """Refuse a request whose head is sound."""
    own = gateway.answers.rejection(reason, route)
    client.answer_own(own)
    gateway.record(exchange.rejected(reason, own.status, monotonic()))
    client.over()


def _preflight(
    gateway: Gateway, client: ClientConnection, exchange: Exchange, request: RequestHead, match: Match
) -> None:
    if request.has_body:
        reject(gateway, client, exchange, Reason.UNEXPECTED_BODY, match.route)
        return
    method = request.notes.get(b"access-control-request-method")
    names = request.notes.get(b"access-control-request-headers")
    fields, unknown = gateway.cors.preflight_fields(request.origin, method, names, match.route)
    if unknown:
        gateway.unknown_headers(unknown)
    if method is None:
        fields += b"Allow: " + allowed_methods(match.route) + b"\r\n"
    client.send(preflight_answer(gateway.date, fields, client.request_id, client.persistence()))
    gateway.record(exchange.preflighted(monotonic()))
    client.over()


def _fetch(gateway: Gateway, client: ClientConnection, exchange: Exchange, request: RequestHead, admit: Admit) -> None:
    if request.has_body:
        reject(gateway, client, exchange, Reason.UNEXPECTED_BODY, Route.CONFIG)
        return
    relay = ConfigRelay(gateway, client, exchange, request)
    client.relay = relay
    relay.begin(admit, client.lines)


def _carry(
    gateway: Gateway,
    client: ClientConnection,
    exchange: Exchange,
    request: RequestHead,
    admit: Admit,
    piece: bytes,
    complete: bool,
) -> None:
    share = gateway.limits.exchange_bytes
    reserved = min(request.content_length, share) if request.content_length >= 0 else share
    if not gateway.reserve(reserved):
        reject(gateway, client, exchange, Reason.MEMORY, Route.TRACK)
        return
    if request.expects_continue and not complete and not piece:
        client.send(CONTINUE)
    head = gateway.headers.upstream_head(request, client.lines, admit.target, admit.match, client.request_id)
    relay = TrackRelay(gateway, client, exchange, request, admit, head, reserved)
    client.relay = relay
    if piece or complete:
        relay.body(piece, complete)
    if client.relay is relay:  # else its first piece was too large already
        relay.start()
