"""Proves that the doctor tells from inside whether the vendor can be reached as the gateway reaches it, and whether the
gateway can listen or does: over the stand-in vendor, a real gateway, and servers that are wrong in one way each.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from proxy.cli import main
from proxy.doctor.inside_findings import Inside
from proxy.doctor.outside_findings import Outside
from proxy.doctor.upstreams import check_upstreams
from proxy.model.check import Check
from proxy.settings import Settings
from tests.doctor.servers import Certificates, Talk, answering, deaf, garbled, serving
from tests.gateway import Gateway, free_port, vendor_upstreams
from tests.standin import StandIn

VENDOR = "api-sr.amplitude.com"
# How slow this machine is, is not what is judged here.
PATIENT = {"config_total": "5s"}


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    with StandIn("--quiet") as vendor:
        yield vendor


@pytest.fixture(scope="module")
def gateway(standin: StandIn) -> Iterator[Gateway]:
    with Gateway({"timeouts": PATIENT}, standin=standin) as running:
        yield running


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def doctor(folder: Path, settings: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and checks of the command with these settings."""
    config = folder / "gateway.yaml"
    config.write_text(json.dumps(settings))
    result = CliRunner().invoke(main, ["doctor", "--config", str(config), "--json"])
    return result.exit_code, json.loads(result.stdout)


def bad(checks: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Name and place of all that is not fine."""
    return [(each["name"], each["where"]) for each in checks if each["state"] != "ok"]


def own_region(track: dict[str, Any] | str, config: dict[str, Any] | str, **timeouts: str) -> Settings:
    """Settings with one region in use."""
    upstreams = {"here": {"track": track, "config": config}}
    written = {"upstreams": upstreams, "region": {"default": "here"}, "timeouts": timeouts}
    return Settings.model_validate(written)


def upstream_findings(settings: Settings) -> list[Check]:
    return [check for check in check_upstreams(settings) if check.state != "ok"]


def test_a_gateway_that_runs_in_front_of_its_vendor_is_fine(gateway: Gateway, standin: StandIn, tmp_path: Path) -> None:
    standin.clear()
    code, checks = doctor(tmp_path, gateway.config)
    assert bad(checks) == []
    assert code == 0
    told = {each["where"]: each["what"] for each in checks}
    assert f"Host: {VENDOR}, SNI {VENDOR}: 204" in told["upstreams.us.track"]
    assert "a gateway answers at" in told["listen[0].address"]
    assert "a gateway answers at" in told["listen[1].address"]
    assert "is ready" in told["admin.address"]
    assert "localhost" in told["listen[1].tls"]
    # The region that no rule leads to is nobody's business, and nothing is uploaded.
    assert {record["site"] for record in standin.requests()} == {"us-tls"}
    sent = [(each["method"], each["target"], dict(each["headers"])["Host"]) for each in standin.requests()]
    assert sent == [
        ("OPTIONS", "/sessions/v2/track", VENDOR),
        ("GET", "/config/replay-gateway-doctor?config_group=browser", "sr-client-cfg.amplitude.com"),
    ]
    assert [record["violations"] for record in standin.requests()] == [[], []]


def test_all_regions_that_a_rule_leads_to_are_asked(standin: StandIn) -> None:
    standin.clear()
    rules = {"strict": True, "hosts": {"a.example.com": "eu"}, "api_keys": {"k" * 32: "us"}}
    written = {"upstreams": vendor_upstreams(standin), "region": rules, "timeouts": PATIENT}
    settings = Settings.model_validate(written)
    checks = list(check_upstreams(settings))
    assert {check.state for check in checks} == {"ok"}
    assert [check.where for check in checks] == [
        f"upstreams.{region}.{route}" for region in ("eu", "us") for route in ("track", "config")
    ]


def test_addresses_that_are_free_are_fine(standin: StandIn, tmp_path: Path) -> None:
    addresses = {
        "listen": {"address": f"127.0.0.1:{free_port()}"},
        "admin": {"address": f"127.0.0.1:{free_port()}"},
        "upstreams": vendor_upstreams(standin),
        "timeouts": PATIENT,
    }
    code, checks = doctor(tmp_path, addresses)
    assert bad(checks) == []
    assert code == 0


def test_addresses_that_somebody_else_has(standin: StandIn, tmp_path: Path) -> None:
    with serving(deaf) as port, serving(answering("HTTP/1.1 200 OK\r\nServer: other")) as admin:
        addresses = {
            "listen": {"address": f"127.0.0.1:{port}"},
            "admin": {"address": f"127.0.0.1:{admin}"},
            "upstreams": vendor_upstreams(standin),
            "timeouts": PATIENT,
        }
        code, checks = doctor(tmp_path, addresses)
    assert bad(checks) == [
        (Inside.ADDRESS_TAKEN.label, "listen[0].address"),
        (Inside.ADMIN_TAKEN.label, "admin.address"),
    ]
    assert code == 1


def test_an_address_that_this_machine_does_not_have(standin: StandIn, tmp_path: Path) -> None:
    addresses = {
        "listen": {"address": "192.0.2.1:8080"},
        "admin": None,
        "upstreams": vendor_upstreams(standin),
        "timeouts": PATIENT,
    }
    assert bad(doctor(tmp_path, addresses)[1]) == [(Inside.ADDRESS_UNUSABLE.label, "listen[0].address")]


def test_a_gateway_that_is_not_ready_is_told(standin: StandIn, tmp_path: Path) -> None:
    with serving(answering("HTTP/1.1 503 Service Unavailable\r\nServer: replay-gateway")) as admin:
        addresses = {
            "listen": {"address": f"127.0.0.1:{free_port()}"},
            "admin": {"address": f"127.0.0.1:{admin}"},
            "upstreams": vendor_upstreams(standin),
            "timeouts": PATIENT,
        }
        code, checks = doctor(tmp_path, addresses)
    assert bad(checks) == [(Inside.NOT_READY.label, "admin.address")]
    assert code == 0


def test_certificates_of_listeners(certificates: Certificates, standin: StandIn, tmp_path: Path) -> None:
    good, soon, expired = (certificates.issue("replay.example.com", days=days) for days in (90, 5, -1))
    pairs = [good, soon, expired, (good[0], soon[1])]
    settings = {
        "listen": [
            {"address": f"127.0.0.1:{free_port()}", "tls": {"certificate": str(certificate), "key": str(key)}}
            for certificate, key in pairs
        ],
        "admin": None,
        "upstreams": vendor_upstreams(standin),
        "region": {"hosts": {"replay.example.com": "us", "replay.example.org": "us"}},
        "timeouts": PATIENT,
    }
    code, checks = doctor(tmp_path, settings)
    assert bad(checks) == [
        (Inside.CERTIFICATE_EXPIRES.label, "listen[1].tls"),
        (Inside.CERTIFICATE_EXPIRED.label, "listen[2].tls"),
        (Inside.CERTIFICATE_UNUSABLE.label, "listen[3].tls"),
        (Inside.CERTIFICATE_NAME.label, "region.hosts"),
    ]
    assert code == 1


def test_the_archive_is_looked_over_with_the_rest(standin: StandIn, tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file where the folder should be")
    settings = {
        "listen": {"address": f"127.0.0.1:{free_port()}"},
        "admin": None,
        "upstreams": vendor_upstreams(standin),
        "archive": {"directory": str(tmp_path / "archive"), "spool": {"directory": str(tmp_path / "spool")}},
    }
    code, checks = doctor(tmp_path, settings)
    assert code == 1
    states = {each["name"]: each["state"] for each in checks}
    assert states["folder"] == "fail"
    assert {"spool medium", "spool access", "spool room", "spool nodes"} <= states.keys()


def test_a_vendor_without_an_address_and_one_that_nobody_is_at() -> None:
    settings = own_region("https://vendor.invalid/track", {"url": "https://a.example", "connect": "127.0.0.1:1"})
    assert [(check.name, check.where) for check in upstream_findings(settings)] == [
        (Inside.UPSTREAM_NO_ADDRESS.label, "upstreams.here.track"),
        (Inside.UPSTREAM_NO_CONNECTION.label, "upstreams.here.config"),
    ]


@pytest.mark.parametrize(
    ("issued", "days", "is_trusted", "why"),
    [
        (VENDOR, 90, False, "not trusted here"),
        (VENDOR, -1, True, "has expired"),
        ("elsewhere.example", 90, True, "for other names"),
    ],
)
def test_the_vendors_certificate_is_verified_as_the_gateway_does(
    certificates: Certificates, issued: str, days: float, is_trusted: bool, why: str
) -> None:
    with serving(answering("HTTP/1.1 401 Unauthorized"), certificates.context(issued, days=days)) as port:
        ca_file = str(certificates.ca_file) if is_trusted else None
        upstream = {"url": f"https://{VENDOR}", "connect": f"127.0.0.1:{port}", "ca_file": ca_file}
        found = upstream_findings(own_region(upstream, upstream))
    assert [check.name for check in found] == [Inside.UPSTREAM_TLS.label] * 2
    assert why in found[0].what
    assert VENDOR in found[0].what


def test_a_certificate_of_the_vendors_that_soon_expires(certificates: Certificates) -> None:
    with serving(answering("HTTP/1.1 401 Unauthorized"), certificates.context(VENDOR, days=5)) as port:
        upstream = {"url": f"https://{VENDOR}", "connect": f"127.0.0.1:{port}", "ca_file": str(certificates.ca_file)}
        found = upstream_findings(own_region(upstream, upstream, config_total="9s"))
    assert [check.name for check in found] == [Inside.UPSTREAM_EXPIRES.label] * 2


def test_an_authority_that_can_not_be_read() -> None:
    upstream = {"url": "https://127.0.0.1:1", "ca_file": "/nowhere/ca.pem"}
    found = upstream_findings(own_region(upstream, upstream))
    assert [check.name for check in found] == [Inside.UPSTREAM_TLS.label] * 2
    assert "ca_file /nowhere/ca.pem" in found[0].what


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        (answering("HTTP/1.1 401 Unauthorized"), []),
        (answering("HTTP/1.1 421 Misdirected Request"), [Inside.UPSTREAM_WRONG_HOST]),
        (answering("HTTP/1.1 302 Found\r\nLocation: https://portal.example/"), [Inside.UPSTREAM_REDIRECT]),
        (answering("HTTP/1.1 503 Service Unavailable"), [Inside.UPSTREAM_BROKEN]),
        (answering("ICY 200 OK"), [Inside.UPSTREAM_NO_ANSWER]),
        (garbled, [Inside.UPSTREAM_NO_ANSWER]),
        (deaf, [Inside.UPSTREAM_NO_ANSWER]),
    ],
)
def test_what_the_vendor_answers(talk: Talk, expected: list[Inside]) -> None:
    with serving(talk) as port:
        found = upstream_findings(
            own_region(f"http://127.0.0.1:{port}/t", f"http://127.0.0.1:{port}/c", config_total="9s")
        )
    assert [check.name for check in found] == [each.label for each in expected] * 2


def test_a_vendor_beyond_this_machine_without_tls() -> None:
    with serving(answering("HTTP/1.1 401 Unauthorized")) as port:
        url = f"http://0.0.0.0:{port}"
        found = upstream_findings(own_region(url, url, config_total="9s"))
    assert [check.name for check in found] == [Inside.UPSTREAM_IN_THE_CLEAR.label] * 2


def test_a_vendor_that_is_later_than_the_gateway_waits(standin: StandIn) -> None:
    standin.clear()
    standin.behave({"action": "delay", "seconds": 0.4})
    settings = Settings.model_validate(
        {"upstreams": vendor_upstreams(standin), "timeouts": {"config_total": "300ms", "first_byte": "9s"}}
    )
    found = upstream_findings(settings)
    standin.clear()
    assert [(check.name, check.where) for check in found] == [(Inside.UPSTREAM_LATE.label, "upstreams.us.config")]
    assert "timeouts.config_total (300 ms)" in found[0].what


def test_a_vendor_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.doctor.upstreams._ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        found = upstream_findings(own_region(url, url))
    assert [check.name for check in found] == [Inside.UPSTREAM_NO_ANSWER.label] * 2


def test_a_configuration_that_is_wrong_ends_with_2(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("listen: nonsense")
    for more in ([], ["--url", "https://replay.example.com/sessions/v2/track"]):
        result = CliRunner().invoke(main, ["doctor", "--config", str(config), *more])
        assert result.exit_code == 2
        assert "listen" in result.stderr


def test_from_outside_a_gateway_with_its_defaults_lets_any_page_in_and_nothing_else(gateway: Gateway) -> None:
    result = CliRunner().invoke(main, ["doctor", "--url", f"{gateway.url}/sessions/v2/track", "--json"])
    assert [each["name"] for each in json.loads(result.stdout) if each["state"] != "ok"] == [Outside.ANY_ORIGIN.label]
    assert result.exit_code == 0
