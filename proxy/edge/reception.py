"""What is done with a request once its head is read: answer it here, refuse it, or have it carried.

Asks `policy.admission` and acts on the verdict. Must not know how requests are read from a connection
or kept in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.edge.config import ConfigRelay
from proxy.edge.plan import Plan
from proxy.edge.track import UNPROVEN, TrackRelay
from proxy.exchange import Exchange
from proxy.model.record import Record
from proxy.model.verdict import Reason, Route
from proxy.policy.admission import Admit, allowed_methods
from proxy.policy.answers import CONTINUE, preflight_answer
from proxy.policy.headers import ConfigQuestion
from proxy.policy.routing import Match
from proxy.runtime.clock import monotonic, wall
from proxy.wire.request import RequestHead

if TYPE_CHECKING:
    from proxy.edge.connection import ClientConnection
    from proxy.edge.gateway import Gateway


_TRACK: Final = Route.TRACK
_CONFIG: Final = Route.CONFIG


def receive(gateway: Gateway, client: ClientConnection, plan: Plan, piece: bytes, complete: bool) -> None:
    """Begin the exchange of a sound request. `piece` is the body that came with the head; `complete`: all of it."""
    now = monotonic()
    request, match = plan.request, plan.match
    exchange = Exchange(Record(now, client.request_id, request.method))
    if isinstance(match, Reason):
        reject(gateway, client, exchange, match, None)
        return
    exchange.record.route = match.route
    if request.method == b"OPTIONS":
        _preflight(gateway, client, exchange, request, match)
        return
    verdict = gateway.admission.judge(request, match, client.side, now, wall() if gateway.admission.tokens else 0.0)
    if isinstance(verdict, Reason):
        reject(gateway, client, exchange, verdict, match.route)
        return
    if verdict.is_foreign or verdict.advice is not None:
        gateway.advise(verdict)
    if match.route is _CONFIG:
        _fetch(gateway, client, exchange, plan, verdict)
    else:
        _carry(gateway, client, exchange, plan, verdict, piece, complete)


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


def _fetch(gateway: Gateway, client: ClientConnection, exchange: Exchange, plan: Plan, admit: Admit) -> None:
    request = plan.request
    if request.has_body:
        reject(gateway, client, exchange, Reason.UNEXPECTED_BODY, _CONFIG)
        return
    relay = ConfigRelay(gateway, client, exchange, request)
    client.relay = relay
    relay.begin(admit, _asked(gateway, client, plan, admit))


def _asked(gateway: Gateway, client: ClientConnection, plan: Plan, admit: Admit) -> ConfigQuestion:
    question = plan.question
    if question is None:
        question = gateway.headers.config_question(plan.request, client.side, admit.target, admit.match)
        plan.question = question
        plan.request.fields = []
    return question


def _carry(
    gateway: Gateway,
    client: ClientConnection,
    exchange: Exchange,
    plan: Plan,
    admit: Admit,
    piece: bytes,
    complete: bool,
) -> None:
    request = plan.request
    # What is announced and does not come must not take the room of what does.
    reserved = len(piece) if complete else UNPROVEN
    if request.content_length >= 0:
        reserved = min(reserved, request.content_length)
    reserved = min(reserved, gateway.limits.exchange_bytes)
    if not gateway.reserve(reserved):
        reject(gateway, client, exchange, Reason.MEMORY, _TRACK)
        return
    if request.expects_continue and not complete and not piece:
        client.send(CONTINUE)
    try:
        relay = _relay(gateway, client, exchange, plan, admit, reserved)
    except Exception:  # there may be no memory for it
        gateway.unreserve(reserved)
        raise
    client.relay = relay
    if piece or complete:
        relay.body(piece, complete)


def _relay(
    gateway: Gateway, client: ClientConnection, exchange: Exchange, plan: Plan, admit: Admit, reserved: int
) -> TrackRelay:
    """Whoever carries the upload; what is set aside for it is its own to give back from here on."""
    request = plan.request
    upstream_head = plan.upstream_head
    if upstream_head is None:  # the same head on the same connection always leads to the same target
        if gateway.tee is not None:
            address = gateway.headers.told_address(client.side, request)
            plan.described = gateway.describer.describe(request, admit.match, address, admit.target.region)
        upstream_head = gateway.headers.upstream_head(request, client.side, admit.target, admit.match)
        plan.upstream_head = upstream_head
        request.fields = []
    head = upstream_head.render(request.content_length, client.request_id)
    return TrackRelay(gateway, client, exchange, request, admit, head, reserved, plan.described)
