"""Proves that what the doctor sends is what captured browsers sent, and that it says whose it is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from proxy.doctor.browser import INVENTED_KEY, LARGE, UPLOAD_HEADERS, Request, Sdk

CAPTURES = Path(__file__).resolve().parents[2] / "processes" / "captures"
SDK = Sdk("https://replay.example.com/sessions/v2/track", "https://replay.example.com/config")
# What a browser adds by itself, and what every HTTP client does.
BROWSERS_OWN = {"host", "connection", "content-length", "accept-language", "referer"}


def captured(name: str) -> tuple[str, set[str]]:
    """The request line and the names of the fields, in lower case."""
    head = (CAPTURES / f"{name}.req").read_bytes().partition(b"\r\n\r\n")[0].partition(b"\n\n")[0].decode("latin-1")
    first, *lines = head.splitlines()
    return first, {line.partition(":")[0].lower() for line in lines if ":" in line}


def fields(request: Request) -> set[str]:
    return {name.lower() for name, _ in request.fields}


@pytest.mark.parametrize(
    ("name", "request_"),
    [("standalone-0006", SDK.upload()), ("nogzip-0006", SDK.plain_upload()), ("standalone-0008", SDK.beacon())],
)
def test_uploads_have_the_fields_that_a_captured_one_has(name: str, request_: Request) -> None:
    first, seen = captured(name)
    assert first.startswith("POST ")
    own = {each for each in seen if each.startswith(("sec-", "if-"))} | BROWSERS_OWN
    assert seen - own <= fields(request_)
    assert fields(request_) - seen - {"sec-fetch-mode"} == ({"cookie"} if "api_key" in request_.url else set())


def test_the_compressed_and_the_plain_upload_are_the_same() -> None:
    assert gzip.decompress(SDK.upload().body) == SDK.plain_upload().body
    batch = json.loads(SDK.plain_upload().body)
    assert batch["version"] == 1
    assert json.loads(batch["events"][0])["data"]["tag"] == "replay-gateway-doctor"


def test_the_large_upload_is_a_batch_that_can_hardly_be_compressed() -> None:
    body = SDK.plain_upload(LARGE).body
    assert LARGE <= len(body) < LARGE * 1.01
    assert len(json.loads(body)["events"]) == 2
    assert len(gzip.compress(body, 1)) > LARGE / 2


def test_what_is_sent_names_the_doctor() -> None:
    for request in (SDK.upload(), SDK.plain_upload(), SDK.beacon(), SDK.upload_preflight(), SDK.beacon_preflight()):
        assert "device_id=replay-gateway-doctor&session_id=1&type=replay" in request.url
    assert SDK.configuration().url == f"https://replay.example.com/config/{INVENTED_KEY}?config_group=browser"
    assert f"api_key={INVENTED_KEY}" in SDK.old_configuration().url
    assert SDK.is_invented
    assert not Sdk(SDK.track, SDK.config, api_key="mine").is_invented


def test_the_header_list_of_a_preflight_is_the_sdks() -> None:
    assert UPLOAD_HEADERS == (
        "authorization,content-encoding,content-type,x-client-library,x-client-sample-rate,x-client-url,"
        "x-client-version,x-sampling-hash-alg"
    )
    assert dict(SDK.upload_preflight().fields)["Access-Control-Request-Headers"] == UPLOAD_HEADERS
    assert dict(SDK.beacon_preflight().fields)["Access-Control-Request-Headers"] == "content-type"


def test_addresses_are_used_as_they_are_given() -> None:
    sdk = Sdk("https://a.example/t/", "https://a.example/c/")
    assert sdk.upload().url.startswith("https://a.example/t/?device_id=")
    assert sdk.configuration().url.startswith("https://a.example/c//")
