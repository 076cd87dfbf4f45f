"""The customer's own tokens: who else must have let a visitor in. Checks no token and fetches nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, SerializationInfo, field_serializer

from proxy.settings.masking import masked_text
from proxy.settings.network import is_loopback
from proxy.settings.section import Fault, Section
from proxy.settings.spelling import RESERVED_FIELDS, field_text, field_value, file_path, token
from proxy.settings.units import Parsed, UnreadableError, choice, duration, text_of
from proxy.settings.upstreams import split_url

# A key of HMAC must not be shorter than the hash (RFC 7518, 3.2).
SECRET_LEAST = 32
_TAKEN = RESERVED_FIELDS | {"authorization", "content-type", "content-encoding", "cookie", "origin", "sec-gpc"}
_SYMMETRIC = "HS256"


def token_header() -> Parsed:
    """The field that carries the token; one that the SDK, the browser or the connection does not need for itself."""
    name = token("a header name", "X-Replay-Token")

    def parse(value: object) -> str:
        text = str(name.parse(value))
        if text.lower() in _TAKEN or text.lower().startswith(("x-client-", "x-forwarded-", "access-control-")):
            raise UnreadableError("a header of its own: the vendor needs its API key in Authorization")
        return text

    return Parsed(parse, name.schema)


def key_set_url() -> Parsed:
    """Where a set of keys is: https, or http on this machine."""
    expected = "an https URL such as https://id.example.com/.well-known/jwks.json, without user, query and fragment"

    def parse(value: object) -> str:
        text = text_of(value, expected)
        parts = split_url(text)
        if parts is None or (parts.scheme != "https" and not is_loopback(parts.host)):
            raise UnreadableError(expected)
        return text

    return Parsed(parse, {"type": "string", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^@?#\s]+$"})


def key_set() -> Parsed:
    """The text of a set of public keys."""
    expected = 'the text of a JWKS, {"keys": [...]}, best as "${file:/etc/replay-gateway/jwks.json}"'

    def parse(value: object) -> str:
        text = text_of(value, expected).strip()
        if not (text.startswith("{") and text.endswith("}")):
            raise UnreadableError(expected)
        return text

    return Parsed(parse, {"type": "string"})


class Jwt(Section):
    """JSON Web Tokens (RFC 7519) that requests must carry. The keys: `secret` for HS256, `jwks` or `jwks_url` for the
    others."""

    header: Annotated[str, token_header()] = "X-Replay-Token"
    algorithms: tuple[Annotated[Literal["HS256", "RS256", "ES256"], choice("HS256", "RS256", "ES256")], ...] = Field(
        default=("RS256",), min_length=1
    )
    secret: Annotated[SecretStr, field_value()] = SecretStr("")
    jwks: Annotated[str, key_set()] | None = Field(default=None, repr=False)
    jwks_url: Annotated[str, key_set_url()] | None = None
    ca_file: Annotated[Path, file_path()] | None = None
    refresh: Annotated[float, duration()] = 300.0
    issuer: Annotated[str, field_text()] | None = None
    audience: Annotated[str, field_text()] | None = None
    leeway: Annotated[float, duration(zero=True)] = 30.0
    mode: Annotated[Literal["enforce", "advisory"], choice("enforce", "advisory")] = "enforce"
    routes: tuple[Annotated[Literal["track", "config"], choice("track", "config")], ...] = Field(
        default=("track",), min_length=1
    )

    def conflicts(self, written: Mapping[str, object]) -> Iterator[Fault]:
        yield from self._secret_and_algorithms()
        asymmetric = [each for each in self.algorithms if each != _SYMMETRIC]
        sources = [name for name in ("jwks", "jwks_url") if getattr(self, name) is not None]
        about = frozenset(("algorithms", "jwks", "jwks_url"))
        if asymmetric and not sources:
            yield Fault(("jwks",), "nothing", f"jwks or jwks_url, since jwt.algorithms has {asymmetric[0]}", about)
        if len(sources) > 1:
            yield Fault(("jwks_url",), "a second source of keys", "jwks or jwks_url, not both", about)
        if sources and not asymmetric:
            yield Fault((sources[0],), "public keys", "RS256 or ES256 in jwt.algorithms, which alone use them", about)

    def _secret_and_algorithms(self) -> Iterator[Fault]:
        secret, about = self.secret.get_secret_value(), frozenset(("secret", "algorithms"))
        if secret and _SYMMETRIC not in self.algorithms:
            yield Fault(("secret",), "a secret", "HS256 in jwt.algorithms, which alone uses it", about)
        if _SYMMETRIC in self.algorithms and len(secret.encode()) < SECRET_LEAST:
            found = f"{len(secret.encode())} bytes" if secret else "nothing"
            yield Fault(("secret",), found, f"{SECRET_LEAST} bytes or more for HS256 (RFC 7518, 3.2)", about)

    @field_serializer("secret")
    def _mask(self, secret: SecretStr, info: SerializationInfo) -> str:
        return masked_text(secret, info)
