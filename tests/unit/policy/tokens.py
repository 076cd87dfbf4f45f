"""Keys, sets of them, and tokens made with them, for tests."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

SECRET = "0123456789abcdef0123456789abcdef"
NOW = 1_800_000_000.0
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | str


@cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """One of several keys; making one takes a tenth of a second."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(number: int = 0, curve: str = "secp256r1") -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key({"secp256r1": ec.SECP256R1(), "secp384r1": ec.SECP384R1()}[curve])


def public(key: Key, **more: Any) -> dict[str, Any]:
    """A public key as a JWKS has it."""
    kind = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    assert not isinstance(key, str)
    made: dict[str, Any] = json.loads(kind.to_jwk(key.public_key()))  # type: ignore[arg-type]
    return {**made, **more}


def key_set(*members: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(members)}).encode()


def token(key: Key, algorithm: str, head: dict[str, Any] | None = None, **claims: Any) -> bytes:
    """A token that expires in a minute, unless the claims say otherwise; a claim of None is left out."""
    given = {"exp": NOW + 60, **claims}
    said = {name: value for name, value in given.items() if value is not None}
    return jwt.encode(said, key, algorithm, headers=head).encode()


def forged(head: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> bytes:
    """What somebody without a key can write."""
    parts = (json.dumps(head).encode(), json.dumps(claims).encode(), signature)
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
