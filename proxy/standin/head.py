"""The strict reader of request heads, with llhttp as a second judge of the same bytes.

Two kinds of complaint: a *violation* is something that a correct proxy would never send, it is
noted and the request answered; a *refusal* also makes the end of the message uncertain, so that
nothing after it can be read. Pure: bytes in, values out. Must not know of connections or records.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

import httptools

HEAD_LIMIT = 1 << 20  # far above any limit of a proxy under test; a longer head is refused unread
SHOWN_BYTES = 2000  # of the offending bytes, in a violation
CRLF = b"\r\n"
END = CRLF + CRLF

# The only fields that have a meaning here: framing, coding, identity, and what a proxy must consume.
FIELDS = re.compile(
    rb"\r\n(host|connection|content-length|transfer-encoding|content-encoding|expect"
    rb"|keep-alive|proxy-[^:\r\n]*+|te|trailer|upgrade|http2-settings)[ \t]*+:[ \t]*+([^\r\n]*+)",
    re.IGNORECASE,
)
HANDLED = frozenset({b"host", b"connection", b"content-length", b"transfer-encoding", b"content-encoding"})
START = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++ [!-~\x80-\xff]++ HTTP/1\.[01]\r\n")
BARE_LF = re.compile(rb"(?<!\r)\n")
LENGTH = re.compile(rb"[0-9]{1,18}")


class Silent:
    """The judge's listener: it wants the verdict only, so it has no callback at all."""


class Head:
    """A request head. `framing` is "none", "content-length" or "chunked"; `refusal` is empty when
    the message can be read on; `close` says that the client wants no further exchange."""

    __slots__ = (
        "close",
        "expects_continue",
        "framing",
        "gzip",
        "length",
        "method",
        "raw",
        "refusal",
        "target",
        "version",
        "violations",
    )

    def __init__(self, raw: bytes) -> None:
        line = raw[: raw.find(b"\r\n")] if b"\r\n" in raw else raw
        method, _, rest = line.partition(b" ")
        target, _, version = rest.rpartition(b" ")
        self.raw = raw
        self.method = method
        self.target = target
        self.version = version
        self.framing = "none"
        self.length = 0
        self.gzip = False
        self.close = version != b"HTTP/1.1"
        self.expects_continue = False
        self.refusal = ""
        self.violations: list[str] = []

    def fields(self) -> list[tuple[str, str]]:
        """Names and values in order, exact case, latin-1, without the white space around values."""
        lines = self.raw.split(b"\r\n")[1:]
        pairs = (line.partition(b":") for line in lines if line)
        return [(name.decode("latin-1"), value.strip(b" \t").decode("latin-1")) for name, _, value in pairs]


def shown(data: bytes) -> str:
    """The bytes of a violation, readable and bounded."""
    return repr(data[:SHOWN_BYTES])


def judged(raw: bytes) -> tuple[httptools.HttpRequestParser | None, str]:
    """llhttp's opinion of a head: the parser, to be fed a chunked body, and its complaint or "". No
    parser where llhttp expects the end of HTTP; the field that made it do so is a violation anyway."""
    parser = httptools.HttpRequestParser(Silent())
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        return None, ""
    except httptools.HttpParserError as error:
        return parser, f"llhttp: {error} {shown(raw)}"
    return parser, ""


def read_head(raw: bytes, sni: str | None, tls: bool) -> tuple[Head, httptools.HttpRequestParser | None]:
    """Reads a head up to and with its empty line. `sni` is the name asked for in the TLS handshake."""
    head = Head(raw)
    parser, head.refusal = judged(raw)
    found: dict[bytes, list[bytes]] = {}
    for name, value in FIELDS.findall(raw):
        found.setdefault(name.lower(), []).append(value.rstrip(b" \t"))
    head.refusal = head.refusal or start_fault(head)
    check_host(head, found.get(b"host", []), sni, tls)
    check_consumed(head, found)
    head.refusal = head.refusal or framing_fault(head, found)
    head.gzip = found.get(b"content-encoding", [b""])[0].lower() == b"gzip"
    if head.refusal:
        head.violations.insert(0, head.refusal)
    return head, parser


def start_fault(head: Head) -> str:
    """Why the request line is broken, or ""; a target not in origin form (RFC 9112, 3.2.1) is only
    a violation. llhttp takes several spaces, empty lines in front, and HTTP/2.0."""
    if not START.match(head.raw):
        return f"start: {shown(head.raw.partition(CRLF)[0] or head.raw)}"
    if not head.target.startswith(b"/") and head.target != b"*":
        head.violations.append(f"target: not in origin form {shown(head.target)}")
    return ""


def check_host(head: Head, hosts: list[bytes], sni: str | None, tls: bool) -> None:
    """Exactly one Host (RFC 9112, 3.2), and over TLS the one that the handshake was for."""
    if len(hosts) != 1 or not hosts[0]:
        head.violations.append(f"host: {len(hosts)} Host fields {shown(b', '.join(hosts))}")
    elif tls:
        name = host_name(hosts[0])
        if name != (sni or "").lower() and not (sni is None and is_address(name)):
            head.violations.append(f"host: {name} is not the TLS server name {sni}")


def host_name(host: bytes) -> str:
    """The name in a Host value, lower case, without port and without brackets."""
    return re.sub(r":[0-9]*$", "", host.decode("latin-1").lower()).strip("[]")


def is_address(name: str) -> bool:
    """Whether `name` is an IP address, which TLS clients don't put into the handshake (RFC 6066, 3)."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def check_consumed(head: Head, found: dict[bytes, list[bytes]]) -> None:
    """Hop-by-hop fields, which a proxy must consume (RFC 9110, 7.6.1), and what Connection asks for."""
    for value in found.get(b"connection", ()):
        option = value.lower()
        if option == b"close":
            head.close = True
        elif option == b"keep-alive":
            head.close = False
        else:
            head.violations.append(f"hop_by_hop: Connection {shown(value)}")
    for name in found.keys() - HANDLED:
        head.violations += [f"hop_by_hop: {name.decode('latin-1')} {shown(value)}" for value in found[name]]
    head.expects_continue = found.get(b"expect", [b""])[0].lower() == b"100-continue"


def framing_fault(head: Head, found: dict[bytes, list[bytes]]) -> str:
    """Sets framing and length (RFC 9112, 6); returns why the body's end is uncertain, or ""."""
    lengths = found.get(b"content-length", [])
    codings = found.get(b"transfer-encoding", [])
    if codings:
        head.framing = "chunked"
        if lengths:
            return f"framing: Content-Length beside Transfer-Encoding {shown(head.raw)}"
        if head.version != b"HTTP/1.1":
            return f"framing: Transfer-Encoding in {shown(head.version)}"
        return "" if codings == [b"chunked"] else f"framing: Transfer-Encoding {shown(b', '.join(codings))}"
    if lengths:
        head.framing = "content-length"
        if len(lengths) > 1 or not LENGTH.fullmatch(lengths[0]):
            return f"framing: Content-Length {shown(b', '.join(lengths))}"
        head.length = int(lengths[0])
    return ""


def unfinished_fault(data: bytes) -> str:
    """Why the beginning of a head can't become a good one, or ""."""
    if BARE_LF.search(data):
        return f"llhttp: bare LF {shown(data)}"
    return f"head: longer than {HEAD_LIMIT} bytes {shown(data)}" if len(data) > HEAD_LIMIT else ""
