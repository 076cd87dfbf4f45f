"""Every answer can be read by the page that asked, whatever went wrong, and preflights are answered as browsers need.

What the SDK can't read it takes for a broken network: the batch is dropped and never sent again.
"""

from __future__ import annotations

import pytest

from tests.conformance.carried import beacon, config, plain_post
from tests.conformance.cases import CONFIG, HOST, KEY, ORIGIN_VALUE, TRACK, TRACK_PATH, head
from tests.conformance.stage import Stage

SDK_NAMES = (
    "authorization,content-encoding,content-type,x-client-library,x-client-sample-rate,x-client-url,"
    "x-client-version,x-sampling-hash-alg"
)
# What browsers really ask for (exact), by SDK version.
PREFLIGHTS = {
    "gzip": SDK_NAMES,
    "plain": SDK_NAMES.replace("content-encoding,", ""),
    "older": "authorization,content-type,x-client-library,x-client-sample-rate,x-client-url,x-client-version",
    "beacon": "content-type",
}
EXCHANGES: dict[str, tuple[int, bytes]] = {
    "upload": (200, plain_post()),
    "config": (200, config()),
    "head": (200, config(method=b"HEAD")),
    "vendor-refuses": (400, plain_post(target=TRACK_PATH + b"?standin=status:400:no")),
    "vendor-limits": (429, plain_post(target=TRACK_PATH + b"?standin=status:429")),
    "vendor-fails": (500, plain_post(target=TRACK_PATH + b"?standin=status:500")),
    "vendor-overloaded": (503, plain_post(target=TRACK_PATH + b"?standin=status:503")),
    "no-content": (204, plain_post(target=TRACK_PATH + b"?standin=status:204")),
    "skipped": (200, plain_post(target=TRACK_PATH + b"?standin=skipped:429")),
    "redirect": (307, plain_post(target=TRACK_PATH + b"?standin=redirect")),
    "unknown-path": (404, plain_post(target=b"/elsewhere")),
    "wrong-method": (405, head(b"PUT " + TRACK + b" HTTP/1.1", HOST)),
    "bad-framing": (400, plain_post(b"Transfer-Encoding: chunked")),
    "bad-field": (400, plain_post(b"X A: b")),
    "bad-target": (400, config(b"/config/../x")),
    "too-large": (413, head(b"POST " + TRACK + b" HTTP/1.1", HOST, b"Content-Length: 99999999")),
    "too-many-fields": (431, config(CONFIG, *(b"X-%d: v" % number for number in range(200)))),
    "no-answer": (502, plain_post(target=TRACK_PATH + b"?standin=close_before_answer")),
    "bad-answer": (502, plain_post(target=TRACK_PATH + b"?standin=garbage")),
    "bad-config": (502, config(b"/config/never-seen?standin=reset_before_answer")),
}
ORIGINS = {
    "https": ORIGIN_VALUE,
    "http-port": "http://localhost:27001",
    "ipv6": "http://[::1]:8080",
    "punycode": "https://xn--bcher-kva.example",
    "extension": "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "capacitor": "capacitor://localhost",
}


def from_origin(request: bytes, origin: str | None) -> bytes:
    """The request as a page of `origin` would send it."""
    lines = request.split(b"\r\n")
    end = lines.index(b"")
    kept = [line for line in lines[:end] if not line.lower().startswith(b"origin:")]
    # Directly behind Host, before whatever may be wrong with the rest.
    at = next(number for number, line in enumerate(kept) if line.startswith(b"Host:")) + 1
    own = [b"Origin: " + origin.encode()] if origin is not None else []
    return b"\r\n".join([*kept[:at], *own, *kept[at:], *lines[end:]])


@pytest.mark.parametrize("name", EXCHANGES)
def test_every_answer_is_readable(stage: Stage, name: str) -> None:
    status, request = EXCHANGES[name]
    with stage.reading(), stage.client() as client:
        answer = client.ask(from_origin(request, ORIGIN_VALUE))
        stage.expect(answer.status == status, f"status {answer.status}")
        stage.readable(answer)
        stage.traceable(answer)
    stage.after()


@pytest.mark.parametrize("name", EXCHANGES)
def test_without_an_origin_every_answer_is_the_same_but_names_none(stage: Stage, name: str) -> None:
    status, request = EXCHANGES[name]
    with stage.reading(), stage.client() as client:
        answer = client.ask(from_origin(request, None))
        stage.expect(answer.status == status, f"status {answer.status}")
        stage.readable(answer, None)
        stage.traceable(answer)
    stage.after()


@pytest.mark.parametrize("name", ORIGINS)
def test_the_origin_is_echoed_exactly(stage: Stage, name: str) -> None:
    with stage.reading(), stage.client() as client:
        answer = client.ask(from_origin(plain_post(), ORIGINS[name]))
        stage.readable(answer, ORIGINS[name])
    stage.after()


@pytest.mark.parametrize("names", PREFLIGHTS)
@pytest.mark.parametrize("path", ["track", "track-with-query", "config"])
def test_a_preflight_is_answered_here(stage: Stage, names: str, path: str) -> None:
    target = {"track": TRACK_PATH, "track-with-query": TRACK + b"&api_key=" + KEY, "config": CONFIG}[path]
    method = b"GET" if path == "config" else b"POST"
    request = head(
        b"OPTIONS " + target + b" HTTP/1.1",
        HOST,
        b"Connection: keep-alive",
        b"Accept: */*",
        b"Access-Control-Request-Method: " + method,
        b"Access-Control-Request-Headers: " + PREFLIGHTS[names].encode(),
        b"Origin: " + ORIGIN_VALUE.encode(),
        b"Sec-Fetch-Mode: cors",
        b"Sec-Fetch-Site: cross-site",
        b"Sec-Fetch-Dest: empty",
    )
    with stage.reading(), stage.client() as client:
        answer = client.ask(request)
        stage.expect((answer.status, answer.body) == (204, b""), f"status {answer.status}")
        stage.expect(answer.all("access-control-allow-origin") == [ORIGIN_VALUE], "Allow-Origin")
        stage.expect(answer.all("access-control-allow-credentials") == ["true"], "Allow-Credentials")
        missing = set(PREFLIGHTS[names].split(",")) - answer.listed("access-control-allow-headers")
        stage.expect(not missing, f"not allowed: {sorted(missing)}")
        stage.expect(method.decode().lower() in answer.listed("access-control-allow-methods"), "Allow-Methods")
        age = answer.one("access-control-max-age") or "0"
        stage.expect(age.isdigit() and int(age) >= 600, f"Max-Age {age}")
        stage.expect("origin" in answer.listed("vary"), "Vary does not name Origin")
        stage.expect(answer.keeps_alive, "the connection ends")
        stage.traceable(answer)
        # The same connection then carries the upload, as browsers do it.
        stage.expect(client.ask(from_origin(plain_post(), ORIGIN_VALUE)).status == 200, "the upload after it")
    stage.expect([record["method"] for record in stage.after()] == ["POST"], "the preflight went upstream")


def test_a_preflight_for_a_script_with_fields_of_its_own(stage: Stage) -> None:
    request = head(
        b"OPTIONS " + TRACK + b" HTTP/1.1",
        HOST,
        b"Origin: " + ORIGIN_VALUE.encode(),
        b"Access-Control-Request-Method: POST",
        b"Access-Control-Request-Headers: authorization,x-tenant-token",
    )
    with stage.reading(), stage.client() as client:
        answer = client.ask(request)
        stage.expect("x-tenant-token" in answer.listed("access-control-allow-headers"), "not allowed: x-tenant-token")
    stage.expect(not stage.after(), "the preflight went upstream")


def test_options_that_is_no_preflight_is_answered_here_too(stage: Stage) -> None:
    with stage.reading(), stage.client() as client:
        answer = client.ask(head(b"OPTIONS " + TRACK + b" HTTP/1.1", HOST))
        stage.expect(answer.status in (200, 204), f"status {answer.status}")
        stage.readable(answer, None)
    stage.expect(not stage.after(), "it went upstream")


def test_the_page_exit_beacon_with_credentials(stage: Stage) -> None:
    with stage.reading(), stage.client() as client:
        answer = client.ask(beacon(b'{"version":2,"events":[]}', b"application/json"))
        stage.expect(answer.status == 200, f"status {answer.status}")
        stage.readable(answer)
    stage.after()


@pytest.mark.parametrize(
    "origin", ["null", "", "https://a.example https://b.example", "https://a.example, b", "x", "*"]
)
def test_an_origin_that_no_page_has_is_served_and_never_named(stage: Stage, origin: str) -> None:
    with stage.reading(), stage.client() as client:
        answer = client.ask(from_origin(plain_post(), origin))
        stage.expect(answer.status == 200, f"status {answer.status}")
        stage.readable(answer, None)
    stage.after()


def test_two_origins_are_never_both_named(stage: Stage) -> None:
    with stage.reading(), stage.client() as client:
        answer = client.ask(plain_post(b"Origin: https://a.example", b"Origin: https://b.example"))
        stage.expect(answer.status in (200, 400), f"status {answer.status}")
        stage.expect(len(answer.all("access-control-allow-origin")) <= 1, "two origins are named")
    stage.after()
