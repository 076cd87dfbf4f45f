"""Requests that must be refused, each with the section that says so.

Grouped by what is wrong with them: the body's length, the chunked coding, line ends, fields, the request line,
Host, the target, the method, sizes. Nothing of them may be completed upstream, and whatever follows on the
same connection may not be read as a request.
"""

from __future__ import annotations

from tests.conformance.cases import (
    BODY_LIMIT,
    CONFIG,
    GET_LINE,
    HOST,
    ORIGIN,
    POST_LINE,
    SMUGGLED,
    TRACK,
    TRACK_PATH,
    Refusal,
    chunked,
    get,
    head,
    post,
)

BAD = frozenset({400})
CODING = frozenset({400, 501})
TOO_MUCH = frozenset({400, 413})
TOO_LARGE = frozenset({413})
LARGE_HEAD = frozenset({431})
VERSION = frozenset({400, 505})
NOT_FOUND = frozenset({400, 404})
METHOD = frozenset({400, 405, 501})


def _lengths() -> list[Refusal]:
    """Content-Length that is not exactly one number (RFC 9112, 6.3; 9110, 8.6)."""
    values = {
        "plus": b"+5",
        "minus": b"-5",
        "minus-one": b"-1",
        "hexadecimal": b"0x5",
        "hexadecimal-digits": b"a",
        "fraction": b"5.0",
        "exponent": b"5e0",
        "underscore": b"0_5",
        "empty": b"",
        "inner-space": b"5 5",
        "comma-after": b"5,",
        "comma-before": b",5",
        "list-of-equals": b"5, 5",
        "list-of-others": b"5, 6",
        "semicolon": b"5;",
        "quoted": b'"5"',
        "fullwidth-digit": "５".encode(),
        "superscript": "²".encode("latin-1"),
        "arabic-digit": "٥".encode(),
        "vertical-tab": b"\x0b5",
        "word": b"five",
    }
    cases = [
        Refusal(f"length-{name}", "RFC 9112 6.3", (post(b"Content-Length: " + value) + b"hello" + SMUGGLED,), BAD)
        for name, value in values.items()
    ]
    beyond = {"20-digits": b"9" * 20, "2-to-64-plus-5": b"18446744073709551621", "2-to-63": b"9223372036854775808"}
    cases += [
        Refusal(f"length-{name}", "RFC 9110 8.6", (post(b"Content-Length: " + value) + b"hello" + SMUGGLED,), TOO_MUCH)
        for name, value in beyond.items()
    ]
    pairs = {
        "repeated": (b"Content-Length: 5", b"Content-Length: 5"),
        "repeated-otherwise": (b"Content-Length: 5", b"Content-Length: 6"),
        "repeated-in-other-case": (b"Content-Length: 5", b"content-length: 5"),
        "repeated-with-zero": (b"Content-Length: 0", b"Content-Length: 5"),
    }
    cases += [
        Refusal(f"length-{name}", "RFC 9112 6.3", (post(*lines) + b"hello" + SMUGGLED,), BAD)
        for name, lines in pairs.items()
    ]
    return cases


def _codings() -> list[Refusal]:
    """Transfer-Encoding that is not exactly one `chunked`, or stands beside a length (RFC 9112, 6.1)."""
    body = chunked(b"hello") + SMUGGLED
    values = {
        "gzip-chunked": b"gzip, chunked",
        "chunked-gzip": b"chunked, gzip",
        "chunked-twice": b"chunked, chunked",
        "identity": b"identity",
        "chunked-identity": b"chunked, identity",
        "xchunked": b"xchunked",
        "chunkedx": b"chunkedx",
        "cow": b"cow",
        "empty": b"",
        "with-parameter": b"chunked;q=1",
        "quoted": b'"chunked"',
        "comma-before": b", chunked",
        "comma-after": b"chunked,",
        "vertical-tab": b"\x0bchunked",
        "vertical-tab-after": b"chunked\x0b",
        "kelvin-sign": "chun\u212aed".encode(),
        "nbsp": b"\xa0chunked",
    }
    cases = [
        Refusal(f"coding-{name}", "RFC 9112 6.1", (post(b"Transfer-Encoding: " + value) + body,), CODING)
        for name, value in values.items()
    ]
    lines: dict[str, tuple[bytes, ...]] = {
        "and-length": (b"Transfer-Encoding: chunked", b"Content-Length: 5"),
        "after-length": (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        "and-length-zero": (b"Content-Length: 0", b"Transfer-Encoding: chunked"),
        "unknown-and-length": (b"Content-Length: 5", b"Transfer-Encoding: xchunked"),
        "repeated": (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        "then-identity": (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        "identity-then": (b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"),
        "space-before-colon": (b"Transfer-Encoding : chunked", b"Content-Length: 5"),
        "tab-before-colon": (b"Transfer-Encoding\t: chunked", b"Content-Length: 5"),
        "folded": (b"Transfer-Encoding:\r\n chunked", b"Content-Length: 5"),
        "folded-name": (b"X: y\r\n Transfer-Encoding: chunked", b"Content-Length: 5"),
        "after-bare-cr": (b"X: y\rTransfer-Encoding: chunked", b"Content-Length: 5"),
        "after-bare-lf": (b"X: y\nTransfer-Encoding: chunked", b"Content-Length: 5"),
    }
    cases += [
        Refusal(f"coding-{name}", "RFC 9112 6.1", (post(*given) + body,), CODING) for name, given in lines.items()
    ]
    old = head(b"POST " + TRACK + b" HTTP/1.0", HOST, ORIGIN, b"Transfer-Encoding: chunked")
    kept = head(b"POST " + TRACK + b" HTTP/1.0", HOST, ORIGIN, b"Connection: keep-alive", b"Transfer-Encoding: chunked")
    cases += [
        Refusal("coding-in-http-1.0", "RFC 9112 6.1", (old + body,), CODING),
        Refusal("coding-in-http-1.0-kept-alive", "RFC 9112 6.1", (kept + body,), CODING),
    ]
    return cases


def _chunks() -> list[Refusal]:
    """A chunked body that is not framed as RFC 9112, 7.1 says. Its head is sound."""
    start = post(b"Transfer-Encoding: chunked")
    bodies = {
        "size-not-hexadecimal": b"zz\r\nhello\r\n0\r\n\r\n",
        "size-negative": b"-5\r\nhello\r\n0\r\n\r\n",
        "size-plus": b"+5\r\nhello\r\n0\r\n\r\n",
        "size-0x": b"0x5\r\nhello\r\n0\r\n\r\n",
        "size-underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
        "size-space-after": b"5 \r\nhello\r\n0\r\n\r\n",
        "size-tab-after": b"5\t\r\nhello\r\n0\r\n\r\n",
        "size-space-before": b" 5\r\nhello\r\n0\r\n\r\n",
        "size-empty": b"\r\nhello\r\n0\r\n\r\n",
        "size-only-extension": b";a=b\r\nhello\r\n0\r\n\r\n",
        "size-nul": b"5\0\r\nhello\r\n0\r\n\r\n",
        "size-beyond-64-bit": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        "size-64-bit": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "size-63-bit": b"7fffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "size-fullwidth": "５\r\nhello\r\n0\r\n\r\n".encode(),
        "size-bare-lf": b"5\nhello\r\n0\r\n\r\n",
        "size-bare-cr": b"5\rhello\r\n0\r\n\r\n",
        "extension-bare-lf": b"5;a\nhello\r\n0\r\n\r\n",
        "extension-bare-lf-then-crlf": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        "extension-bare-cr": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        "extension-nul": b"5;a\0b\r\nhello\r\n0\r\n\r\n",
        "extension-endless": b"5;" + b"a" * 70_000 + b"\r\nhello\r\n0\r\n\r\n",
        "data-longer": b"5\r\nhelloX\r\n0\r\n\r\n",
        "data-longer-by-two": b"5\r\nhelloXY0\r\n\r\n",
        "data-end-bare-lf": b"5\r\nhello\n0\r\n\r\n",
        "data-end-bare-cr": b"5\r\nhello\r0\r\n\r\n",
        "data-end-cr-cr": b"5\r\nhello\r\r0\r\n\r\n",
        "data-end-missing": b"5\r\nhello0\r\n\r\n",
        "last-bare-lf": b"5\r\nhello\r\n0\n\n",
        "last-then-bare-lf": b"5\r\nhello\r\n0\r\n\n",
        "last-then-other-bytes": b"5\r\nhello\r\n0\r\nXY",
        "trailer-without-colon": b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n",
        "trailer-space-before-colon": b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        "trailer-bare-lf": b"5\r\nhello\r\n0\r\nX: y\n\r\n",
        "trailer-nul": b"5\r\nhello\r\n0\r\nX: \0\r\n\r\n",
    }
    sizes = frozenset({400, 413, 431})
    cases = [
        Refusal(f"chunk-{name}", "RFC 9112 7.1", (start + body + SMUGGLED,), sizes, begun=True)
        for name, body in bodies.items()
    ]
    endless = b"5\r\nhello\r\n0\r\n" + b"X-Trailer: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 3000 + b"\r\n"
    cases += [
        Refusal("chunk-trailers-endless", "RFC 9112 7.1.2", (start + endless,), sizes, begun=True),
        Refusal("chunk-size-cut-in-two", "RFC 9112 7.1", (start + b"0", 0.05, b"x5\r\nhello\r\n"), sizes, begun=True),
        Refusal("chunk-end-in-two", "RFC 9112 7.1", (start + b"5\r\nhello\r", 0.05, b"X0\r\n\r\n"), sizes, begun=True),
    ]
    return cases


def _line_ends() -> list[Refusal]:
    """Only CRLF ends a line. RFC 9112, 2.2 lets a recipient take a bare LF; a proxy must not pass it on, and two
    that differ in it can be played off against each other, so none is taken."""
    length = b"Content-Length: 5"
    heads = {
        "lf-everywhere": b"\n".join((POST_LINE, HOST, ORIGIN, length)) + b"\n\n",
        "lf-after-request-line": post(length).replace(b"\r\n", b"\n", 1),
        "lf-after-host": post(length).replace(HOST + b"\r\n", HOST + b"\n"),
        "lf-after-last-field": post(length).replace(length + b"\r\n", length + b"\n"),
        "lf-as-empty-line": post(length)[:-2] + b"\n",
        "cr-everywhere": b"\r".join((POST_LINE, HOST, ORIGIN, length)) + b"\r\r",
        "cr-after-request-line": post(length).replace(b"\r\n", b"\r", 1),
        "cr-after-host": post(length).replace(HOST + b"\r\n", HOST + b"\r"),
        "cr-in-value": post(b"X-A: b\rc", length),
        "cr-before-crlf": post(b"X-A: b\r", length),
        "cr-in-name": post(b"X-\rA: b", length),
        "cr-in-request-line": post(length).replace(b" HTTP/1.1", b"\r HTTP/1.1", 1),
        "cr-as-empty-line": post(length)[:-2] + b"\rX",
        "lf-cr": post(length).replace(HOST + b"\r\n", HOST + b"\n\r"),
    }
    # The Origin field itself is read only when all before it is sound.
    late = {
        "lf-after-last-field",
        "lf-as-empty-line",
        "cr-in-value",
        "cr-before-crlf",
        "cr-in-name",
        "cr-as-empty-line",
    }
    return [
        Refusal(f"line-{name}", "RFC 9112 2.2", (data + b"hello" + SMUGGLED,), BAD, cors=True if name in late else None)
        for name, data in heads.items()
    ]


def _fields() -> list[Refusal]:
    """Field lines that are not `token ":" value` (RFC 9112, 5; RFC 9110, 5.5 and 5.6.2)."""
    lines = {
        "folded-with-space": b"X-A: b\r\n c",
        "folded-with-tab": b"X-A: b\r\n\tc",
        "folded-into-a-field": b"X-A:\r\n Content-Length: 500",
        "space-before-colon": b"X-A : b",
        "tab-before-colon": b"X-A\t: b",
        "length-space-before-colon": b"Content-Length : 5",
        "space-in-name": b"X A: b",
        "empty-name": b": b",
        "without-colon": b"nonsense",
        "without-colon-length": b"Content-Length 5",
        "nul-in-name": b"X-\0A: b",
        "nul-in-value": b"X-A: b\0c",
        "control-in-name": b"X-\x01A: b",
        "delete-in-name": b"X-\x7fA: b",
        "non-ascii-name": b"X-\xe9: b",
        "kelvin-in-name": "X-\u212a: b".encode(),
        "parenthesis-in-name": b"X(A): b",
        "slash-in-name": b"X/A: b",
        "quote-in-name": b'"X-A": b',
        "at-in-name": b"X@A: b",
        "bracket-in-name": b"X[A]: b",
        "escape-in-value": b"X-A: \x1b[31m",
        "bell-in-value": b"X-A: \x07",
        "vertical-tab-in-value": b"X-A: b\x0bc",
        "form-feed-in-value": b"X-A: b\x0cc",
        "delete-in-value": b"X-A: b\x7fc",
        "control-1f-in-value": b"X-A: \x1f",
    }
    cases = [
        Refusal(f"field-{name}", "RFC 9110 5.5", (post(line, b"Content-Length: 5") + b"hello" + SMUGGLED,), BAD)
        for name, line in lines.items()
    ]
    first = POST_LINE + b"\r\n " + b"\r\n".join((HOST, ORIGIN, b"Content-Length: 5")) + b"\r\n\r\nhello"
    second = POST_LINE + b"\r\n \r\n" + b"\r\n".join((HOST, ORIGIN, b"Content-Length: 5")) + b"\r\n\r\nhello"
    cases += [
        Refusal("field-space-before-first", "RFC 9112 2.2", (first + SMUGGLED,), BAD, cors=None),
        Refusal("field-blank-first-line", "RFC 9112 2.2", (second + SMUGGLED,), BAD, cors=None),
    ]
    return cases


def _request_lines() -> list[Refusal]:
    """Request lines that are not `method SP target SP version` of HTTP/1.0 or 1.1 (RFC 9112, 3 and 2.3)."""
    rest = b"\r\n" + b"\r\n".join((HOST, ORIGIN)) + b"\r\n\r\n"
    lines: dict[str, bytes] = {
        "two-spaces-before-target": b"GET  " + CONFIG + b" HTTP/1.1",
        "two-spaces-after-target": b"GET " + CONFIG + b"  HTTP/1.1",
        "space-in-target": b"GET /config/a b HTTP/1.1",
        "space-after-version": GET_LINE + b" ",
        "space-before-method": b" " + GET_LINE,
        "tab-for-space": b"GET\t" + CONFIG + b"\tHTTP/1.1",
        "vertical-tab-for-space": b"GET " + CONFIG + b"\x0bHTTP/1.1",
        "no-target": b"GET HTTP/1.1",
        "no-method": CONFIG + b" HTTP/1.1",
        "only-method": b"GET",
        "nul-in-method": b"GE\0T " + CONFIG + b" HTTP/1.1",
        "nul-in-target": b"GET /config/a\0b HTTP/1.1",
        "control-in-target": b"GET /config/a\x01b HTTP/1.1",
        "delete-in-target": b"GET /config/a\x7fb HTTP/1.1",
        "latin-1-target": b"GET /config/caf\xe9 HTTP/1.1",
        "utf-8-target": "GET /config/café HTTP/1.1".encode(),
        "latin-1-query": b"GET " + CONFIG + b"&a=\xe9 HTTP/1.1",
        "comma-in-method": b"G,ET " + CONFIG + b" HTTP/1.1",
    }
    cases = [Refusal(f"line-{name}", "RFC 9112 3", (line + rest,), BAD, cors=None) for name, line in lines.items()]
    versions = {
        "0.9": b"HTTP/0.9",
        "1.2": b"HTTP/1.2",
        "1.10": b"HTTP/1.10",
        "1": b"HTTP/1",
        "1-dot": b"HTTP/1.",
        "11": b"HTTP/11",
        "2.0": b"HTTP/2.0",
        "3.0": b"HTTP/3.0",
        "01.1": b"HTTP/01.1",
        "trailing-letter": b"HTTP/1.1x",
        "lower-case": b"http/1.1",
        "https": b"HTTPS/1.1",
        "icy": b"ICY/1.1",
        "space-inside": b"HTTP/ 1.1",
        "comma": b"HTTP/1,1",
    }
    cases += [
        Refusal(f"version-{name}", "RFC 9112 2.3", (b"GET " + CONFIG + b" " + version + rest,), VERSION, cors=None)
        for name, version in versions.items()
    ]
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32)) + b"\r\n\r\n"
    cases += [
        Refusal("version-none", "RFC 9112 2.3", (b"GET " + CONFIG + b"\r\n\r\n",), VERSION, cors=None),
        Refusal(
            "version-2-preface", "RFC 9113 3.4", (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",), VERSION | {405}, cors=None
        ),
        Refusal("tls-on-plain-port", "RFC 9112 3", (hello,), BAD | {0}, cors=None),
        Refusal("garbage", "RFC 9112 3", (b"\0\1\2\3 nonsense\r\n\r\n",), BAD | {0}, cors=None),
    ]
    return cases


def _hosts() -> list[Refusal]:
    """Exactly one valid Host (RFC 9112, 3.2)."""
    values = {
        "empty": b"",
        "space": b"replay example.com",
        "list": b"replay.example.com, other.example.com",
        "path": b"replay.example.com/path",
        "userinfo": b"user@replay.example.com",
        "query": b"replay.example.com?x",
        "fragment": b"replay.example.com#x",
        "backslash": b"replay.example.com\\x",
        "two-ports": b"replay.example.com:80:80",
        "port-a-word": b"replay.example.com:http",
        "open-bracket": b"[::1",
        "brackets-around-a-name": b"[replay.example.com]",
        "quote": b'"replay.example.com"',
        "angle": b"<replay.example.com>",
        "non-ascii": b"r\xe9play.example.com",
        "semicolon": b"replay.example.com;x",
    }
    cases = [
        Refusal(f"host-{name}", "RFC 9112 3.2", (head(GET_LINE, b"Host: " + value, ORIGIN),), BAD)
        for name, value in values.items()
    ]
    lines: dict[str, tuple[bytes, ...]] = {
        "missing": (ORIGIN,),
        "repeated": (HOST, HOST, ORIGIN),
        "repeated-otherwise": (HOST, b"Host: other.example.com", ORIGIN),
        "repeated-in-other-case": (HOST, b"hOSt: other.example.com", ORIGIN),
        "folded": (b"Host:\r\n replay.example.com", ORIGIN),
        "space-before-colon": (b"Host : replay.example.com", ORIGIN),
    }
    cases += [
        Refusal(f"host-{name}", "RFC 9112 3.2", (head(GET_LINE, *given),), BAD, cors=None if name == "folded" else True)
        for name, given in lines.items()
    ]
    old = head(b"GET " + CONFIG + b" HTTP/1.0", HOST, b"Host: other.example.com", ORIGIN)
    cases.append(Refusal("host-repeated-in-http-1.0", "RFC 9112 3.2", (old,), BAD))
    return cases


def _targets() -> list[Refusal]:
    """Targets that are not the plain path of a route. Prefixes end at a segment; nothing is decoded or resolved.

    RFC 9112, 3.2.2 wants the absolute form accepted, for the sake of clients that take a server for a proxy. No SDK
    does, and a second place for the host is a second opinion about it: refused by choice.
    """
    own = b"http://replay.example.com"
    forms = {
        "absolute": own + CONFIG,
        "absolute-https": b"https://replay.example.com" + CONFIG,
        "absolute-other-host": b"http://api-sr.amplitude.com" + CONFIG,
        "absolute-other-scheme": b"ftp://replay.example.com" + CONFIG,
        "authority": b"replay.example.com:443",
        "asterisk": b"*",
        "relative": CONFIG[1:],
        "question-mark-only": b"?api_key=x",
    }
    cases = [
        Refusal(f"target-{name}", "RFC 9112 3.2", (head(b"GET " + form + b" HTTP/1.1", HOST, ORIGIN),), NOT_FOUND)
        for name, form in forms.items()
    ]
    bad = {
        "dot-dot": b"/config/../config/key",
        "dot-dot-end": b"/config/..",
        "dot": b"/config/./key",
        "encoded-dots": b"/config/%2e%2e/admin",
        "encoded-dots-upper": b"/config/%2E%2E/admin",
        "half-encoded-dots": b"/config/.%2e/admin",
        "encoded-slash": b"/config/a%2fb",
        "encoded-slash-upper": b"/config/a%2Fb",
        "encoded-backslash": b"/config/a%5cb",
        "backslash": b"/config/a\\b",
        "semicolon": b"/config/..;x=y/admin",
        "parameter": b"/config/key;x=y",
        "encoded-nul": b"/config/a%00b",
        "encoded-cr-lf": b"/config/a%0d%0ab",
        "encoded-route": b"/%63onfig/key",
        "broken-escape": b"/config/%zz",
        "cut-escape": b"/config/key%",
        "fragment": b"/config/key#part",
        "fragment-in-query": b"/config/key?a=b#part",
        "two-segments": b"/config/key/more",
        "leading-slashes": b"//config/key",
        "leading-authority": b"//other.example.com/config/key",
    }
    cases += [
        Refusal(
            f"target-{name}", "RFC 3986 3.3", (head(b"GET " + t + b" HTTP/1.1", HOST, ORIGIN),), NOT_FOUND, closes=None
        )
        for name, t in bad.items()
    ]
    unknown = {
        "root": b"/",
        "config-without-boundary": b"/configXYZ",
        "other-case": b"/CONFIG/key",
        "health": b"/health/live",
        "metrics": b"/metrics",
        "favicon": b"/favicon.ico",
    }
    cases += [
        Refusal(f"path-{name}", "RFC 9110 15.5.5", (head(b"GET " + t + b" HTTP/1.1", HOST, ORIGIN),), NOT_FOUND, None)
        for name, t in unknown.items()
    ]
    uploads = {
        "track-without-boundary": b"/sessions/v2/trackX",
        "track-with-slash": b"/sessions/v2/track/",
        "track-and-more": b"/sessions/v2/track/more",
        "track-folder": b"/sessions/v2",
        "track-other-case": b"/Sessions/v2/track",
        "track-dot-dot": b"/sessions/v2/x/../track",
        "track-double-slash": b"/sessions//v2/track",
        "track-encoded": b"/sessions/v2/%74rack",
        "track-semicolon": b"/sessions/v2/track;x",
    }
    cases += [
        Refusal(
            f"path-{name}",
            "RFC 9110 15.5.5",
            (head(b"POST " + t + b"?type=replay HTTP/1.1", HOST, ORIGIN, b"Content-Length: 5") + b"hello",),
            NOT_FOUND,
            closes=None,
        )
        for name, t in uploads.items()
    ]
    return cases


def _methods() -> list[Refusal]:
    """Methods that a route does not have (RFC 9110, 9 and 15.5.6)."""
    cases = [
        Refusal(f"method-{name}", "RFC 9110 9.1", (head(line, HOST, ORIGIN),), METHOD, closes=None, cors=cors)
        for name, line, cors in (
            ("lower-case", b"get " + CONFIG + b" HTTP/1.1", None),
            ("unknown", b"FOO " + CONFIG + b" HTTP/1.1", None),
            ("very-long", b"G" * 300 + b" " + CONFIG + b" HTTP/1.1", None),
            ("connect-authority", b"CONNECT replay.example.com:443 HTTP/1.1", True),
            ("connect-path", b"CONNECT " + CONFIG + b" HTTP/1.1", None),
            ("trace", b"TRACE " + CONFIG + b" HTTP/1.1", True),
            ("options-asterisk", b"OPTIONS * HTTP/1.1", True),
        )
    ]
    for method, target, allow in (
        (b"GET", TRACK, "post"),
        (b"HEAD", TRACK, "post"),
        (b"DELETE", TRACK, "post"),
        (b"DELETE", CONFIG, "get"),
        (b"PROPFIND", CONFIG, "get"),
    ):
        name = f"method-{method.decode().lower()}-{'track' if target is TRACK else 'config'}"
        line = head(method + b" " + target + b" HTTP/1.1", HOST, ORIGIN)
        not_allowed = frozenset({405})
        cases.append(
            Refusal(name, "RFC 9110 15.5.6", (line,), not_allowed, None, method=method, allow=frozenset({allow}))
        )
    for method, target in ((b"POST", CONFIG), (b"PUT", TRACK), (b"PATCH", TRACK), (b"PUT", CONFIG)):
        name = f"method-{method.decode().lower()}-{'track' if target is TRACK else 'config'}-with-body"
        data = head(method + b" " + target + b" HTTP/1.1", HOST, ORIGIN, b"Content-Length: %d" % len(SMUGGLED))
        cases.append(Refusal(name, "RFC 9110 15.5.6", (data + SMUGGLED,), frozenset({405}), None))
    return cases


def _protocols() -> list[Refusal]:
    """Invitations to speak something else, and expectations that nobody here can meet."""
    upgrades = {
        "h2c": (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"),
        "websocket": (
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
        "tls": (b"Connection: upgrade", b"Upgrade: TLS/1.2"),
    }
    no_upgrade = frozenset({400, 426, 501})
    cases = [Refusal(f"upgrade-{name}", "RFC 9110 7.8", (get(*given),), no_upgrade) for name, given in upgrades.items()]
    expectations = {
        "other": b"Expect: 200-ok",
        "with-more": b"Expect: 100-continue, other",
        "with-parameter": b"Expect: 100-continue; a=b",
        "prefix": b"Expect: x 100-continue",
        "empty": b"Expect:",
    }
    cases += [
        Refusal(
            f"expect-{name}",
            "RFC 9110 10.1.1",
            (post(line, b"Content-Length: 5") + b"hello" + SMUGGLED,),
            frozenset({400, 417}),
        )
        for name, line in expectations.items()
    ]
    return cases


def _sizes() -> list[Refusal]:
    """Limits: every one has a status, and a batch that is too large gets the words that make the SDK split it."""
    wording = b"Payload exceeds the maximum allowed size of %d bytes" % BODY_LIMIT
    long_target = b"GET " + CONFIG + b"&x=" + b"a" * 9000 + b" HTTP/1.1"
    endless_target = b"GET " + CONFIG + b"&x=" + b"a" * 70_000 + b" HTTP/1.1"
    many = tuple(b"X-Field-%d: value" % number for number in range(150))
    short = tuple(b"A%d:" % number for number in range(1000))
    filled = tuple(b"X-Field-%d: %s" % (number, b"v" * 4000) for number in range(10))
    over = b"Content-Length: %d" % (BODY_LIMIT + 1)
    million = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    continued = post(b"Expect: 100-continue", over)
    return [
        Refusal("size-target", "RFC 9110 15.5.15", (head(long_target, HOST, ORIGIN),), frozenset({414}), cors=None),
        Refusal(
            "size-target-endless", "RFC 9112 3", (head(endless_target, HOST, ORIGIN),), frozenset({414, 431}), cors=None
        ),
        Refusal("size-fields", "RFC 6585 5", (get(*many),), LARGE_HEAD),
        Refusal("size-short-fields", "RFC 6585 5", (get(*short),), LARGE_HEAD),
        Refusal("size-head", "RFC 6585 5", (get(*filled),), LARGE_HEAD),
        Refusal("size-one-field", "RFC 6585 5", (get(b"X-A: " + b"v" * 70_000),), LARGE_HEAD),
        Refusal("size-head-never-ends", "RFC 6585 5", (get()[:-2] + b"X-A: y\r\n" * 20_000,), LARGE_HEAD, cors=None),
        Refusal("size-body-declared", "RFC 9110 15.5.14", (post(over),), TOO_LARGE, text=wording),
        Refusal(
            "size-body-declared-and-sent", "RFC 9110 15.5.14", (post(over) + bytes(200_000),), TOO_LARGE, text=wording
        ),
        Refusal("size-body-declared-expecting", "RFC 9110 10.1.1", (continued,), TOO_LARGE, text=wording),
        Refusal(
            "size-body-declared-petabyte", "RFC 9110 15.5.14", (post(b"Content-Length: 1000000000000000"),), TOO_LARGE
        ),
        Refusal(
            "size-body-chunked",
            "RFC 9110 15.5.14",
            (post(b"Transfer-Encoding: chunked") + million * 17,),
            TOO_LARGE,
            begun=True,
            text=wording,
        ),
    ]


REFUSALS = [
    *_lengths(),
    *_codings(),
    *_chunks(),
    *_line_ends(),
    *_fields(),
    *_request_lines(),
    *_hosts(),
    *_targets(),
    *_methods(),
    *_protocols(),
    *_sizes(),
]
assert len({case.name for case in REFUSALS}) == len(REFUSALS), "case names are keys"
# The track path is a prefix of nothing here; the constant keeps the two in step.
assert TRACK.startswith(TRACK_PATH)
