"""A crowd meets a gateway that has no connection to its upstream yet: everybody is answered, over a few connections
that are used again and again. A handshake for each of them would make all of them late."""

from __future__ import annotations

from contextlib import ExitStack

from tests.faults.traffic import OK, QUIET, assert_idle, assert_readable, client, upload
from tests.gateway import Gateway, eventually
from tests.standin import StandIn

CLIENTS = 1000
AT_ONCE = 16
# What this is about is who waits for what; on a busy machine nobody must be given up meanwhile.
PATIENT = {"connect": "30s", "first_byte": "30s", "track_total": "60s", "upstream_idle": "60s"}


def test_a_thousand_at_once_share_few_connections(vendor: StandIn, standin: StandIn) -> None:
    limits = {"connections_per_ip": 0, "upstream_connecting": AT_ONCE, "upstream_idle": CLIENTS}
    settings = {**QUIET, "limits": limits, "timeouts": PATIENT}
    with Gateway(settings, standin=vendor) as gateway:
        with ExitStack() as stack:
            clients = [stack.enter_context(client(gateway)) for _ in range(CLIENTS)]
            eventually(lambda: gateway.metric("replay_gateway_connections") == CLIENTS, what="all are here")
            for one in clients:
                one.send(upload(b"{}"))
            for one in clients:
                answer = one.read(b"POST", 60.0)
                assert_readable(answer, 200)
                assert answer.body == OK
        assert_idle(gateway, 30.0)
        opened = gateway.metric("replay_gateway_upstream_connections")
        assert AT_ONCE <= opened < CLIENTS / 2, f"{opened} connections"
        assert len(standin.requests()) == CLIENTS
