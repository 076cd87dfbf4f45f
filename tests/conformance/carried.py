"""Requests that must reach the upstream byte for byte: what SDKs really send, and what is odd but legal.

The SDK's requests have the field order of Chromium. A case says what the upstream must see where that is not simply
what was sent.
"""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass

from tests.conformance.cases import CONFIG, HOST, KEY, ORIGIN, TRACK, Writes, chunked, head

CHROMIUM = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
FETCH = (
    ORIGIN,
    b"Sec-Fetch-Site: cross-site",
    b"Sec-Fetch-Mode: cors",
    b"Sec-Fetch-Dest: empty",
    b"Accept-Encoding: gzip, deflate, br, zstd",
    b"Accept-Language: en-US,en;q=0.9",
)
# Fields that end at a proxy, and those that it sets itself; compared apart from the rest.
CONSUMED = frozenset(
    (
        "host",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "proxy-connection",
        "proxy-authorization",
        "http2-settings",
        "expect",
        "transfer-encoding",
        "content-length",
        "cookie",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-server",
        "x-real-ip",
        "x-request-id",
        "via",
    )
)


@dataclass(frozen=True)
class Carried:
    """A request that is answered 200 and arrives whole.

    `target` is what the upstream sees if not the client's own; `dropped` names further fields, lower-case, that must
    not arrive; `body` is the body without its framing.
    """

    name: str
    section: str
    writes: Writes
    body: bytes = b""
    target: bytes = b""
    dropped: frozenset[str] = frozenset()
    closes: bool = False

    @property
    def bytes(self) -> bytes:
        """The request in one piece."""
        return b"".join(item for item in self.writes if not isinstance(item, float))


def events(count: int, seed: int = 7, version: int = 1) -> bytes:
    """A batch as the SDK makes it: JSON strings of rrweb events in JSON."""
    chance = random.Random(seed)
    batch = [
        json.dumps({"type": 3, "timestamp": 1795239913738 + n, "data": {"source": 1, "x": chance.randrange(1280)}})
        for n in range(count)
    ]
    return json.dumps({"version": version, "events": batch}, separators=(",", ":")).encode()


def upload(body: bytes, *, coding: bytes = b"gzip", target: bytes = TRACK, extra: tuple[bytes, ...] = ()) -> bytes:
    """The 18-field head of the SDK's upload, and `body` as it is."""
    lines = (
        HOST,
        b"Connection: keep-alive",
        b"Content-Length: %d" % len(body),
        b"Authorization: Bearer " + KEY,
        *((b"Content-Encoding: " + coding,) if coding else ()),
        b"X-Sampling-Hash-Alg: xxhash32",
        b"X-Client-Url: https://app.example.com/account/settings?tab=billing#plan",
        b"User-Agent: " + CHROMIUM,
        b"Accept: */*",
        b"X-Client-Version: 1.50.2",
        b"Content-Type: application/json",
        b"X-Client-Sample-Rate: 1",
        b"X-Client-Library: standalone/1.50.2",
        *FETCH,
        *extra,
    )
    return head(b"POST " + target + b" HTTP/1.1", *lines) + body


def beacon(body: bytes, content_type: bytes, kind: bytes = b"replay") -> bytes:
    """What sendBeacon sends on page exit: the key in the query, the site's cookies, no Authorization."""
    target = b"/sessions/v2/track?device_id=device-1&session_id=1795239913738&type=%b&api_key=%b" % (kind, KEY)
    lines = (
        HOST,
        b"Connection: keep-alive",
        b"Content-Length: %d" % len(body),
        b'sec-ch-ua-platform: "Linux"',
        b"User-Agent: " + CHROMIUM,
        b'sec-ch-ua: "Not:A-Brand";v="8", "Chromium";v="156"',
        b"Content-Type: " + content_type,
        b"sec-ch-ua-mobile: ?0",
        b"Accept: */*",
        *FETCH,
        b"Cookie: session=secret; theme=dark",
    )
    return head(b"POST " + target + b" HTTP/1.1", *lines) + body


def config(target: bytes = CONFIG, *extra: bytes, method: bytes = b"GET") -> bytes:
    """The SDK's config request."""
    lines = (
        HOST,
        b"Connection: keep-alive",
        b'sec-ch-ua-platform: "Linux"',
        b"User-Agent: " + CHROMIUM,
        b"Accept: */*",
        b'sec-ch-ua: "Not:A-Brand";v="8", "Chromium";v="156"',
        b"sec-ch-ua-mobile: ?0",
        *FETCH,
        b"Referer: https://app.example.com/",
        *extra,
    )
    return head(method + b" " + target + b" HTTP/1.1", *lines)


def plain_post(*lines: bytes, body: bytes = b"{}", target: bytes = TRACK, version: bytes = b"1.1") -> bytes:
    """A small upload with these field lines after Host."""
    length = b"Content-Length: %d" % len(body)
    return head(b"POST " + target + b" HTTP/" + version, HOST, *lines, length) + body


def chunked_post(coded: bytes, *lines: bytes) -> bytes:
    """An upload with the body already in the chunked coding."""
    return head(b"POST " + TRACK + b" HTTP/1.1", HOST, b"Transfer-Encoding: chunked", *lines) + coded


def _sdk() -> list[Carried]:
    """What the browser SDK, old and new, and native clients send."""
    small, batch = events(3), gzip.compress(events(400), mtime=0)
    noise = random.Random(11)
    snapshot = gzip.compress(noise.randbytes(1_500_000), mtime=0)
    # Versions up to 1.35 pack events with zlib into a Latin-1 string inside JSON inside JSON: C1 characters, escapes.
    packed_text = "".join(
        chr(noise.choice([*range(0x20, 0x22), *range(0x23, 0x5C), *range(0x80, 0x100)])) for _ in range(4000)
    )
    packed = json.dumps(
        {"version": 1, "events": [json.dumps(packed_text, ensure_ascii=False)]}, ensure_ascii=False
    ).encode()
    exit_batch = events(500, version=2)[:65_483]
    old = b"/config?api_key=%b&config_keys=sessionReplay&session_id=1795239913738" % KEY
    native = head(
        b"POST " + TRACK + b" HTTP/1.1",
        HOST,
        b"content-type: application/json",
        b"X-Client-Library: session-replay-ios/0.12.6",
        b"Content-Length: %d" % len(small),
    )
    json_type, text_type = b"application/json", b"text/plain;charset=UTF-8"
    return [
        Carried("config", "SDK 1.29+", (config(),)),
        Carried("config-old-shape", "SDK up to 1.28", (config(old),)),
        Carried("config-old-shape-after-slash", "SDK up to 1.28", (config(old.replace(b"?", b"/?")),), target=old),
        Carried("config-double-slash", "SDK 1.29+", (config(CONFIG.replace(b"g/", b"g//", 1)),), target=CONFIG),
        Carried("config-with-if-none-match", "RFC 9110 13.1.2", (config(CONFIG, b'If-None-Match: "abc"'),)),
        Carried("upload-gzip", "SDK 1.36+", (upload(batch),), batch),
        Carried("upload-gzip-snapshot", "SDK 1.36+", (upload(snapshot),), snapshot),
        Carried("upload-plain", "SDK, gzip off", (upload(small, coding=b""),), small),
        Carried("upload-packed", "SDK up to 1.35", (upload(packed, coding=b""),), packed),
        Carried(
            "upload-interaction",
            "SDK",
            (upload(small, coding=b"", target=TRACK.replace(b"replay", b"interaction")),),
            small,
        ),
        Carried("upload-own-field", "SDK 1.47+", (upload(batch, extra=(b"X-Tenant-Token: abc.def.ghi",)),), batch),
        Carried("upload-15-megabytes", "SDK, gzip off", (upload(bytes(15_000_000), coding=b""),), bytes(15_000_000)),
        Carried(
            "beacon-json", "SDK 1.36+", (beacon(exit_batch, json_type),), exit_batch, dropped=frozenset({"cookie"})
        ),
        Carried(
            "beacon-text", "SDK", (beacon(small, text_type, b"interaction"),), small, dropped=frozenset({"cookie"})
        ),
        Carried("native-without-origin", "iOS", (native + small,), small),
    ]


def _fields() -> list[Carried]:
    """Names and values that are odd and legal."""
    lines: dict[str, tuple[bytes, ...]] = {
        "latin-1-value": (b"X-Client-Url: https://app.example.com/caf\xe9",),
        "utf-8-value": ("X-Client-Url: https://app.example.com/größe".encode(),),
        "all-obs-text": (b"X-A: " + bytes(range(0x80, 0x100)),),
        "all-visible": (b"X-A: " + bytes(range(0x21, 0x7F)),),
        "tab-in-value": (b"X-A: b\tc",),
        "empty-value": (b"X-A:",),
        "blank-value": (b"X-A:   ",),
        "no-space-before-value": (b"X-A:b",),
        "much-space-around-value": (b"X-A: \t  b \t ",),
        "value-with-colons": (b"X-A: a:b::c",),
        "value-with-quotes": (b"X-A: \"a, b\"; c='d'",),
        "value-of-1000": (b"X-Client-Url: https://app.example.com/" + b"a" * 970,),
        "value-of-6000": (b"X-A: " + b"a" * 6000,),
        "all-token-octets": (b"!#$%&'*+-.^`|~09AZaz: x",),
        "odd-case": (b"x-cLiEnT-uRl: x", b"ACCEPT: */*"),
        "repeated": (b"X-A: 1", b"X-B: 2", b"X-A: 3", b"X-A: 1"),
        "order": (b"Z: 1", b"A: 2", b"M: 3", b"B: 4"),
        "ninety": tuple(b"X-Field-%d: value" % number for number in range(90)),
        "origin-null": (b"Origin: null",),
        "authorization-other": (b"Authorization: Basic dXNlcjpwYXNz",),
        "sec-fields": (b"Sec-GPC: 1", b"DNT: 1", b"Priority: u=1, i"),
    }
    return [Carried(f"field-{name}", "RFC 9110 5.5", (plain_post(*given),), b"{}") for name, given in lines.items()]


def _consumed() -> list[Carried]:
    """Fields that end here: connection options and what they name, cookies, claims about who the client is."""
    cases: dict[str, tuple[tuple[bytes, ...], str]] = {
        "connection-named": ((b"Connection: X-Hop, keep-alive", b"X-Hop: 1"), "x-hop"),
        "connection-named-later": ((b"X-Hop: 1", b"Connection: x-hop"), "x-hop"),
        "connection-named-twice": (
            (b"Connection: X-Hop", b"X-Hop: 1", b"Connection: X-Other", b"X-Other: 1"),
            "x-hop x-other",
        ),
        "connection-names-nothing": ((b"Connection: X-Absent",), ""),
        "connection-empty": ((b"Connection: ,, ,",), ""),
        "keep-alive": ((b"Keep-Alive: timeout=5, max=100",), "keep-alive"),
        "te": ((b"TE: trailers", b"Connection: TE"), "te"),
        "te-alone": ((b"TE: trailers, deflate;q=0.5",), "te"),
        "trailer": ((b"Trailer: X-Checksum",), "trailer"),
        "proxy-connection": ((b"Proxy-Connection: keep-alive",), "proxy-connection"),
        "proxy-authorization": ((b"Proxy-Authorization: Basic eDp5",), "proxy-authorization"),
        "http2-settings": ((b"HTTP2-Settings: AAMAAABk",), "http2-settings"),
        "cookie": ((b"Cookie: session=secret", b"cookie: more=1"), "cookie"),
        "forwarded": ((b"Forwarded: for=192.0.2.1;host=evil.example",), "forwarded"),
        "underscore": ((b"X_Forwarded_For: 192.0.2.1", b"X_A: 1"), "x_forwarded_for x_a"),
        "underscore-coding": (
            (b"Transfer_Encoding: chunked", b"Content_Length: 500"),
            "transfer_encoding content_length",
        ),
    }
    return [
        Carried(f"hop-{name}", "RFC 9110 7.6.1", (plain_post(*lines),), b"{}", dropped=frozenset(dropped.split()))
        for name, (lines, dropped) in cases.items()
    ]


def _targets() -> list[Carried]:
    """Targets whose bytes may not be changed: not decoded, not quoted again, nothing resolved."""
    queries = {
        "escapes": b"a=%2F%2f%7E%7e%3D%3d%41",
        "unwise": b"a=|b'c{d}[e]^`",
        "quotes": b'a="b"<c>',
        "backslash": b"a=\\b",
        "semicolons": b"a=1;b=2",
        "question-marks": b"a=?b??c",
        "slashes": b"a=//b/../c/./d",
        "empty": b"",
        "only-ampersands": b"&&&",
        "no-values": b"a&b=&=c",
        "broken-escape": b"a=%zz%",
        "encoded-nul": b"a=%00%0d%0a",
        "encoded-utf-8": b"a=%E2%82%AC",
        "plus": b"a=b+c%20d%2B",
        "long": b"a=" + b"x" * 4000,
        "repeated": b"a=1&a=2&A=3",
        "url-inside": b"u=https://app.example.com/a?b=c&d#e".replace(b"#", b"%23"),
    }
    cases = [
        Carried(f"query-{name}", "RFC 9110 7.7", (plain_post(target=b"/sessions/v2/track?" + query),), b"{}")
        for name, query in queries.items()
    ]
    keys = {
        "escaped-space": b"a%20b",
        "escaped-at": b"a%40b",
        "escaped-percent": b"a%25b",
        "escaped-percent-2e": b"%252e%252e",
        "escaped-utf-8": b"%C3%A9",
        "dotted": b"a.b",
        "three-dots": b"...",
        "dot-first": b".a",
        "sub-delims": b"a!$&'()*+,=b",
        "colon-at": b"a:b@c",
        "tilde": b"~a_b-c",
        "long": b"k" * 2000,
    }
    cases += [
        Carried(f"key-{name}", "RFC 3986 3.3", (config(b"/config/" + key + b"?config_group=browser"),))
        for name, key in keys.items()
    ]
    cases.append(Carried("key-without-query", "RFC 3986 3.3", (config(b"/config/" + KEY),)))
    return cases


def _bodies() -> list[Carried]:
    """Bodies in every legal framing."""
    big = random.Random(3).randbytes(1_000_000)
    pieces = [big[at : at + 9_999] for at in range(0, len(big), 9_999)]
    hello = b"hello, world"
    coded = chunked(b"hello", b", world")
    slow: tuple[bytes | float, ...] = (
        chunked_post(b""),
        b"5\r",
        0.02,
        b"\nhel",
        0.02,
        b"lo\r\n0",
        0.02,
        b"\r\n\r",
        0.02,
        b"\n",
    )
    no_length = head(b"POST " + TRACK + b" HTTP/1.1", HOST)
    return [
        Carried("body-empty", "RFC 9112 6.3", (plain_post(body=b""),)),
        Carried("body-without-length", "RFC 9112 6.3", (no_length,)),
        Carried("body-one-byte", "RFC 9112 6.3", (plain_post(body=b"x"),), b"x"),
        Carried("body-all-octets", "RFC 9112 6.3", (plain_post(body=bytes(range(256))),), bytes(range(256))),
        Carried("body-looks-like-a-request", "RFC 9112 6.3", (plain_post(body=config()),), config()),
        Carried("body-length-with-zeros", "RFC 9110 8.6", (plain_post(body=hello).replace(b": 12", b": 0012"),), hello),
        Carried("body-after-a-pause", "RFC 9112 6.3", (plain_post(body=hello)[:-12], 0.05, hello), hello),
        Carried("body-chunked", "RFC 9112 7.1", (chunked_post(coded),), hello),
        Carried("body-chunked-empty", "RFC 9112 7.1", (chunked_post(chunked()),)),
        Carried("body-chunked-upper-case", "RFC 9112 7", (chunked_post(coded).replace(b"chunked", b"CHUNKED"),), hello),
        Carried(
            "body-chunked-hex-case",
            "RFC 9112 7.1",
            (chunked_post(b"A\r\n0123456789\r\na\r\nabcdefghij\r\n0\r\n\r\n"),),
            b"0123456789abcdefghij",
        ),
        Carried("body-chunked-zeros", "RFC 9112 7.1", (chunked_post(b"0005\r\nhello\r\n000\r\n\r\n"),), b"hello"),
        Carried(
            "body-chunked-extension", "RFC 9112 7.1.1", (chunked_post(b"5;a=b\r\nhello\r\n0;c\r\n\r\n"),), b"hello"
        ),
        Carried(
            "body-chunked-quoted-extension",
            "RFC 9112 7.1.1",
            (chunked_post(b'5;a="b c"\r\nhello\r\n0\r\n\r\n'),),
            b"hello",
        ),
        Carried(
            "body-chunked-trailers",
            "RFC 9112 7.1.2",
            (chunked_post(b"5\r\nhello\r\n0\r\nX-Late: 1\r\nHost: evil\r\n\r\n"),),
            b"hello",
            dropped=frozenset({"x-late"}),
        ),
        Carried("body-chunked-slowly", "RFC 9112 7.1", slow, b"hello"),
        Carried(
            "body-chunked-one-byte-chunks",
            "RFC 9112 7.1",
            (chunked_post(chunked(*(bytes([octet]) for octet in b"x" * 1000))),),
            b"x" * 1000,
        ),
        Carried("body-chunked-megabyte", "RFC 9112 7.1", (chunked_post(chunked(*pieces)),), big),
        Carried(
            "body-chunked-gzip",
            "SDK",
            (chunked_post(chunked(gzip.compress(hello, mtime=0)), b"Content-Encoding: gzip"),),
            gzip.compress(hello, mtime=0),
        ),
    ]


def _connections() -> list[Carried]:
    """Hosts, versions, and what may stand before a request."""
    post = plain_post()
    old = head(b"GET " + CONFIG + b" HTTP/1.0", HOST, ORIGIN)
    return [
        Carried("host-with-port", "RFC 9112 3.2", (post.replace(HOST, HOST + b":8080"),), b"{}"),
        Carried("host-upper-case", "RFC 9110 4.2.3", (post.replace(HOST, HOST.upper()),), b"{}"),
        Carried("host-ipv6", "RFC 9112 3.2", (post.replace(HOST, b"Host: [::1]:8080"),), b"{}"),
        Carried("host-ipv4", "RFC 9112 3.2", (post.replace(HOST, b"Host: 127.0.0.1"),), b"{}"),
        Carried("host-of-the-vendor", "RFC 9112 3.2", (post.replace(HOST, b"Host: api-sr.eu.amplitude.com"),), b"{}"),
        Carried("host-last", "RFC 9112 3.2", (head(b"GET " + CONFIG + b" HTTP/1.1", ORIGIN, b"X-A: b", HOST),)),
        Carried("crlf-before", "RFC 9112 2.2", (b"\r\n" + post,), b"{}"),
        Carried("crlf-twice-before", "RFC 9112 2.2", (b"\r\n\r\n" + post,), b"{}"),
        Carried("connection-close", "RFC 9112 9.6", (plain_post(b"Connection: close"),), b"{}", closes=True),
        Carried("connection-close-in-list", "RFC 9112 9.6", (plain_post(b"Connection: x, CLOSE"),), b"{}", closes=True),
        Carried("http-1.0", "RFC 9112 9.3", (old,), closes=True),
        Carried("http-1.0-with-body", "RFC 9112 9.3", (plain_post(version=b"1.0"),), b"{}", closes=True),
        Carried("http-1.0-keep-alive", "RFC 9112 9.3", (plain_post(b"Connection: keep-alive", version=b"1.0"),), b"{}"),
    ]


CARRIED = [*_sdk(), *_fields(), *_consumed(), *_targets(), *_bodies(), *_connections()]
assert len({case.name for case in CARRIED}) == len(CARRIED), "case names are keys"
