"""The texts that settings hold: field names and values, API keys, region names, public paths, origins, files.

Every function returns a `Parsed`. Must not know which setting uses it.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import SecretStr

from proxy.settings.network import is_host
from proxy.settings.units import Parsed, UnreadableError, text_of

# RFC 9110, 5.6.2
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_VALUE = re.compile(r"[!-~](?:[ -~\t]{0,8190}[!-~])?")
_KEY = re.compile(r"[!-~]{1,256}")
_REGION = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SEGMENT = r"/[A-Za-z0-9._~-]{1,128}"
_PATH = re.compile(rf"(?:{_SEGMENT}){{1,16}}")
_ORIGIN = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]{0,31})://(\*\.)?(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?"
)

# Fields that frame a message or belong to one connection (RFC 9110, 7.6.1; RFC 9113, 8.2.2), and Host,
# which follows from the upstream's url alone. Setting one of them would be a hole, removing one a fault.
RESERVED_FIELDS = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
DEFAULT_PORTS = {"http": 80, "https": 443}


def matching(pattern: re.Pattern[str], expected: str) -> Parsed:
    """Text of one pattern, whole; `expected` describes it."""

    def parse(value: object) -> str:
        if pattern.fullmatch(text_of(value, f"{expected} (text: put it in quotes)")) is None:
            raise UnreadableError(expected)
        return str(value)

    return Parsed(parse, {"type": "string", "pattern": f"^(?:{pattern.pattern})$"})


def token(what: str, example: str) -> Parsed:
    """A name as RFC 9110 (5.6.2) allows it."""
    return matching(_TOKEN, f"{what} such as {example}")


def api_key() -> Parsed:
    """An API key: 1 to 256 visible ASCII characters."""
    return matching(_KEY, "an API key: visible ASCII characters, at most 256")


def region_name() -> Parsed:
    """A region's name: short, since it is a metric's label."""
    return matching(_REGION, "a region's name such as us or eu: lower-case letters, digits, - and _")


def upstream_field_name() -> Parsed:
    """A field name that the gateway lets the operator set or remove; the spelling is kept."""
    name = token("a header name", "X-Proxy-Token")

    def parse(value: object) -> str:
        text = str(name.parse(value))
        if text.lower() in RESERVED_FIELDS:
            raise UnreadableError("a header that does not frame the message or belong to the connection")
        return text

    return Parsed(parse, name.schema)


def field_value() -> Parsed:
    """A secret field value that can't break out of its line (RFC 9110, 5.5); empty is allowed."""
    expected = "printable ASCII on one line, without spaces at its ends (a number goes in quotes)"

    def parse(value: object) -> SecretStr:
        text = value.get_secret_value() if isinstance(value, SecretStr) else text_of(value, expected)
        if text and _VALUE.fullmatch(text) is None:
            raise UnreadableError(expected)
        return SecretStr(text)

    return Parsed(parse, {"type": "string"})


def field_text() -> Parsed:
    """A field value to compare with: printable ASCII on one line, not empty."""
    return matching(_VALUE, "a header's value such as DE: printable ASCII, not empty")


def public_path() -> Parsed:
    """A path that browsers ask for: absolute, plain segments, no slash at the end."""
    expected = "a path such as /sessions/v2/track: no query, no dot segments, no slash at the end"

    def parse(value: object) -> str:
        text = text_of(value, expected)
        if _PATH.fullmatch(text) is None or any(part in (".", "..") for part in text.split("/")):
            raise UnreadableError(expected)
        return text

    return Parsed(parse, {"type": "string", "pattern": f"^{_PATH.pattern}$"})


def origin_pattern() -> Parsed:
    """`*`, an exact origin, or every sub-domain of one; lower-cased, the scheme's own port left out."""
    expected = 'an origin such as https://app.example.com or https://*.example.com (scheme, host, no path), or "*"'

    def parse(value: object) -> str:
        text = text_of(value, expected)
        match = _ORIGIN.fullmatch(text)
        if text == "*":
            return text
        if match is None or not _is_origin_host(match[3], bool(match[2])) or int(match[4] or 1) not in range(1, 65536):
            raise UnreadableError(_origin_advice(text, expected))
        return _origin_text(match)

    return Parsed(parse, {"type": "string", "pattern": rf"^(?:\*|{_ORIGIN.pattern})$"})


def _is_origin_host(host: str, wildcard: bool) -> bool:
    plain = host.strip("[]")
    if wildcard and (":" in plain or plain.replace(".", "").isdigit()):
        return False
    return is_host(plain)


def _origin_text(match: re.Match[str]) -> str:
    scheme, star, host, port = match[1].lower(), match[2] or "", match[3].lower(), match[4]
    # Browsers leave a default port out (Fetch standard, origin serialisation), so it would never match.
    shown = f":{int(port)}" if port and int(port) != DEFAULT_PORTS.get(scheme) else ""
    return f"{scheme}://{star}{host}{shown}"


def _origin_advice(text: str, expected: str) -> str:
    if text == "null":
        return f'{expected}; "null" is what any sandboxed page sends, so it can not be allowed'
    if text.endswith("/") and _ORIGIN.fullmatch(text.rstrip("/")):
        return f"{expected}; leave the slash at the end out"
    if "://" not in text and _ORIGIN.fullmatch(f"https://{text}"):
        return f"{expected}; the scheme is missing"
    return expected


def file_path(what: str = "a file") -> Parsed:
    """The path of a file; a relative one counts from the working directory. Whether it exists is not looked at."""
    expected = f"the path of {what}"

    def parse(value: object) -> Path:
        if isinstance(value, Path):
            return value
        text = text_of(value, expected)
        if not text or "\0" in text:
            raise UnreadableError(expected)
        return Path(text)

    return Parsed(parse, {"type": "string", "minLength": 1})
