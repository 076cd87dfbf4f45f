"""Where requests go is the configuration's alone: no client names another place, and no vendor leads to one.

Each way out is watched: a listener that nobody may connect to is named in whatever could be taken for an order.
"""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Iterator

import pytest

from tests.conformance.cases import HOST, ORIGIN, head
from tests.faults.traffic import QUIET, ask, assert_readable, config, leaving_nothing, new_key, upload
from tests.gateway import Gateway
from tests.standin import StandIn

REDIRECTS = {301: "Moved Permanently", 302: "Found", 303: "See Other", 307: "Temporary Redirect", 308: "Permanent"}
# %s is the listener's address. The vendor's own places, too: not even there is a redirect followed.
LOCATIONS = ("http://%s/x", "//%s/x", "/elsewhere")
SITE = "us-tls"


@pytest.fixture(scope="module")
def gateway(vendor: StandIn) -> Iterator[Gateway]:
    """Nobody is a trusted proxy, and a header decides on regions for those who are."""
    region = {"header": {"name": "CloudFront-Viewer-Country", "values": {"DE": "eu"}}}
    settings = {**QUIET, "breaker": {"failures": 0}, "region": region}
    with Gateway(settings, standin=vendor) as running, leaving_nothing(running):
        yield running


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The address of a listener. Nobody has connected to it when the test ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def redirect(status: int, location: str) -> dict[str, str]:
    """The vendor's rule for such an answer."""
    lines = (f"HTTP/1.1 {status} {REDIRECTS[status]}", f"Location: {location}", "Content-Length: 0", "", "")
    return {"action": "raw", "b64": b64encode("\r\n".join(lines).encode()).decode()}


@pytest.mark.parametrize("location", LOCATIONS, ids=["url", "authority", "path"])
@pytest.mark.parametrize("status", REDIRECTS)
def test_a_redirect_is_relayed(gateway: Gateway, standin: StandIn, elsewhere: str, status: int, location: str) -> None:
    """Also where a last good answer is at hand: a redirect is what the vendor means, and no outage."""
    key = new_key()
    assert_readable(ask(gateway, config(key)), 200)
    target = location.replace("%s", elsewhere)
    standin.behave(redirect(status, target))
    for request in (upload(), config(key), config(new_key())):
        standin_before = len(standin.requests())
        answer = ask(gateway, request)
        assert_readable(answer, status)
        assert answer.all("location") == [target]
        assert answer.one("x-gateway-config") is None
        assert len(standin.requests()) == standin_before + 1, "asked more than once"


# %s is the listener's address: a target, and the fields beside it.
REFUSED = {
    "absolute-form": "http://%s/sessions/v2/track",
    "absolute-form-https": "https://%s/sessions/v2/track",
    "absolute-form-userinfo": "http://replay.example.com@%s/sessions/v2/track",
    "authority-in-path": "//%s/sessions/v2/track",
    "authority-and-userinfo-in-path": "//replay.example.com@%s/sessions/v2/track",
    "userinfo-only": "@%s/sessions/v2/track",
    "port-only": ":80/sessions/v2/track",
    "encoded-slashes": "/%%2f%s/sessions/v2/track",
    "encoded-slash-in-route": "/sessions%%2fv2/track",
    "path-above": "/sessions/v2/track/../../../%s",
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("method", [b"POST", b"GET"])
def test_a_target_that_names_a_place_is_refused(
    gateway: Gateway, standin: StandIn, elsewhere: str, name: str, method: bytes
) -> None:
    form = REFUSED[name].replace("%%", "%").replace("%s", elsewhere)
    target = form if method == b"POST" else form.replace("/sessions/v2/track", "/config/key")
    length = (b"Content-Length: 2",) if method == b"POST" else ()
    request = head(method + b" " + target.encode() + b" HTTP/1.1", HOST, ORIGIN, *length)
    answer = ask(gateway, request + (b"{}" if length else b""))
    assert answer.status in (400, 404)
    assert standin.requests() == []


FIELDS = (
    "X-Forwarded-Host: %s",
    "X-Forwarded-Server: %s",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Proto: http",
    "X-Original-URL: http://%s/x",
    "X-Rewrite-URL: /x",
    "X-Host: %s",
    "Forwarded: host=%s;proto=http",
    "CloudFront-Viewer-Country: DE",
)


@pytest.mark.parametrize("query", ["url=http://%s/x", "@%s/x", "http://%s", "/../../x?//%s/", "host=%s&port=1"])
def test_a_query_a_host_and_fields_that_name_a_place_lead_to_the_vendor(
    gateway: Gateway, standin: StandIn, elsewhere: str, query: str
) -> None:
    query = query.replace("%s", elsewhere)
    fields = tuple(field.replace("%s", elsewhere).encode() for field in FIELDS)
    host = b"Host: " + elsewhere.encode()
    lines = {"track": b"POST /sessions/v2/track?", "config": b"GET /config/key?"}
    for route, line in lines.items():
        length = (b"Content-Length: 2",) if route == "track" else ()
        request = head(line + query.encode() + b" HTTP/1.1", host, ORIGIN, *fields, *length)
        assert_readable(ask(gateway, request + (b"{}" if length else b"")), 200)
    track, asked = standin.requests()
    assert (track["site"], asked["site"]) == (SITE, SITE)
    assert (track["tls_sni"], asked["tls_sni"]) == ("api-sr.amplitude.com", "sr-client-cfg.amplitude.com")
    assert track["target"] == f"/sessions/v2/track?{query}"
    assert asked["target"] == f"/config/key?{query}"
    for record in (track, asked):
        named = [value for name, value in record["headers"] if name.lower() == "host"]
        assert named == [record["tls_sni"]]
