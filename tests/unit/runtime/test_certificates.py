"""Proves that a certificate's remaining days and names are told, and nothing is claimed of one that can't be judged."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from proxy.runtime.certificates import days_left, facts, is_good_for, names

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def written(folder: Path, leaf: trustme.LeafCert, chain: bool = True) -> tuple[ssl.SSLContext, Path]:
    certificate, key = folder / "a.pem", folder / "a.key"
    parts = leaf.cert_chain_pems if chain else leaf.cert_chain_pems[:1]
    certificate.write_bytes(b"".join(part.bytes() for part in parts))
    leaf.private_key_pem.write_to_path(str(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


@pytest.mark.parametrize("chain", [True, False])
@pytest.mark.parametrize("days", [1, 13, 90])
def test_days_left(tmp_path: Path, days: int, chain: bool) -> None:
    leaf = trustme.CA().issue_cert("a.example", not_after=NOW + days * DAY)
    left = days_left(*written(tmp_path, leaf, chain), NOW.timestamp())
    assert left == pytest.approx(days, abs=0.01)


def test_a_certificate_with_an_intermediate(tmp_path: Path) -> None:
    leaf = trustme.CA().create_child_ca().issue_cert("a.example", not_after=NOW + 5 * DAY)
    assert days_left(*written(tmp_path, leaf), NOW.timestamp()) == pytest.approx(5, abs=0.01)


def test_an_expired_certificate_has_none_left(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("a.example", not_before=NOW - 9 * DAY, not_after=NOW - DAY)
    assert days_left(*written(tmp_path, leaf), NOW.timestamp()) == 0.0


def test_a_certificate_that_is_not_valid_yet_has_none_left(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("a.example", not_before=NOW + DAY, not_after=NOW + 9 * DAY)
    assert days_left(*written(tmp_path, leaf), NOW.timestamp()) == 0.0


def test_a_context_without_a_certificate_can_not_be_judged(tmp_path: Path) -> None:
    _, certificate = written(tmp_path, trustme.CA().issue_cert("a.example"))
    assert days_left(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, NOW.timestamp()) is None


def test_a_certificate_of_somebody_else_can_not_be_judged(tmp_path: Path) -> None:
    context, _ = written(tmp_path, trustme.CA().issue_cert("a.example"))
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("b.example").cert_chain_pems[0].write_to_path(str(other))
    assert days_left(context, other, NOW.timestamp()) is None


def test_of_an_expired_one_it_is_told_since_when(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("a.example", not_before=NOW - 9 * DAY, not_after=NOW - DAY)
    found = facts(*written(tmp_path, leaf))
    assert found
    assert found.not_after == pytest.approx((NOW - DAY).timestamp(), abs=1)
    assert found.names == ("a.example",)


def test_of_a_context_without_one_nothing_is_told(tmp_path: Path) -> None:
    _, certificate = written(tmp_path, trustme.CA().issue_cert("a.example"))
    assert facts(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate) is None


def test_the_names_are_those_that_it_lists(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("a.example", "*.b.example", "127.0.0.1")
    assert names(*written(tmp_path, leaf)) == ["a.example", "*.b.example", "127.0.0.1"]


def test_a_context_without_a_certificate_has_no_names(tmp_path: Path) -> None:
    _, certificate = written(tmp_path, trustme.CA().issue_cert("a.example"))
    assert names(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate) == []


@pytest.mark.parametrize(
    ("host", "is_good"),
    [
        ("a.example", True),
        ("A.Example", True),
        ("x.b.example", True),
        ("b.example", False),
        ("x.y.b.example", False),
        ("127.0.0.1", True),
        ("c.example", False),
    ],
)
def test_a_wildcard_stands_for_one_label(host: str, is_good: bool) -> None:
    assert is_good_for(host, ["a.example", "*.b.example", "127.0.0.1"]) is is_good
