"""Proves which tokens let a request in, and that no other does: forged, expired, of another key or issuer."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.verdict import Reason, Route
from proxy.policy.tokens import REMEMBERED_SECONDS, KeySetError, TokenPolicy
from proxy.settings import Jwt
from tests.unit.policy.tokens import NOW, SECRET, ec_key, forged, key_set, public, rsa_key, token

URL = "https://id.example.com/jwks.json"
BAD = Reason.TOKEN_INVALID


def policy(**settings: Any) -> TokenPolicy:
    return TokenPolicy(Jwt.model_validate(settings))


def with_keys(*members: dict[str, Any], **settings: Any) -> TokenPolicy:
    made = policy(jwks_url=URL, algorithms=["RS256", "ES256"], **settings)
    made.learn(key_set(*members))
    return made


def hs(**settings: Any) -> TokenPolicy:
    return policy(algorithms=["HS256"], secret=SECRET, **settings)


def verdict(gate: TokenPolicy, value: bytes | None, now: float = NOW) -> Reason | None:
    return gate.judge(Route.TRACK, value, now)


def wants_keys(gate: TokenPolicy) -> bool:
    return gate.wants_keys


@pytest.mark.parametrize("before", [b"", b"Bearer ", b"bearer "])
def test_a_good_token_is_let_in_alone_or_as_a_bearer(before: bytes) -> None:
    assert verdict(hs(), before + token(SECRET, "HS256")) is None


@pytest.mark.parametrize(("key", "algorithm"), [(rsa_key(), "RS256"), (ec_key(), "ES256")])
def test_each_algorithm_has_its_kind_of_key(key: Any, algorithm: str) -> None:
    gate = with_keys(public(rsa_key()), public(ec_key()))
    assert verdict(gate, token(key, algorithm)) is None
    assert verdict(with_keys(public(rsa_key(1)), public(ec_key(1))), token(key, algorithm)) is BAD


def test_without_one_a_request_is_not_let_in_on_the_routes_that_need_it() -> None:
    assert hs().judge(Route.TRACK, None, NOW) is Reason.TOKEN_MISSING
    assert hs().judge(Route.CONFIG, None, NOW) is None
    assert hs(routes=["config"]).judge(Route.CONFIG, None, NOW) is Reason.TOKEN_MISSING


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": NOW - 29}, None),
        ({"exp": NOW - 30}, BAD),
        ({"exp": None}, BAD),
        ({"exp": True}, BAD),
        ({"nbf": NOW + 30}, None),
        ({"nbf": NOW + 31}, BAD),
        ({"iat": NOW + 999}, None),
    ],
)
def test_it_is_good_in_its_time_give_or_take_the_leeway(claims: dict[str, Any], expected: Reason | None) -> None:
    assert verdict(hs(), token(SECRET, "HS256", **claims)) is expected


@pytest.mark.parametrize("text", ["soon", "", None, [1], {}])
def test_a_time_that_is_no_number_is_none(text: object) -> None:
    head = {"alg": "HS256", "typ": "JWT"}
    unsigned = forged(head, {"exp": text}).rpartition(b".")[0]
    signature = hmac.new(SECRET.encode(), unsigned, hashlib.sha256).digest()
    assert verdict(hs(), forged(head, {"exp": text}, signature)) is BAD
    right = forged(head, {"exp": NOW + 9}).rpartition(b".")[0]
    assert verdict(hs(), forged(head, {"exp": NOW + 9}, hmac.new(SECRET.encode(), right, "sha256").digest())) is None


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"iss": "https://id", "aud": "replay"}, None),
        ({"iss": "https://id", "aud": ["other", "replay"]}, None),
        ({"iss": "https://id", "aud": "other"}, BAD),
        ({"iss": "https://other", "aud": "replay"}, BAD),
        ({"iss": "https://id"}, BAD),
        ({"aud": "replay"}, BAD),
    ],
)
def test_issuer_and_audience_must_be_those_of_the_settings(claims: dict[str, Any], expected: Reason | None) -> None:
    gate = hs(issuer="https://id", audience="replay")
    assert verdict(gate, token(SECRET, "HS256", **claims)) is expected
    assert verdict(hs(), token(SECRET, "HS256", **claims)) is None  # they are not looked at where none is set


def test_a_public_key_is_no_secret_for_an_hmac() -> None:
    """The oldest trick: sign with what everybody can read, and say that it was an HMAC (RFC 8725, 2.1)."""
    key = rsa_key().public_key()
    gate = with_keys(public(rsa_key()))
    for secret in (key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), b"", SECRET.encode()):
        head, claims = {"alg": "HS256", "typ": "JWT"}, {"exp": NOW + 60}
        unsigned = forged(head, claims).rpartition(b".")[0]
        assert verdict(gate, forged(head, claims, hmac.new(secret, unsigned, hashlib.sha256).digest())) is BAD


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS384", "RS512", "ES256K", None, 5, ["HS256"]])
def test_an_algorithm_that_is_not_listed_is_not_used(algorithm: object) -> None:
    for signature in (b"", b"x" * 32):
        assert verdict(hs(), forged({"alg": algorithm}, {"exp": NOW + 60}, signature)) is BAD


def test_both_kinds_can_be_in_use_at_once() -> None:
    gate = policy(algorithms=["HS256", "RS256"], secret=SECRET, jwks=key_set(public(rsa_key())).decode())
    assert verdict(gate, token(SECRET, "HS256")) is None
    assert verdict(gate, token(rsa_key(), "RS256")) is None
    assert verdict(gate, token(rsa_key(1), "RS256")) is BAD


def test_the_keys_id_chooses_and_an_unknown_one_asks_for_keys() -> None:
    gate = with_keys(public(rsa_key(), kid="a"), public(rsa_key(1), kid="b"))
    assert verdict(gate, token(rsa_key(1), "RS256", {"kid": "b"})) is None
    assert verdict(gate, token(rsa_key(1), "RS256")) is None  # without an id each is tried
    assert verdict(gate, token(rsa_key(1), "RS256", {"kid": "a"})) is BAD
    assert not wants_keys(gate)
    assert verdict(gate, token(rsa_key(1), "RS256", {"kid": "c"})) is BAD
    assert wants_keys(gate)
    gate.learn(key_set(public(rsa_key(1), kid="c")))
    assert not wants_keys(gate)
    assert verdict(gate, token(rsa_key(1), "RS256", {"kid": "c"})) is None


def test_before_the_keys_have_come_it_is_not_the_tokens_fault() -> None:
    gate = policy(jwks_url=URL)
    assert verdict(gate, token(rsa_key(), "RS256")) is Reason.TOKEN_KEYS
    assert verdict(gate, b"no token") is BAD
    assert verdict(gate, None) is Reason.TOKEN_MISSING


def test_a_key_that_is_taken_back_is_believed_no_longer() -> None:
    gate = with_keys(public(rsa_key()))
    value = token(rsa_key(), "RS256", exp=NOW + 1e6)
    assert verdict(gate, value) is None
    gate.learn(key_set(public(rsa_key(1))))
    assert verdict(gate, value) is BAD


def test_what_is_remembered_expires() -> None:
    gate = hs()
    short, long = token(SECRET, "HS256", exp=NOW + 60), token(SECRET, "HS256", exp=NOW + 1e6)
    assert (verdict(gate, short), verdict(gate, long)) == (None, None)
    assert verdict(gate, short, NOW + 89) is None
    assert verdict(gate, short, NOW + 90) is BAD
    assert verdict(gate, long, NOW + REMEMBERED_SECONDS + 1) is None  # checked anew
    assert gate._good[long] == NOW + 2 * REMEMBERED_SECONDS + 1


def test_memory_is_bounded() -> None:
    gate = TokenPolicy(Jwt.model_validate({"algorithms": ["HS256"], "secret": SECRET}), remembered=10)
    for number in range(35):
        assert verdict(gate, token(SECRET, "HS256", sub=str(number))) is None
    assert len(gate._good) <= 10
    assert verdict(gate, b"x" * 9000) is BAD


UNUSABLE = {
    "text": b"hello",
    "no list": b"{}",
    "another list": b'{"keys": {}}',
    "empty": b'{"keys": []}',
    "no objects": b'{"keys": [1, null, "a"]}',
    "no key": b'{"keys": [{"kty": "RSA"}]}',
    "symmetric": b'{"keys": [{"kty": "oct", "k": "AAAA"}]}',
    "too many": b'{"keys": [' + b"{}," * 40 + b"{}]}",
    "for encryption": key_set(public(rsa_key(), use="enc")),
    "another algorithm": key_set(public(rsa_key(), alg="RS512")),
    "a short one": key_set(public(rsa_key(9, 1024))),
    "another curve": key_set(public(ec_key(9, "secp384r1"))),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_set_without_a_key_that_can_be_used_is_refused_and_the_last_one_stays(name: str) -> None:
    gate = with_keys(public(rsa_key()))
    with pytest.raises(KeySetError):
        gate.learn(UNUSABLE[name])
    assert verdict(gate, token(rsa_key(), "RS256")) is None


def test_keys_of_other_uses_may_stand_beside() -> None:
    gate = with_keys(public(rsa_key(1), use="enc"), {"kty": "OKP"}, public(rsa_key()))
    assert verdict(gate, token(rsa_key(), "RS256")) is None
    assert verdict(gate, token(rsa_key(1), "RS256")) is BAD


@given(st.binary(max_size=200) | st.text(alphabet="eyJhbGc.-_=IUzI1NiJ9", max_size=120).map(str.encode))
def test_no_bytes_break_it_or_are_let_in(value: bytes) -> None:
    assert verdict(hs(), value) is BAD


@given(st.data())
def test_a_token_that_was_changed_anywhere_is_not_let_in(data: st.DataObject) -> None:
    good = token(SECRET, "HS256")
    at = data.draw(st.integers(0, len(good) - 2))  # the last character has bits that mean nothing
    other = data.draw(st.integers(0, 255).filter(lambda octet: octet != good[at]))
    assert verdict(hs(), good[:at] + bytes((other,)) + good[at + 1 :]) is BAD
