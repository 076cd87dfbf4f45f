"""What upstreams answer, well and badly, and what may become of it on the way to the client.

The misbehaviour rides in the request's query (`standin=...`), so the same case runs through any proxy. Three things
may become of an answer: it is relayed whole; it is refused, with a 502 of the proxy's own as long as no head is out;
or the connection is broken off, so that the client can tell. A bad answer never looks like a good one.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import quote

OK = b'{"code":200}'
LENGTH = b"Content-Length: 12\r\n"
JSON = b"Content-Type: application/json\r\n"
# What a bad answer carries that must not be seen by any client.
MARKS = (b"leaked", b"injected", b"poisoned")


@dataclass(frozen=True)
class Relayed:
    """An answer that arrives whole. `fields` are lines that must arrive, `gone` names that must not."""

    name: str
    section: str
    standin: str
    status: int = 200
    body: bytes | None = OK
    method: bytes = b"POST"
    fields: tuple[tuple[str, str], ...] = ()
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Spoilt:
    """An answer that can't be relayed. `begun`: its head is sound, so it may have been passed on before the fault
    came; then it must be visibly cut off."""

    name: str
    section: str
    standin: str
    begun: bool = False
    method: bytes = b"POST"
    statuses: frozenset[int] = frozenset({502})


def _redirects() -> list[Relayed]:
    """Passed on and never followed, whatever the route: where to go is not the vendor's to say to a gateway."""
    elsewhere = "https://elsewhere.invalid/x"
    sections = {301: "15.4.2", 302: "15.4.3", 303: "15.4.4", 307: "15.4.8", 308: "15.4.9"}

    def case(status: int, method: bytes) -> Relayed:
        answer = with_fields(
            b"Location: " + elsewhere.encode(), b"Content-Length: 0", body=b"", status=b"%d Go" % status
        )
        name = f"redirect-{status}" if method == b"POST" else f"redirect-{status}-config"
        return Relayed(name, f"RFC 9110 {sections[status]}", answer, status, b"", method, (("Location", elsewhere),))

    return [case(status, method) for method in (b"POST", b"GET") for status in sections]


def raw(answer: bytes, then: str = "keep") -> str:
    """The stand-in's order to send exactly these bytes."""
    return f"raw::{then}::{quote(b64encode(answer).decode())}"


def with_fields(*lines: bytes, body: bytes = OK, status: bytes = b"200 OK", then: str = "keep") -> str:
    """An order for an answer with these field lines and nothing else."""
    return raw(b"HTTP/1.1 " + status + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body, then)


def with_length(*lines: bytes, status: bytes = b"200 OK") -> str:
    """The same with a correct Content-Length."""
    return with_fields(*lines, b"Content-Length: 12", status=status)


def in_chunks(coded: bytes, *lines: bytes) -> str:
    """The same with the body already in the chunked coding."""
    return with_fields(b"Content-Type: application/json", *lines, b"Transfer-Encoding: chunked", body=coded)


def _relayed() -> list[Relayed]:
    chunks = b"5\r\n" + OK[:5] + b"\r\n7\r\n" + OK[5:] + b"\r\n0\r\n\r\n"
    many = tuple((f"X-Field-{number}", str(number)) for number in range(80))
    statuses = [
        Relayed(
            f"status-{code}",
            "RFC 9110 15",
            with_fields(b"Content-Length: 6", body=b"told\r\n", status=b"%d Told" % code),
            code,
            b"told\r\n",
        )
        for code in (200, 201, 202, 299, 400, 401, 403, 404, 409, 413, 418, 429, 451, 499, 500, 502, 503, 504, 599)
    ]
    config_statuses = [
        Relayed(f"config-status-{code}", "RFC 9110 15", f"status:{code}:told", code, b"told", b"GET")
        for code in (401, 403, 404)
    ]
    listed = [
        Relayed("chunked", "RFC 9112 7.1", "chunked:3"),
        Relayed("chunked-one-byte-each", "RFC 9112 7.1", "chunked:12"),
        Relayed("chunked-extensions", "RFC 9112 7.1.1", in_chunks(chunks.replace(b"5\r\n", b'5;a="b"\r\n', 1))),
        Relayed("chunked-zeros", "RFC 9112 7.1", in_chunks(chunks.replace(b"5\r\n", b"0005\r\n", 1))),
        Relayed("chunked-upper-case", "RFC 9112 7", with_fields(b"Transfer-Encoding: CHUNKED", body=chunks)),
        Relayed(
            "chunked-trailers",
            "RFC 9112 7.1.2",
            in_chunks(chunks[:-2] + b"X-Late: injected\r\n\r\n"),
            gone=frozenset({"x-late"}),
        ),
        Relayed("chunked-empty", "RFC 9112 7.1", in_chunks(b"0\r\n\r\n"), body=b""),
        Relayed("close-delimited", "RFC 9112 6.3", "close_delimited"),
        Relayed("http-1.0", "RFC 9112 2.3", raw(b"HTTP/1.0 200 OK\r\n" + LENGTH + b"\r\n" + OK, "close")),
        Relayed("http-1.0-close-delimited", "RFC 9112 6.3", raw(b"HTTP/1.0 200 OK\r\n\r\n" + OK, "close")),
        Relayed(
            "http-1.0-keep-alive",
            "RFC 9112 9.3",
            raw(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + LENGTH + b"\r\n" + OK),
        ),
        Relayed(
            "connection-close", "RFC 9112 9.6", with_fields(b"Connection: close", b"Content-Length: 12", then="close")
        ),
        Relayed("drip", "RFC 9112 6", "drip:0.001"),
        Relayed("large", "RFC 9112 6", "large:20000000", body=None),
        Relayed("large-config", "RFC 9112 6", "large:500000", body=None, method=b"GET"),
        Relayed("empty-body", "RFC 9112 6.3", with_fields(b"Content-Length: 0", body=b""), body=b""),
        Relayed("no-content", "RFC 9110 15.3.5", "status:204", 204, b""),
        Relayed(
            "not-modified",
            "RFC 9110 15.4.5",
            with_fields(b'ETag: "a"', body=b"", status=b"304 Not Modified"),
            304,
            b"",
            b"GET",
            (("ETag", '"a"'),),
        ),
        Relayed(
            "not-modified-with-length",
            "RFC 9110 8.6",
            with_fields(b"Content-Length: 500", body=b"", status=b"304 Not Modified"),
            304,
            b"",
            b"GET",
        ),
        Relayed("body-on-204", "RFC 9112 6.3", "body_on_204", 204, b""),
        Relayed("body-on-304", "RFC 9112 6.3", "body_on_304", 304, b"", b"GET"),
        Relayed("body-on-head", "RFC 9112 6.3", with_fields(b"Content-Length: 12"), 200, b"", b"HEAD"),
        Relayed("surplus", "RFC 9112 6.3", "surplus"),
        Relayed(
            "surplus-after-chunked",
            "RFC 9112 6.3",
            in_chunks(chunks + b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned"),
        ),
        Relayed("unsolicited", "RFC 9112 9.2", "unsolicited"),
        Relayed(
            "continue",
            "RFC 9110 15.2.1",
            raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + OK),
        ),
        Relayed(
            "processing-with-fields",
            "RFC 9110 15.2",
            raw(b"HTTP/1.1 102 Processing\r\nX-A: injected\r\n\r\nHTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + OK),
            gone=frozenset({"x-a"}),
        ),
        Relayed("early-hints", "RFC 8297 2", "early_hints_103", gone=frozenset({"link"})),
        *_redirects(),
        Relayed(
            "html",
            "SDK",
            "html",
            200,
            b"<!doctype html><title>not JSON</title>",
            fields=(("Content-Type", "text/html"),),
        ),
        Relayed("skipped", "SDK", "skipped:4005", fields=(("X-Session-Replay-Event-Skipped", "4005"),)),
        Relayed(
            "retry-after",
            "RFC 9110 10.2.3",
            with_length(b"Retry-After: 120", status=b"503 Busy"),
            503,
            fields=(("Retry-After", "120"),),
        ),
        Relayed("no-reason", "RFC 9112 4", raw(b"HTTP/1.1 200 \r\n" + LENGTH + b"\r\n" + OK)),
        Relayed("no-space-after-status", "RFC 9112 4", raw(b"HTTP/1.1 200\r\n" + LENGTH + b"\r\n" + OK)),
        Relayed("odd-reason", "RFC 9112 4", raw(b"HTTP/1.1 200 \xc3\xa9 \t!\r\n" + LENGTH + b"\r\n" + OK)),
        Relayed("obs-text", "RFC 9110 5.5", with_length(b"X-A: caf\xe9"), fields=(("X-A", "caf\xe9"),)),
        Relayed(
            "repeated-fields",
            "RFC 9110 5.3",
            with_length(b"X-A: 1", b"X-B: 2", b"X-A: 3"),
            fields=(("X-A", "1"), ("X-B", "2"), ("X-A", "3")),
        ),
        Relayed("empty-value", "RFC 9110 5.5", with_length(b"X-A:"), fields=(("X-A", ""),)),
        Relayed(
            "many-fields",
            "RFC 9110 5.4",
            with_length(*(f"{name}: {value}".encode() for name, value in many)),
            fields=many,
        ),
        Relayed(
            "caching-fields",
            "RFC 9111 5",
            with_length(b"Cache-Control: max-age=60", b'ETag: "a"', b"Age: 3"),
            fields=(("Cache-Control", "max-age=60"), ("ETag", '"a"'), ("Age", "3")),
        ),
        Relayed(
            "hop-by-hop",
            "RFC 9110 7.6.1",
            with_length(
                b"Connection: X-Hop, keep-alive",
                b"X-Hop: injected",
                b"Keep-Alive: timeout=5",
                b"Proxy-Authenticate: Basic",
            ),
            gone=frozenset({"x-hop", "keep-alive", "proxy-authenticate"}),
        ),
        Relayed(
            "upgrade-offer",
            "RFC 9110 7.8",
            with_length(b"Upgrade: h2c", b"Connection: Upgrade"),
            gone=frozenset({"upgrade"}),
        ),
        Relayed(
            "vendor-site-fields",
            "RFC 6265 5.3",
            with_length(
                b"Set-Cookie: a=b; Domain=example.com",
                b"Set-Cookie: c=d",
                b"Strict-Transport-Security: max-age=1; includeSubDomains",
                b'Alt-Svc: h3=":443"',
                b"Access-Control-Allow-Origin: *",
                b"Access-Control-Allow-Origin: https://other.example",
                b"Access-Control-Allow-Credentials: false",
                b"Access-Control-Expose-Headers: X-Other",
                b"Access-Control-Max-Age: 1",
                b"Access-Control-Allow-Private-Network: true",
                b"X-Request-Id: injected",
                b'Clear-Site-Data: "*"',
                b"NEL: {}",
            ),
            gone=frozenset(
                {
                    "set-cookie",
                    "strict-transport-security",
                    "alt-svc",
                    "access-control-max-age",
                    "access-control-allow-private-network",
                    "clear-site-data",
                    "nel",
                }
            ),
        ),
    ]
    return [*statuses, *config_statuses, *listed]


def _spoilt_heads() -> list[Spoilt]:
    start = b"HTTP/1.1 200 OK\r\n"
    presets = {
        "dup_length": "RFC 9112 6.3",
        "conflicting_length": "RFC 9112 6.3",
        "length_and_chunked": "RFC 9112 6.3",
        "bare_lf": "RFC 9112 2.2",
        "header_injection": "RFC 9110 5.5",
        "cr_in_value": "RFC 9110 5.5",
        "nul_in_value": "RFC 9110 5.5",
        "obs_fold": "RFC 9112 5.2",
        "space_before_colon": "RFC 9112 5.1",
        "huge_head": "RFC 9110 5.4",
        "many_fields": "RFC 9110 5.4",
        "status_000": "RFC 9112 4",
        "garbage": "RFC 9112 4",
        "http09": "RFC 9112 2.3",
        "interim_flood": "RFC 9110 15.2",
        "switching_101": "RFC 9110 15.2.2",
    }
    lengths = {
        "plus": b"+12",
        "minus": b"-12",
        "hexadecimal": b"0xc",
        "list": b"12, 12",
        "empty": b"",
        "word": b"leaked",
        "20-digits": b"9" * 20,
        "two-numbers": b"12 12",
    }
    codings: dict[str, tuple[bytes, ...]] = {
        "gzip-chunked": (b"Transfer-Encoding: gzip, chunked",),
        "xchunked": (b"Transfer-Encoding: xchunked",),
        "chunked-twice": (b"Transfer-Encoding: chunked, chunked",),
        "two-lines": (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        "identity": (b"Transfer-Encoding: identity",),
        "vertical-tab": (b"Transfer-Encoding: \x0bchunked",),
    }
    status_lines = {
        "two-digits": b"HTTP/1.1 20 OK",
        "four-digits": b"HTTP/1.1 2000 OK",
        "600": b"HTTP/1.1 600 OK",
        "099": b"HTTP/1.1 099 OK",
        "word": b"HTTP/1.1 abc OK",
        "two-spaces": b"HTTP/1.1  200 OK",
        "tab": b"HTTP/1.1\t200 OK",
        "nul-in-reason": b"HTTP/1.1 200 O\0K",
        "cr-in-reason": b"HTTP/1.1 200 O\rK",
        "version-2.0": b"HTTP/2.0 200 OK",
        "version-1.2": b"HTTP/1.2 200 OK",
        "icy": b"ICY 200 OK",
        "space-first": b" HTTP/1.1 200 OK",
        "request": b"GET / HTTP/1.1",
    }
    lines = {
        "without-colon": b"leaked",
        "empty-name": b": leaked",
        "space-in-name": b"X A: leaked",
        "non-ascii-name": b"X-\xe9: leaked",
        "control-in-value": b"X-A: \x01leaked",
        "delete-in-value": b"X-A: \x7fleaked",
        "control-in-name": b"X-\x01A: leaked",
    }
    chunked = b"c\r\n" + OK + b"\r\n0\r\n\r\n"
    cases = [Spoilt(f"preset-{name}", section, name) for name, section in presets.items()]
    cases += [
        Spoilt(f"length-{name}", "RFC 9112 6.3", with_fields(b"Content-Length: " + value))
        for name, value in lengths.items()
    ]
    cases += [
        Spoilt(f"coding-{name}", "RFC 9112 6.1", with_fields(*given, body=chunked)) for name, given in codings.items()
    ]
    cases += [
        Spoilt(f"status-line-{name}", "RFC 9112 4", raw(line + b"\r\n" + LENGTH + b"\r\n" + OK, "close"))
        for name, line in status_lines.items()
    ]
    cases += [Spoilt(f"field-{name}", "RFC 9110 5.5", with_length(line)) for name, line in lines.items()]
    old = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked
    cases += [
        Spoilt("coding-in-http-1.0", "RFC 9112 6.1", raw(old)),
        Spoilt("head-cut-off", "RFC 9112 8", raw(start + b"X-A: leaked", "close")),
        Spoilt("head-cut-off-by-reset", "RFC 9112 8", raw(start + b"X-A: leaked", "reset")),
        Spoilt("status-line-cut-off", "RFC 9112 8", raw(b"HTTP/1.1 20", "close")),
        Spoilt("only-interim", "RFC 9110 15.2", raw(b"HTTP/1.1 100 Continue\r\n\r\n", "close")),
        Spoilt("closed-before-answer", "RFC 9112 9.5", "close_before_answer"),
        Spoilt("reset-before-answer", "RFC 9112 9.5", "reset_before_answer"),
        Spoilt("closed-after-request-head", "RFC 9112 9.5", "close_after_head"),
        Spoilt("bad-config-answer", "RFC 9112 6.3", "conflicting_length", method=b"GET"),
        Spoilt("bad-head-answer", "RFC 9112 5.1", "space_before_colon", method=b"HEAD"),
    ]
    return cases


def _spoilt_bodies() -> list[Spoilt]:
    coded = {
        "size-word": b"zz\r\n" + OK,
        "size-bare-lf": b"c\n" + OK + b"\r\n0\r\n\r\n",
        "size-space": b"c \r\n" + OK + b"\r\n0\r\n\r\n",
        "size-beyond-64-bit": b"1000000000000000c\r\n" + OK + b"\r\n0\r\n\r\n",
        "data-longer": b"5\r\n" + OK + b"\r\n0\r\n\r\n",
        "data-end-missing": b"c\r\n" + OK + b"0\r\n\r\n",
        "last-bare-lf": b"c\r\n" + OK + b"\r\n0\n\n",
        "extension-bare-lf": b"c;a\nb\r\n" + OK + b"\r\n0\r\n\r\n",
        "trailers-endless": b"c\r\n" + OK + b"\r\n0\r\n" + b"X-Late: leaked\r\n" * 10_000 + b"\r\n",
    }
    cases = [Spoilt(f"chunk-{name}", "RFC 9112 7.1", in_chunks(body), begun=True) for name, body in coded.items()]
    cases += [
        Spoilt("preset-bad_chunk", "RFC 9112 7.1", "bad_chunk", begun=True),
        Spoilt("cut-off", "RFC 9112 8", "truncate:2000", begun=True),
        Spoilt("cut-off-by-reset", "RFC 9112 8", "truncate:2000:reset", begun=True),
        Spoilt("cut-off-far-in", "RFC 9112 8", "truncate:4000000", begun=True),
        Spoilt("cut-off-config", "RFC 9112 8", "truncate:2000", begun=True, method=b"GET"),
        Spoilt(
            "cut-off-before-the-body",
            "RFC 9112 8",
            with_fields(b"Content-Length: 12", body=b"", then="close"),
            begun=True,
        ),
        Spoilt("chunked-cut-off", "RFC 9112 8", "truncate_chunked:3", begun=True),
        Spoilt("chunked-cut-off-by-reset", "RFC 9112 8", "truncate_chunked:3:reset", begun=True),
        Spoilt("chunked-cut-off-config", "RFC 9112 8", "truncate_chunked:3", begun=True, method=b"GET"),
        Spoilt("close-delimited-reset", "RFC 9112 8", "close_delimited:reset", begun=True),
    ]
    return cases


RELAYED = _relayed()
SPOILT = [*_spoilt_heads(), *_spoilt_bodies()]
_NAMES = [case.name for case in RELAYED] + [case.name for case in SPOILT]
assert len(set(_NAMES)) == len(_NAMES), "case names are keys"
