"""The CloudFormation template has no finding of cfn-lint, and its function, run by Node.js, keeps the rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import textwrap
from typing import Any

import pytest
from cfnlint.api import ManualArgs, lint

from tests.export.server import export
from tests.export.test_exported import SDK_NAMES

ORIGIN = "https://app.example.com"
NAMED: dict[str, Any] = {"cors": {"allow_origins": [ORIGIN, "https://*.example.org", "http://[::1]:3000"]}}
EDITED: dict[str, Any] = {
    "region": {"strict": True, "hosts": {"replay.example.com": "us", "replay-eu.example.com": "eu"}},
    "paths": {"track": ["/in", "/sessions/v2/track"], "config": ["/cfg", "/config"]},
    "cors": {"allow_origins": [ORIGIN], "foreign_origin": "refuse", "allow_headers": ["X-Session-Token"]},
    "headers": {"upstream": {"set": {"X-Token": "secret"}, "remove": ["Referer"]}, "forward_cookies": ["consent"]},
    "upstreams": {"eu": {"config": "https://replay.internal.example:8443/eu/config"}},
    "client_ip": {"forward": "truncate"},
    "limits": {"body": 1000},
}
SETTINGS = {"named": NAMED, "edited": EDITED}
# Reads events, one in a line; writes what the function makes of each.
RUNNER = """
const lines = require("fs").readFileSync(0, "utf8").trim().split("\\n");
for (const line of lines) console.log(JSON.stringify(handler(JSON.parse(line))));
"""


def request(method: str, uri: str, **headers: str) -> dict[str, Any]:
    """A request as CloudFront shows it to functions."""
    fields = {"host": "replay.example.com", "origin": ORIGIN} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return {
        "method": method,
        "uri": uri,
        "headers": {name: {"value": value} for name, value in fields.items() if value},
    }


def handled(template: str, number: int, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """What the template's function of this number makes of the requests."""
    codes = re.findall(r"^      FunctionCode: \|\n((?:        .*\n|\n)+)", template, re.MULTILINE)
    events = "\n".join(json.dumps({"request": each}) for each in requests)
    program = textwrap.dedent(codes[number]) + RUNNER
    node = shutil.which("node")
    assert node, "Node.js is not installed"
    done = subprocess.run([node, "-e", program], input=events, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def field(answer: dict[str, Any], name: str) -> str | None:
    """The value of a field of an answer."""
    value = answer["headers"].get(name)
    return str(value["value"]) if value else None


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("cloudfront")
    return {name: export("cloudfront", config, folder) for name, config in SETTINGS.items()}


@pytest.mark.parametrize("name", SETTINGS)
def test_cfn_lint_finds_nothing(templates: dict[str, str], name: str) -> None:
    assert [str(match) for match in lint(templates[name], config=ManualArgs(regions=["us-east-1"]))] == []


def test_cfn_lint_would_find_something(templates: dict[str, str]) -> None:
    broken = templates["named"].replace("ViewerProtocolPolicy: https-only", "ViewerProtocolPolicy: none")
    assert lint(broken, config=ManualArgs(regions=["us-east-1"])) != []


def test_the_function_is_small_enough(templates: dict[str, str]) -> None:
    codes = re.findall(r"FunctionCode: \|\n((?:        .*\n|\n)+)", templates["edited"])
    assert len(codes) == 2
    assert all(len(textwrap.dedent(code)) < 10_240 for code in codes)


def test_preflights_are_answered_at_the_edge(templates: dict[str, str]) -> None:
    track, config, foreign = handled(
        templates["named"],
        0,
        request("OPTIONS", "/sessions/v2/track"),
        request("OPTIONS", "/config/key"),
        request("OPTIONS", "/config/key", origin="https://evil.example"),
    )
    for answer, methods in ((track, "POST, OPTIONS"), (config, "GET, HEAD, OPTIONS")):
        assert answer["statusCode"] == 204
        assert field(answer, "access-control-allow-origin") == ORIGIN
        assert field(answer, "access-control-allow-credentials") == "true"
        assert field(answer, "access-control-allow-methods") == methods
        assert {name.lower() for name in str(field(answer, "access-control-allow-headers")).split(", ")} == SDK_NAMES
        assert field(answer, "access-control-max-age") == "7200"
        assert field(answer, "vary") == "Origin"
    assert foreign["statusCode"] == 204
    assert not any(name.startswith("access-control-") for name in foreign["headers"])


def test_paths_become_those_of_the_vendor(templates: dict[str, str]) -> None:
    us = handled(
        templates["edited"],
        0,
        request("POST", "/in"),
        request("POST", "/sessions/v2/track", content_length="1000"),
        request("GET", "/cfg/key"),
        request("HEAD", "/config//key"),
        request("GET", "/config"),
        request("GET", "/config/key", origin=""),
    )
    paths = ["/sessions/v2/track", "/sessions/v2/track", "/config/key", "/config/key", "/config", "/config/key"]
    assert [each["uri"] for each in us] == paths
    [eu] = handled(templates["edited"], 1, request("GET", "/cfg/key", host="replay-eu.example.com"))
    assert eu["uri"] == "/eu/config/key"


def test_claims_and_what_is_to_be_removed_go_and_all_else_stays(templates: dict[str, str]) -> None:
    sent = {
        "referer": "https://a.example/",
        "forwarded": "for=9.9.9.9",
        "x_forwarded_host": "a",
        "x_client_version": "1",
    }
    [passed] = handled(templates["edited"], 0, request("POST", "/in", **sent))
    assert set(passed["headers"]) == {"host", "origin", "x-client-version"}


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (404, request("GET", "/")),
        (404, request("POST", "/inX")),
        (404, request("GET", "/configX")),
        (404, request("GET", "/config/key/more")),
        (404, request("GET", "/config/..")),
        (405, request("GET", "/in")),
        (405, request("POST", "/config/key")),
        (405, request("DELETE", "/in")),
        (413, request("POST", "/in", content_length="1001")),
        (421, request("POST", "/in", host="abc.cloudfront.net")),
    ],
)
def test_what_is_refused_can_be_read_by_the_page(templates: dict[str, str], status: int, asked: dict[str, Any]) -> None:
    [answer] = handled(templates["edited"], 0, asked)
    assert answer["statusCode"] == status
    assert field(answer, "access-control-allow-origin") == ORIGIN
    assert field(answer, "access-control-allow-credentials") == "true"
    if status == 413:
        assert answer["body"]["data"] == "Payload exceeds the maximum allowed size of 1000 bytes"


def test_origins_are_those_of_the_settings(templates: dict[str, str]) -> None:
    allowed = [ORIGIN, "https://a.b.example.org", "http://[::1]:3000"]
    foreign = ["https://evil.example", "https://example.org", "https://app.example.com.evil.example", "null"]
    asked = [request("OPTIONS", "/config/key", origin=origin) for origin in (*allowed, *foreign)]
    answers = handled(templates["named"], 0, *asked)
    assert [field(answer, "access-control-allow-origin") for answer in answers] == [*allowed, *[None] * len(foreign)]


def test_a_foreign_page_is_refused_where_it_is_to_be(templates: dict[str, str]) -> None:
    evil = "https://evil.example"
    asked = (request("POST", "/in", origin=evil), request("GET", "/cfg/key", origin=evil))
    answers = handled(templates["edited"], 0, *asked)
    assert [answer["statusCode"] for answer in answers] == [403, 400]
    [served] = handled(templates["named"], 0, request("POST", "/sessions/v2/track", origin=evil))
    assert served["uri"] == "/sessions/v2/track"
