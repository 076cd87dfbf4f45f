"""Proves that a gateway lets in who has a token of the customer's service, with keys that it fetches there over TLS,
and that no token goes any further."""

from __future__ import annotations

import http.server
import json
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conformance.wire import Answer, Client
from tests.gateway import Gateway, eventually, free_port, merged
from tests.standin import StandIn
from tests.unit.policy.tokens import key_set, public, rsa_key, token

ORIGIN = b"Origin: https://app.example.com"
UPLOAD = b"POST /sessions/v2/track?type=replay HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 2\r\n%b\r\n\r\n{}"


class Publisher:
    """An identity provider: publishes `keys` over TLS while it is open."""

    def __init__(self, vendor: StandIn) -> None:
        self.port = free_port()
        self.keys = key_set(public(rsa_key(), kid="1"))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = vendor.ca_file.parent / "server.pem"
        self._context.load_cert_chain(certificate, certificate.with_suffix(".key"))

    @contextmanager
    def open(self) -> Iterator[None]:
        publisher = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name is the library's
                self.send_response(200)
                self.send_header("Content-Length", str(len(publisher.keys)))
                self.end_headers()
                self.wfile.write(publisher.keys)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler) as server:
            server.socket = self._context.wrap_socket(server.socket, server_side=True)
            serving = threading.Thread(target=server.serve_forever, args=(0.05,))
            serving.start()
            yield
            server.shutdown()
            serving.join()


@pytest.fixture
def publisher(vendor: StandIn) -> Publisher:
    return Publisher(vendor)


def asked(gateway: Gateway, *lines: bytes) -> Answer:
    with Client(("127.0.0.1", gateway.port)) as client:
        client.send(UPLOAD % b"\r\n".join((ORIGIN, *lines)))
        return client.read(b"POST")


def carrying(key: Any, kid: str, **claims: Any) -> bytes:
    return b"X-Replay-Token: " + token(key, "RS256", {"kid": kid}, exp=time.time() + 60, **claims)


def test_who_has_a_token_is_let_in_and_the_token_goes_no_further(vendor: StandIn, publisher: Publisher) -> None:
    settings = {
        "jwt": {
            "jwks_url": f"https://localhost:{publisher.port}/jwks.json",
            "ca_file": str(vendor.ca_file),
            "refresh": "1s",
            "issuer": "https://id.example.com",
        },
        "log": {"access": "all", "level": "debug"},
    }
    good, began = carrying(rsa_key(), "1", iss="https://id.example.com"), time.time()
    with Gateway(settings, standin=vendor, workers=2) as gateway:
        early = asked(gateway, good)
        assert (early.status, early.one("x-gateway-reason")) == (503, "token_keys")
        with publisher.open():
            eventually(lambda: asked(gateway, good).status == 200, 30, "the keys are there")
            eventually(lambda: [asked(gateway, good).status for _ in range(6)] == [200] * 6, 30, "in both workers")
            for lines, reason in (((), "token_missing"), ((carrying(rsa_key(), "1"),), "token_invalid")):
                refused = asked(gateway, *lines)
                assert (refused.status, refused.one("x-gateway-reason")) == (401, reason)
                assert refused.one("www-authenticate") == "Bearer"
                assert refused.one("access-control-allow-origin") == "https://app.example.com"
            publisher.keys = key_set(public(rsa_key(1), kid="2"))
            new = carrying(rsa_key(1), "2", iss="https://id.example.com")
            eventually(lambda: asked(gateway, new).status == 200, 30, "the new key is there")
            eventually(lambda: {asked(gateway, good).status for _ in range(6)} == {401}, 30, "the old one is not")
        eventually(lambda: gateway.metric("replay_gateway_token_keys_fetch_failures_total") >= 2, 30)
        assert asked(gateway, new).status == 200  # the last good keys stay
        assert gateway.metric("replay_gateway_token_keys_last_success_timestamp_seconds") > began
        gone = {"jwt": {"jwks_url": f"https://localhost:{free_port()}/jwks.json", "issuer": "https://id.example.com"}}
        for changed in (gone, {**gone, "limits": {"body": "9MiB"}}):  # the keys of before are nobody's for these
            gateway.config_file.write_text(json.dumps(merged(gateway.config, changed)))
            before = gateway.metric("replay_gateway_reloads_total", result="applied")
            gateway.send_signal(signal.SIGHUP)
            applied = before + 1
            eventually(lambda: gateway.metric("replay_gateway_reloads_total", result="applied") == applied, 30)  # noqa: B023
            assert {asked(gateway, new).status for _ in range(6)} == {503}
        with Client(("127.0.0.1", gateway.port)) as client:
            client.send(b"GET /config/key-1 HTTP/1.1\r\nHost: gw.example\r\n\r\n")
            assert client.read(b"GET").status == 200  # not among jwt.routes
        records = json.dumps(vendor.requests())
        texts = [gateway.log_text(), json.dumps(gateway.metrics()), records]
    assert "x-replay-token" not in records.lower()
    assert not [text for text in texts for value in (good, new) if value.partition(b": ")[2].decode() in text]


def test_a_preflight_grants_the_tokens_header_and_advice_refuses_nobody(vendor: StandIn) -> None:
    settings = {"jwt": {"algorithms": ["HS256"], "secret": "s" * 32, "mode": "advisory", "header": "X-Visit-Token"}}
    with Gateway(settings, standin=vendor) as gateway:
        assert asked(gateway).status == 200
        assert asked(gateway, b"X-Visit-Token: nonsense").status == 200
        eventually(lambda: gateway.metric("replay_gateway_tokens_advised_total") == 2)
        with Client(("127.0.0.1", gateway.port)) as client:
            ask = b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-visit-token"
            head = b"OPTIONS /sessions/v2/track HTTP/1.1\r\nHost: gw.example\r\n"
            client.send(head + ORIGIN + b"\r\n" + ask + b"\r\n\r\n")
            assert "x-visit-token" in client.read(b"OPTIONS").listed("access-control-allow-headers")
        assert gateway.metric("replay_gateway_unknown_cors_headers_total") == 0
