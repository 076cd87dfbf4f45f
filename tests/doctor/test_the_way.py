"""Proves that the doctor tells from outside why nobody can be asked, that it always comes to an end, and that nothing
escapes from it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.doctor.asking import Patience
from proxy.doctor.browser import Sdk
from proxy.doctor.outside import Outing, check_outside
from proxy.doctor.outside_findings import Outside
from proxy.model.check import Check
from tests.doctor.servers import Certificates, Talk, answering, deaf, endless, garbled, serving, silent
from tests.gateway import free_port

SHORT = Patience(connect=3.0, answer=0.3, interim=0.3, total=60.0)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def findings(base: str, ca_file: Path | None = None, patience: Patience = SHORT) -> list[Check]:
    sdk = Sdk(f"{base}/sessions/v2/track", f"{base}/config")
    checks = check_outside(Outing(sdk, patience, str(ca_file) if ca_file else None))
    return [check for check in checks if check.state != "ok"]


def names(found: list[Check]) -> list[str]:
    return [check.name for check in found]


def test_nobody_listens() -> None:
    (found,) = findings(f"http://127.0.0.1:{free_port()}")
    assert found.name == Outside.UNREACHABLE.label
    assert "Connection refused" in found.what


def test_a_name_without_an_address() -> None:
    (found,) = findings("http://replay.invalid")
    assert found.name == Outside.UNREACHABLE.label
    assert "replay.invalid has no address" in found.what


@pytest.mark.parametrize(
    ("issued", "days", "is_trusted", "why"),
    [
        ("localhost", 90, False, "not trusted here"),
        ("localhost", -1, True, "has expired"),
        ("elsewhere.example", 90, True, "for other names"),
    ],
)
def test_certificates_that_browsers_refuse(
    certificates: Certificates, issued: str, days: float, is_trusted: bool, why: str
) -> None:
    with serving(silent, certificates.context(issued, days=days)) as port:
        (found,) = findings(f"https://localhost:{port}", certificates.ca_file if is_trusted else None)
    assert found.name == Outside.TLS_REFUSED.label
    assert why in found.what


@pytest.mark.parametrize("talk", [garbled, deaf])
def test_a_server_that_speaks_no_tls(talk: Talk) -> None:
    with serving(talk) as port:
        assert names(findings(f"https://localhost:{port}")) == [Outside.TLS_REFUSED.label]


def test_a_certificate_that_soon_expires(certificates: Certificates) -> None:
    with serving(deaf, certificates.context("localhost", days=5.5)) as port:
        found = findings(f"https://localhost:{port}", certificates.ca_file)
    assert found[0].name == Outside.TLS_EXPIRES.label
    assert "in 5 days" in found[0].what or "in 6 days" in found[0].what


def test_http_beyond_this_machine() -> None:
    with serving(deaf) as port:
        assert names(findings(f"http://0.0.0.0:{port}"))[0] == Outside.NO_TLS.label


@pytest.mark.parametrize("talk", [silent, garbled, deaf, endless])
def test_who_gives_no_answer_is_given_up(talk: Talk) -> None:
    with serving(talk) as port:
        found = findings(f"http://127.0.0.1:{port}")
    assert set(names(found)) == {Outside.NO_ANSWER.label, Outside.GAVE_UP.label}
    assert found[-1].state == "unknown"


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 999 \x1b[2J",
        "HTTP/1.1 abc OK",
        "HTTP/9.9 200 OK",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\nno field",
        "HTTP/1.1 200 OK\r\nX: \x00",
        "HTTP/1.1 101 Switching Protocols",
        "HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: \u00ff\u009b31m\r\nAccess-Control-Max-Age: -1e9",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: \u00a0",
        "HTTP/1.1 302 Found\r\nLocation: http://[",
        "HTTP/1.1 200 OK\r\nSet-Cookie: =;;;\r\nVary: ,,,",
    ],
)
def test_whatever_is_answered_is_judged_and_can_be_printed(head: str) -> None:
    with serving(answering(head)) as port:
        found = findings(f"http://127.0.0.1:{port}")
    assert found
    assert [check for check in found if "broke off" in check.what] == []
    assert all((check.what + check.where + check.remedy).isprintable() for check in found)


def test_a_server_that_takes_no_handshake_is_given_up() -> None:
    with serving(silent) as port:
        patience = Patience(connect=0.3)
        assert names(findings(f"https://localhost:{port}", patience=patience)) == [Outside.UNREACHABLE.label]


def test_all_together_are_bounded() -> None:
    with serving(silent) as port:
        found = findings(f"http://127.0.0.1:{port}", patience=Patience(answer=0.2, total=0.3))
    assert names(found)[-1] == Outside.GAVE_UP.label
    assert "0.3 s were not enough" in found[-1].what
