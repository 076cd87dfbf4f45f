"""Whether a request carries a token that the customer's own service has made: JSON Web Tokens (RFC 7519).

Pure: the time is an argument, keys are handed in. PyJWT checks signatures and is imported only where tokens are asked
for. Must not know where keys come from, nor how a refusal is answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from proxy.model.verdict import Reason, Route
from proxy.settings.schema import Jwt

# Tokens that were found good are known again until they expire, but not for longer than this: a key that was taken back
# is not to be believed for days.
REMEMBERED_SECONDS: Final = 300.0
REMEMBERED: Final = 8192  # a full table is emptied: everybody's next request costs one more check of a signature
LONGEST_TOKEN: Final = 8192
_MOST_KEYS: Final = 32
# What a key must be for an algorithm: the token says which algorithm it wants, which must not make an HMAC's secret of
# a public key (RFC 8725, 3.1).
_KINDS: Final[Mapping[str, str]] = {"RS256": "RSA", "ES256": "EC"}
_RSA_LEAST: Final = 2048  # bits (RFC 7518, 3.3)


class KeySetError(ValueError):
    """A set of keys that can't be used; the text says why."""


class TokenPolicy:
    """`jwt` of the settings; `remembered` tokens that were good are known again. ImportError where PyJWT is not
    installed, KeySetError for keys in the settings that are none."""

    def __init__(self, jwt: Jwt, remembered: int = REMEMBERED) -> None:
        import jwt as library  # here: nobody else needs it

        if not library.algorithms.has_crypto:
            raise ImportError("cryptography")
        self._jwt: Any = library
        self.field = jwt.header.lower().encode()
        self.is_advisory = jwt.mode == "advisory"
        self._routes = frozenset(Route(name) for name in jwt.routes)
        self._algorithms = frozenset(jwt.algorithms)
        self._secret = jwt.secret.get_secret_value().encode()
        self._checks = {"issuer": jwt.issuer, "audience": jwt.audience}
        self._leeway = jwt.leeway
        self._keys: list[tuple[str, str, Any]] | None = None  # kind, id, key; None: not known yet
        self._good: dict[bytes, float] = {}  # until when (Unix time)
        self._remembered = remembered
        self.wants_keys = False  # somebody named a key that is not known
        if jwt.jwks is not None:
            self.learn(jwt.jwks.encode())

    def learn(self, key_set: bytes) -> None:
        """Take a JWKS (RFC 7517, 5) in place of the keys known so far. KeySetError leaves those as they are."""
        keys = [known for each in _members(key_set) if (known := self._key(each)) is not None]
        if not keys:
            raise KeySetError(f"no key in it can be used for {' or '.join(sorted(self._algorithms))}")
        self._keys = keys
        self._good.clear()
        self.wants_keys = False

    def judge(self, route: Route, value: bytes | None, now: float) -> Reason | None:
        """Why a request with this value of the field is not let in; None if it is. `now` is Unix time in seconds."""
        if route not in self._routes:
            return None
        if value is None:
            return Reason.TOKEN_MISSING
        until = self._good.get(value)
        if until is not None and now < until:
            return None
        return self._check(value, now)

    def _check(self, value: bytes, now: float) -> Reason | None:
        try:
            claims = self._claims(value[7:] if value[:7].lower() == b"bearer " else value)
        except _KeysUnknown:
            return Reason.TOKEN_KEYS
        except (self._jwt.InvalidTokenError, ValueError, TypeError):
            return Reason.TOKEN_INVALID
        until = _until(claims, now, self._leeway)
        if until is None:
            return Reason.TOKEN_INVALID
        if len(self._good) >= self._remembered:
            self._good.clear()
        self._good[value] = min(until, now + REMEMBERED_SECONDS)
        return None

    def _claims(self, token: bytes) -> Mapping[str, Any]:
        """What a token says whose signature, issuer and audience are right. Times are not looked at."""
        if len(token) > LONGEST_TOKEN:
            raise ValueError("too long")
        head = self._jwt.get_unverified_header(token)
        algorithm = head["alg"]
        if algorithm not in self._algorithms:
            raise self._jwt.InvalidAlgorithmError
        wrong: Exception = self._jwt.InvalidTokenError()
        for key in self._candidates(algorithm, head.get("kid")):
            try:
                return self._decoded(token, key, algorithm)
            except self._jwt.InvalidSignatureError as error:
                wrong = error
        raise wrong

    def _candidates(self, algorithm: str, wanted: object) -> list[Any]:
        if algorithm not in _KINDS:
            return [self._secret]
        if self._keys is None:
            raise _KeysUnknown
        kind = _KINDS[algorithm]
        found = [key for its_kind, name, key in self._keys if its_kind == kind and wanted in (None, name)]
        if not found:
            self.wants_keys = True
        return found

    def _decoded(self, token: bytes, key: Any, algorithm: str) -> Mapping[str, Any]:
        audience = self._checks["audience"]
        claims: Mapping[str, Any] = self._jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            options={  # times: see `_until`
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": audience is not None,
                "require": ["exp"],
            },
            audience=audience,
            issuer=self._checks["issuer"],
        )
        return claims

    def _key(self, member: object) -> tuple[str, str, Any] | None:
        """A key that can check signatures of one of the algorithms; others may stand beside it."""
        if not isinstance(member, dict) or member.get("use", "sig") != "sig":
            return None
        kind = str(member.get("kty"))
        algorithm = next((each for each in self._algorithms if _KINDS.get(each) == kind), None)
        if algorithm is None or member.get("alg", algorithm) != algorithm:
            return None
        try:
            key = self._jwt.PyJWK(member, algorithm).key
        except (self._jwt.PyJWKError, self._jwt.InvalidKeyError, ValueError, KeyError, TypeError):
            return None
        public = key.public_key() if hasattr(key, "public_key") else key
        if kind == "RSA" and public.key_size < _RSA_LEAST:
            return None
        return (kind, str(member.get("kid", "")), public) if kind != "EC" or public.curve.name == "secp256r1" else None


class _KeysUnknown(Exception):
    """The keys have not come yet."""


def _members(key_set: bytes) -> list[object]:
    try:
        read = json.loads(key_set)
    except ValueError:
        raise KeySetError("it is no JSON") from None
    members = read.get("keys") if isinstance(read, dict) else None
    if not isinstance(members, list):
        raise KeySetError('it has no list "keys" (RFC 7517, 5)')
    if len(members) > _MOST_KEYS:
        raise KeySetError(f"it has more than {_MOST_KEYS} keys")
    return members


def _until(claims: Mapping[str, Any], now: float, leeway: float) -> float | None:
    """When a token that is good now expires; None for one that is not (RFC 7519, 4.1.4 and 4.1.5)."""
    expires, begins = claims["exp"], claims.get("nbf", 0)
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in (expires, begins)):
        return None
    return expires + leeway if begins - leeway <= now < expires + leeway else None
