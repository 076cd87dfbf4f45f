"""Proves what is concluded from what a stand-in vendor has seen. That it tells real requests rightly is proved in
tests/doctor/test_proxies.py.
"""

from __future__ import annotations

import asyncio
import ssl
from hashlib import sha256
from typing import Any

import pytest

from proxy.doctor.arrivals import StandIn, about_connections, about_fields, about_names, about_upload
from proxy.doctor.asking import Asker, Patience
from proxy.doctor.browser import Sdk
from proxy.doctor.outside_findings import Outside
from proxy.doctor.uploads import Visit
from proxy.model.check import Check
from tests.doctor.flawed import Asked, Flaw, FlawedProxy, Reply, flawed_proxy
from tests.gateway import free_port

SDK = Sdk("https://replay.example.com/sessions/v2/track", "https://replay.example.com/config")
DIGEST = sha256(SDK.upload().body).hexdigest()


def record(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A compressed upload that arrived as it should."""
    return {
        "seq": number,
        "connection": 1,
        "tls_sni": "vendor.example",
        "tls_version": "TLSv1.3",
        "method": "POST",
        "version": "HTTP/1.1",
        "headers": [["Host", "vendor.example"], ["Content-Encoding", "gzip"]],
        "body_sha256": DIGEST,
        "complete": True,
        **changes,
    }


def with_field(name: str, value: str) -> dict[str, Any]:
    return record(headers=[*record()["headers"], [name, value]])


def labels(checks: Any) -> list[str]:
    return [check.name for check in checks]


def test_what_arrived_as_it_should_is_no_finding() -> None:
    records = [record(number) for number in range(5)]
    assert labels(about_upload(records, SDK)) == []
    assert labels(about_fields(records)) == []
    assert labels(about_names(records)) == []
    assert labels(about_connections(records)) == []


@pytest.mark.parametrize("records", [[], [record(complete=False)], [record(method="OPTIONS")]])
def test_an_upload_that_did_not_arrive(records: list[dict[str, Any]]) -> None:
    assert labels(about_upload(records, SDK)) == [Outside.NOT_ARRIVED.label]


def test_an_upload_of_other_bytes() -> None:
    assert labels(about_upload([record(body_sha256="00")], SDK)) == [Outside.BODY_ALTERED.label]


def test_a_cookie_of_the_visitors() -> None:
    assert labels(about_fields([with_field("cookie", "a=b; replay-gateway-doctor=1")])) == [
        Outside.COOKIE_FORWARDED.label
    ]
    assert labels(about_fields([with_field("cookie", "other=1")])) == []


def test_an_address_that_the_client_made_up() -> None:
    found = labels(about_fields([with_field("X-Forwarded-For", "192.0.2.77, 10.0.0.1")]))
    assert found == [Outside.FORGED_ADDRESS.label]


@pytest.mark.parametrize("name", [None, "amplitude_replay"])
def test_a_server_name_that_is_not_the_host(name: str | None) -> None:
    (found,) = about_names([record(tls_sni=name), record()])
    assert found.name == Outside.WRONG_NAME.label
    assert (name or "missing") in found.what


def test_without_tls_no_name_is_wrong_and_a_port_is_no_part_of_it() -> None:
    assert labels(about_names([record(tls_sni=None, tls_version=None)])) == []
    port = record(headers=[["Host", "Vendor.example:8443"]])
    assert labels(about_names([port])) == []


def test_a_connection_for_each_request() -> None:
    records = [record(number, connection=number, version="HTTP/1.0") for number in range(4)]
    (found,) = about_connections(records)
    assert found.name == Outside.UPSTREAM_CLOSES.label
    assert "4 requests, HTTP/1.0" in found.what
    assert labels(about_connections(records[:3])) == []


def broken(asked: Asked, reply: Reply) -> None:
    reply.status = 502


def unreadable(asked: Asked, reply: Reply) -> None:
    reply.status = 502
    del reply.fields["Access-Control-Allow-Origin"]


def made_up(asked: Asked, reply: Reply) -> None:
    reply.status = 200


def cut(asked: Asked, reply: Reply) -> None:
    reply.is_cut = True


async def failure(proxy: FlawedProxy) -> list[Check]:
    async with Asker(Patience(), ssl.create_default_context()) as asker:
        return await StandIn("http://127.0.0.1:1", asker).check_failure(Visit(Sdk(proxy.track, proxy.config), asker))


@pytest.mark.parametrize(("flaw", "is_fine"), [(broken, True), (unreadable, False), (made_up, False), (cut, False)])
def test_what_a_page_gets_when_the_vendor_breaks(flaw: Flaw, is_fine: bool) -> None:
    with flawed_proxy(free_port()) as proxy:
        proxy.flaw = flaw
        (check,) = asyncio.run(failure(proxy))
    assert (check.state == "ok") is is_fine
    assert is_fine or check.name == Outside.FAILURE_UNREADABLE.label
