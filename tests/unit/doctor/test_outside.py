"""Proves how findings are put together, and that a step which breaks takes no other with it."""

from __future__ import annotations

import pytest

from proxy.doctor import outside
from proxy.doctor.browser import Sdk
from proxy.doctor.outside import Outing, check_outside, merged
from proxy.doctor.outside_findings import Outside
from proxy.doctor.uploads import Visit
from proxy.model.check import Check
from tests.doctor.flawed import flawed_proxy
from tests.gateway import free_port


def test_the_same_finding_is_told_once_where_it_was_first() -> None:
    checks = [
        Outside.CORS_MISSING.at("upload"),
        Outside.SET_COOKIE.at("upload", name="a"),
        Outside.CORS_MISSING.at("configuration"),
        Outside.CORS_MISSING.at("upload"),
        Outside.SET_COOKIE.at("upload", name="b"),
    ]
    assert [(check.name, check.where) for check in merged(checks)] == [
        ("cors-missing", "upload, configuration"),
        ("set-cookie", "upload"),
        ("set-cookie", "upload"),
    ]


def test_a_step_that_breaks_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(_: Visit) -> list[Check]:
        raise RuntimeError("out of order")

    async def works(_: Visit) -> list[Check]:
        return [Check("works", "ok", "fine")]

    monkeypatch.setattr(outside, "STEPS", (("breaks", breaks), ("works", works)))
    with flawed_proxy(free_port()) as proxy:
        checks = list(check_outside(Outing(Sdk(proxy.track, proxy.config))))
    assert [(check.name, check.state) for check in checks] == [("way", "ok"), ("breaks", "unknown"), ("works", "ok")]
    assert "RuntimeError: out of order" in checks[1].what


def test_an_authority_that_can_not_be_read_is_told() -> None:
    sdk = Sdk("https://127.0.0.1/t", "https://127.0.0.1/c")
    (check,) = check_outside(Outing(sdk, ca_file="/nowhere/ca.pem"))
    assert (check.name, check.state) == ("outside", "unknown")
