"""Heads to read: valid ones, nearly valid ones, and what becomes of them when bytes are changed."""

from __future__ import annotations

from hypothesis import strategies as st

from proxy.wire.request import RequestHead

# What the browser SDK sends with an upload, in Chromium's order: 18 fields beside Content-Length.
SDK_UPLOAD = (
    b"POST /sessions/v2/track?device_id=device-1&session_id=1795239913738&type=replay HTTP/1.1\r\n"
    b"Host: replay.example.com\r\n"
    b"Connection: keep-alive\r\n"
    b"Content-Length: 1978\r\n"
    b"Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n"
    b"Content-Encoding: gzip\r\n"
    b"X-Sampling-Hash-Alg: xxhash32\r\n"
    b"X-Client-Url: https://app.example.com/orders/17?tab=items\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 "
    b"Safari/537.36\r\n"
    b"Accept: */*\r\n"
    b"X-Client-Version: 1.50.2\r\n"
    b"Content-Type: application/json\r\n"
    b"X-Client-Sample-Rate: 1\r\n"
    b"X-Client-Library: standalone/1.50.2\r\n"
    b"Origin: https://app.example.com\r\n"
    b"Sec-Fetch-Site: cross-site\r\n"
    b"Sec-Fetch-Mode: cors\r\n"
    b"Sec-Fetch-Dest: empty\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-US,en;q=0.9"
)
VENDOR_ANSWER = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Sat, 21 Nov 2026 08:00:00 GMT\r\n"
    b"Content-Type: application/json\r\n"
    b"Content-Length: 12\r\n"
    b"Connection: keep-alive\r\n"
    b"Access-Control-Allow-Origin: *\r\n"
    b"Access-Control-Allow-Credentials: true\r\n"
    b"Strict-Transport-Security: max-age=15768000\r\n"
    b"X-Amzn-Trace-Id: Root=1-67000000-000000000000000000000000"
)

# Octets that parsers have fallen out over.
NASTY: tuple[bytes, ...] = (
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b"\t",
    b" ",
    b":",
    b"\x0b",
    b"\x0c",
    b"\x1f",
    b"\x7f",
    b"\x80",
    b"\xa0",
    b"\xff",
)
NASTY += (
    b",",
    b";",
    b"_",
    b"-",
    b"0",
    b"+",
    b"x",
    b"\r\n ",
    b"\r\n\t",
    b"\r\n\r\n",
    b"\r\n\r",
    b"\n\n",
    b"K\xe2\x84\xaa",
)

METHODS: tuple[bytes, ...] = (
    b"GET",
    b"POST",
    b"HEAD",
    b"OPTIONS",
    b"PUT",
    b"DELETE",
    b"CONNECT",
    b"TRACE",
    b"PRI",
    b"M-SEARCH",
)
METHODS += (b"SOURCE", b"post", b"PO ST", b"XPOST", b"")
TARGETS = (
    b"/x",
    b"/sessions/v2/track?a=b%20c|d",
    b"*",
    b"http://h/x",
    b"h:1",
    b"/a#b",
    b"/\xff",
    b"",
    b"/a b",
    b"x",
    b"//",
)
VERSIONS: tuple[bytes, ...] = (
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/0.9",
    b"HTTP/2.0",
    b"HTTP/1.2",
    b"HTTP/1.10",
    b"http/1.1",
    b"RTSP/1.0",
)
VERSIONS += (b"ICE/1.0", b"HTTP/1.1 ", b"HTTP/11", b"HTTP/3.0", b"")
HOSTS = (b"a", b"a:80", b"a:", b"[::1]:8", b"", b"a b", b"a/b", b"a,b", b"a@b")
LENGTHS: tuple[bytes, ...] = (
    b"0",
    b"3",
    b"03",
    b"+3",
    b"-3",
    b"3,3",
    b"3, 3",
    b"0x3",
    b"3 3",
    b"",
    b"3_0",
    b"18446744073709551619",
)
LENGTHS += (b"999999999999999999", b"1000000000000000000", b"\xb2", b"3;q=1", b"3.0", b"3\t", b"\t3")
CODINGS: tuple[bytes, ...] = (
    b"chunked",
    b"Chunked",
    b"CHUNKED",
    b"gzip, chunked",
    b"chunked, gzip",
    b"chunked, chunked",
    b"gzip",
)
CODINGS += (
    b"identity",
    b"",
    b"chunked;a=b",
    b"xchunked",
    b"chunkedx",
    b'"chunked"',
    b"chun\xe2\x84\xaaed",
    b"chunked,",
)
CONNECTIONS: tuple[bytes, ...] = (
    b"close",
    b"keep-alive",
    b"Keep-Alive",
    b"CLOSE",
    b"close, keep-alive",
    b"keep-alive, close",
    b"x-a",
    b"",
)
CONNECTIONS += (
    b"keep-alive, x-a",
    b"x-a,close",
    b"close x",
    b"closex",
    b"te, close",
    b"upgrade",
    b",,close",
    b"clo se",
)
CONNECTIONS += (b"keep-alive, upgrade", b"close;q=1", b"content-length", b"x-a,,x-b", b"keep-alive,close,x-a")
OTHERS: tuple[bytes, ...] = (
    b"X-A: 1",
    b"x-a:2",
    b"X-B:\t a b \t",
    b"X-C:",
    b"X_D: 1",
    b"Content-Type: a/b; c=d",
    b"Accept: */*",
    b"Origin: o",
)
OTHERS += (b"Authorization: Bearer k", b"Expect: 100-continue", b"TE: trailers", b"Cookie: a=b")
OTHERS += (b"X-Forwarded-For: 1.2.3.4", b"Transfer_Encoding: chunked", b"Trailer: x-a", b"Keep-Alive: timeout=5")
OTHERS += (b"X-Y: \xff\xfe", b"X-Z: a\tb", b"X-Request-Id: r", b"Proxy-Connection: close", b"Set-Cookie: a=b; Path=/")
FATAL = (b"Expect: x", b"Upgrade: h2c", b"Expect: 100-continue, x")
BAD_LINES: tuple[bytes, ...] = (
    b" folded",
    b"\tfolded",
    b"no colon",
    b": no name",
    b"X-A : 1",
    b"X A: 1",
    b"X-A\t: 1",
    b"X(A): 1",
    b"X-A: \x01",
)
BAD_LINES += (
    b"X-A: a\rb",
    b"X-A: a\nb",
    b"X-A: a\0b",
    b"Content-Length : 3",
    b"Transfer-Encoding : chunked",
    b"\x80: 1",
)


def spelt(name: bytes, values: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """A field line, its name in some case, its value between some white space."""
    names = st.sampled_from((name, name.lower(), name.upper(), name.swapcase()))
    space = st.sampled_from((b"", b" ", b"  ", b" "))
    return st.builds(lambda n, a, v, b: n + b":" + a + v + b, names, space, st.sampled_from(values), space)


def often(good: bytes, others: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Mostly the good value, so that the rest of the head is worth reading."""
    return st.integers(0, 11).flatmap(lambda n: st.sampled_from(others) if n == 7 else st.just(good))


def one_in(n: int, rare: st.SearchStrategy[bytes], usual: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.integers(1, n).flatmap(lambda drawn: rare if drawn == n else usual)


framing = st.one_of(
    one_in(3, spelt(b"Content-Length", LENGTHS), spelt(b"Content-Length", (b"3", b"0"))),
    one_in(3, spelt(b"Transfer-Encoding", CODINGS), spelt(b"Transfer-Encoding", (b"chunked", b"Chunked"))),
)
ordinary = st.one_of(st.sampled_from(OTHERS), st.sampled_from(OTHERS), spelt(b"Connection", CONNECTIONS))
fields = one_in(30, st.sampled_from(BAD_LINES + FATAL), ordinary)


@st.composite
def field_lines(draw: st.DrawFn) -> list[bytes]:
    """Some fields in any order, mostly one of them saying how long the body is."""
    lines = draw(st.lists(fields, max_size=4))
    lines += draw(st.sampled_from((0, 1, 1, 1, 1, 2)).flatmap(lambda n: st.lists(framing, min_size=n, max_size=n)))
    return draw(st.permutations(lines))


request_lines = st.builds(
    lambda method, target, version, gap: method + gap + target + gap + version,
    often(b"POST", METHODS),
    often(b"/x", TARGETS),
    often(b"HTTP/1.1", VERSIONS),
    often(b" ", (b"  ", b"\t", b"")),
)
STATUS_LINES: tuple[bytes, ...] = (
    b"HTTP/1.1 200 OK",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 304 Not Modified",
)
STATUS_LINES += (b"HTTP/1.1 100 Continue", b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 104 ?", b"HTTP/1.1 101 Switching")
STATUS_LINES += (b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1  200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK")
STATUS_LINES += (
    b"HTTP/1.1 000 ?",
    b"HTTP/1.1 600 ?",
    b"HTTP/1.1 200OK",
    b"HTTP/2 200",
    b"HTTP/1.1 200 \x01",
    b"garbage",
)
STATUS_LINES += (
    b"HTTP/1.1 200 \xff",
    b"HTTP/1.1 503 a\tb",
    b"HTTP/1.1 +20 OK",
    b"HTTP/1.1 200\tOK",
    b"HTTP/0.9 200 OK",
    b"",
)
status_lines = one_in(3, st.sampled_from(STATUS_LINES), st.sampled_from(STATUS_LINES[:4]))


@st.composite
def request_heads(draw: st.DrawFn) -> bytes:
    """A request head without its empty line; one Host field mostly."""
    lines = draw(field_lines())
    odd_hosts = st.lists(spelt(b"Host", HOSTS), max_size=2)
    hosts = draw(st.integers(0, 9).flatmap(lambda n: st.just([b"Host: a"]) if n else odd_hosts))
    at = draw(st.integers(0, len(lines)))
    return b"\r\n".join([draw(request_lines), *lines[:at], *hosts, *lines[at:]])


@st.composite
def answer_heads(draw: st.DrawFn) -> bytes:
    """An answer head without its empty line."""
    return b"\r\n".join([draw(status_lines), *draw(field_lines())])


@st.composite
def mutated(draw: st.DrawFn, sources: st.SearchStrategy[bytes]) -> bytes:
    """Bytes with up to three accidents: something inserted, replaced, removed or doubled."""
    data = draw(sources)
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.integers(0, 4)))
        put = draw(st.sampled_from((*NASTY, b"", data[begin:end] * 2)) | st.binary(min_size=1, max_size=2))
        data = data[:begin] + put + data[end:]
    return data


# What may follow a head: bodies that fit, bodies that don't, and the next message.
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
TAILS: tuple[bytes, ...] = (
    b"",
    b"abc",
    b"ab",
    b"0\r\n\r\n",
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
)
TAILS += (
    b"3\nabc\n0\n\n",
    b"0\r\n\r\nabc",
    b"3 \r\nabc\r\n0\r\n\r\n",
    b"abc" + NEXT,
    NEXT,
    b"3\r\nabc\r\n0\r\n\r\n" + NEXT,
)
TAILS += (b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\nConnection: close\r\n\r\n" + NEXT, b"0x3\r\nabc\r\n0\r\n\r\n")
tails = st.sampled_from(TAILS)


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """`data` in pieces of any sizes."""
    at = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    pieces = [data[begin:end] for begin, end in zip([0, *at], [*at, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


def told(head: RequestHead) -> dict[str, object]:
    """Everything that a head says, by name. (What is compiled has no list of its attributes at run time.)"""
    public = {name: getattr(head, name) for name in dir(head) if not name.startswith("_")}
    return {name: value for name, value in public.items() if not callable(value)}
