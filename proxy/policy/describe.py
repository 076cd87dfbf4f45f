"""What the archive is told of an upload beside its bytes: as JSON, and without what must not be kept.

API keys become fingerprints, of the header fields only those that are listed pass, and the client's address is as
coarse as the settings say. Must not know of sockets, nor what the archive does with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

import orjson

from proxy.policy.client_ip import ClientIpPolicy
from proxy.policy.keys import api_keys
from proxy.policy.routing import Match
from proxy.settings.schema import ClientIp
from proxy.wire.request import RequestHead

# Whatever a list of header fields says: who has one of these can act as somebody else.
SECRET_FIELDS: Final = frozenset(
    (b"authorization", b"proxy-authorization", b"cookie", b"set-cookie", b"x-api-key", b"x-amz-security-token")
)
_FINGERPRINT_DIGITS: Final = 16
_PARAMETER: Final = re.compile(rb"([?&;])([^=&;]*)(=?)([^&;]*)")
_KEY_NAMES: Final = frozenset((b"api_key", b"apikey", b"api-key"))
_FORWARD: Final[dict[str, Literal["full", "truncate", "none"]]] = {
    "full": "full",
    "truncate": "truncate",
    "off": "none",
}


class Describer:
    """`fields` are the names of header fields to keep, in any case; `client_ip` is "off", "truncate" or "full"."""

    def __init__(self, fields: Iterable[str], client_ip: str) -> None:
        self._fields = frozenset(name.lower().encode() for name in fields) - SECRET_FIELDS
        self._addresses = ClientIpPolicy(ClientIp(forward=_FORWARD[client_ip]))

    def describe(self, request: RequestHead, match: Match, address: str, region: str) -> bytes:
        """All but the request's id: the rest of a JSON object, from behind its first member on."""
        keys = api_keys(match, request.authorization)
        path = request.target.partition(b"?")[0]
        masked = self._addresses.forwarded(address)
        values = {
            "path": path.decode("latin-1"),
            "query": redacted(match.query).decode("latin-1"),
            "key": fingerprint(keys[0]) if keys else None,
            "headers": self._kept(request.fields),
            "encoding": _encoding(request.fields),
            "ip": masked.decode() if masked else None,
            "region": region,
        }
        return b"," + orjson.dumps(values)[1:]

    def _kept(self, lines: list[bytes]) -> dict[str, str]:
        kept: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(b":")
            lower = name.lower()
            if lower in self._fields:
                key, text = lower.decode("latin-1"), value.strip(b" \t").decode("latin-1")
                kept[key] = f"{kept[key]}, {text}" if key in kept else text
        return kept


def meta(request_id: bytes, described: bytes) -> bytes:
    """What a PAYLOAD frame says. Request ids have no characters that JSON would write in another way."""
    return b'{"id":"%b"%b' % (request_id, described)


def fingerprint(key: bytes) -> str:
    """What stands for an API key: the same for the same key, and no way back to it."""
    return sha256(b"replay-gateway api key\0" + key).hexdigest()[:_FINGERPRINT_DIGITS]


def redacted(query: bytes) -> bytes:
    """The query without its question mark, with fingerprints in place of API keys."""
    return _PARAMETER.sub(_without_key, query)[1:] if query else b""


def _without_key(found: re.Match[bytes]) -> bytes:
    separator, name, equals, value = found.groups()
    if not value or unquote_to_bytes(name.replace(b"+", b" ")).strip().lower() not in _KEY_NAMES:
        return found[0]
    key = unquote_to_bytes(value.replace(b"+", b" "))
    return separator + name + equals + fingerprint(key).encode()


def _encoding(lines: list[bytes]) -> str:
    values = [line.partition(b":")[2] for line in lines if line[:17].lower() == b"content-encoding:"]
    return ", ".join(value.strip(b" \t").lower().decode("latin-1") for value in values)
