"""Proves that docs/security.md is true: its requests are sent through a gateway, and every field that arrives at the
vendor, at the browser and in the spool must be the one that the page's tables say, and no other."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from proxy.archive.line import Payload, payload_line
from proxy.model.record import Outcome
from proxy.model.verdict import Reason
from proxy.observe.access import json_line
from proxy.observe.ledger import Counter, Ledger, LedgerMemory
from proxy.observe.metrics import GatewayCollector, Processes
from proxy.policy.answers import NOT_RECORDED
from proxy.policy.describe import Describer, fingerprint
from proxy.settings import Settings
from proxy.settings.privacy import ADDRESS_FIELDS
from proxy.spool.rules import SpoolRules
from proxy.spool.tee import Tee
from proxy.wire.answer import _KINDS as ANSWER_KINDS
from proxy.wire.request import _KINDS as REQUEST_KINDS
from tests.unit.edge.stage import Stage, get, ok, run, stage
from tests.unit.observe.records import record
from tests.unit.spool.spooled import kept
from tests.unit.upstream.vendor import Seen

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "security.md").read_text()
KEY = "0123456789abcdef0123456789abcdef"
BODY = b'{"version":1,"events":[]}\n'
OTHER = "X-Customer: 17"
MADE_HERE = re.compile("[0-9a-f]{20,}")
STRIP: dict[str, Any] = {"privacy": {"gpc": "strip"}}
COLUMNS: list[tuple[int, dict[str, Any]]] = [(1, {}), (2, STRIP)]
# Where the page's paths would be the vendor's too, nothing could be seen.
PATHS: dict[str, Any] = {"paths": {"track": ["/r/t"], "config": ["/r/c"]}}
# What a browser or a page may really send; of other fields the value does not matter.
VALUES = {
    "Connection": "keep-alive, x-named",
    "Proxy-Connection": "keep-alive",
    "Expect": "100-continue",
    "Sec-GPC": "1",
    "Content-Encoding": "gzip",
}
TOLD = {
    "the vendor's": ["vendor.example"],
    "the visitor's address": ["127.0.0.1"],
    "the scheme that the browser used": ["http"],
    "the host that the browser used": ["replay.example.com"],
    "scheme, host and port": ["https://app.example.com/"],
    "not sent": [],
}


def table(heading: str) -> list[list[str]]:
    """The cells of each row of the table whose first column has this heading."""
    lines = PAGE.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |")) + 2
    rows: list[list[str]] = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def example() -> list[str]:
    """The head of the request that the page is about."""
    (block,) = re.findall(r"^```http\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(block).splitlines()


def whole_request(*more: str) -> bytes:
    return "\r\n".join([*example(), *more, "", ""]).encode() + BODY


def sent_lines() -> list[str]:
    """Every field that the table of fields names, as far as the example has it not."""
    had = {line.partition(":")[0] for line in example()}
    named = [name for row in table("field") for name in names(row[0]) if name != "_" and name not in had]
    return [*(f"{name}: {VALUES.get(name, f'marked-{name}')}" for name in named), "X_Under: 1", "X-Named: 1", OTHER]


def as_fields(lines: list[str]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        fields.setdefault(name.lower(), []).append(value)
    return fields


def arrived(seen: Seen) -> dict[str, list[str]]:
    return as_fields([f"{name.decode()}: {value.decode()}" for name, value in seen.fields])


def told(cell: str, sent: list[str]) -> list[str]:
    """What a cell of the table of fields means for a field of which `sent` came."""
    if cell.startswith("as sent"):
        return sent
    return [cell] if cell == "made here" else TOLD[cell] if cell in TOLD else names(cell)


@pytest.mark.parametrize(("column", "settings"), COLUMNS)
def test_every_field_that_reaches_the_vendor_is_the_one_that_the_table_says(
    column: int, settings: dict[str, Any]
) -> None:
    async def main() -> None:
        lines = sent_lines()
        sent = as_fields([*example()[1:], *lines])
        expected = {}
        for row in table("field"):
            for name in names(row[0]):
                expected[name.lower()] = told(row[column], sent.get(name.lower(), []))
        (rest,) = [row for row in table("field") if row[0] == "any other"]
        expected["x-customer"] = told(rest[column], ["17"])
        del expected["_"]
        async with stage(**settings) as one:
            client = await one.client()
            assert (await client.ask(whole_request(*lines))).status == 200
            (seen,) = one.vendor.requests
            found = arrived(seen)
            if expected["x-request-id"] == ["made here"]:
                expected["x-request-id"] = [value for value in found["x-request-id"] if MADE_HERE.fullmatch(value)]
            assert found == {name: values for name, values in expected.items() if values}

    run(main)


def test_what_the_code_treats_in_a_way_of_its_own_is_in_the_tables() -> None:
    fields = {name.lower().encode() for row in table("field") for name in names(row[0])}
    # The one is refused, the other is about how a body is sent.
    assert set(REQUEST_KINDS) - fields == {b"upgrade", b"transfer-encoding"}
    fields = {name.lower().encode() for name, _ in answer_rows()}
    assert set(ANSWER_KINDS) - fields == {b"transfer-encoding"}
    assert list(ADDRESS_FIELDS) in [names(row[0]) for row in table("field")]


def test_an_id_of_a_request_is_made_here_if_it_has_none_or_an_odd_one() -> None:
    async def main() -> None:
        (row,) = [row for row in table("field") if "`X-Request-Id`" in row[0]]
        assert row[1] == "as sent, or made here"
        async with stage() as one:
            client = await one.client()
            for more in ((), ("X-Request-Id: me@example.com x",), ("X-Request-Id: " + "1" * 129,)):
                await client.ask(whole_request(*more))
            made = [value for seen in one.vendor.requests for value in seen.all(b"x-request-id")]
            assert len(set(made)) == 3
            assert all(MADE_HERE.fullmatch(value.decode()) for value in made)

    run(main)


KINDS = {
    "upload": (b"POST", b"/r/t", b"?device_id=d&session_id=1&type=replay", BODY),
    "beacon": (b"POST", b"/r/t", b"?device_id=%C3%A9|&session_id=1&type=replay&api_key=K", BODY),
    "configuration": (b"GET", b"/r/c/K%20ey", b"?config_group=browser", b""),
    "older configuration": (b"GET", b"/r/c", b"?api_key=K&config_keys=sessionReplay&session_id=1", b""),
}


@pytest.mark.parametrize(("column", "settings"), COLUMNS)
@pytest.mark.parametrize("kind", KINDS)
def test_request_line_and_body_are_what_the_table_says(kind: str, column: int, settings: dict[str, Any]) -> None:
    rows = {row[0]: row[column] for row in table("what")}
    assert list(rows.values()) == ["as sent", "the vendor's", "as sent", "as sent", "as sent"]
    method, path, query, body = KINDS[kind]
    vendors = b"/sessions/v2/track" if method == b"POST" else b"/config" + path.removeprefix(b"/r/c")

    async def main() -> None:
        async with stage(**PATHS, **settings) as one:
            client = await one.client()
            length = b"Content-Length: %d\r\n" % len(body) if body else b""
            await client.ask(
                b"%b %b%b HTTP/1.1\r\nHost: a\r\nSec-GPC: 1\r\n%b\r\n%b" % (method, path, query, length, body)
            )
            (seen,) = one.vendor.requests
            assert (seen.method, seen.target, seen.body) == (method, vendors + query, body)

    run(main)


@pytest.mark.parametrize("row", table("setting"), ids=lambda row: row[0])
def test_each_setting_makes_of_a_field_what_the_table_says(row: list[str]) -> None:
    (text,) = names(row[0])
    settings = yaml.safe_load(text)
    settings["client_ip"] = {"trusted_proxies": ["127.0.0.1"]} | settings.get("client_ip", {})

    async def main() -> None:
        async with stage(**settings) as one:
            client = await one.client()
            said = ("X-Forwarded-For", "CF-Connecting-IP", "True-Client-IP", "X-Client-IP")
            await client.ask(whole_request(*(f"{name}: 203.0.113.7" for name in said)))
            (seen,) = one.vendor.requests
            for field in names(row[1]):
                assert arrived(seen).get(field.lower(), []) == told(row[2], [])

    run(main)


def test_all_modes_are_in_the_table_of_settings() -> None:
    shown = [yaml.safe_load(names(row[0])[0]) for row in table("setting")]
    for key in ("page_url", "referer"):
        assert {each["privacy"][key] for each in shown if key in each.get("privacy", {})} == {
            "no_query",
            "origin",
            "none",
        }
    assert "203.0.113.7" in PAGE


DROPPED = {
    "preflight": (
        b"OPTIONS /sessions/v2/track?a HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example.com\r\n"
        b"Access-Control-Request-Method: POST\r\n\r\n",
    ),
    "configuration": (get(b"/config/K?config_group=browser", b"Sec-GPC: 1"), get(b"/config?api_key=K", b"Sec-GPC: 1")),
    "upload, beacon": (
        whole_request("Sec-GPC: 1"),
        whole_request("Sec-GPC: 1").replace(b"type=replay ", b"type=replay&api_key=K "),
    ),
}


@asynccontextmanager
async def archiving(folder: Path, **settings: Any) -> AsyncIterator[Stage]:
    """A stage whose gateway archives into a spool."""
    archive = {"spool": {"directory": str(folder), "min_free_bytes": 0}}
    async with stage(archive=archive, **settings) as one:
        rules = one.gateway.settings.archive
        assert rules is not None
        tee = Tee(SpoolRules.of(rules, "node"), Ledger(one.book.row), asyncio.get_running_loop())
        tee.start()
        one.gateway.tee = tee
        yield one
        await one.quiet()
        await tee.close(20)


@pytest.mark.parametrize("row", table("request"), ids=lambda row: row[0])
def test_of_one_who_has_opted_out_nothing_goes_anywhere(row: list[str], tmp_path: Path) -> None:
    kind, answer, vendor, archive = row
    assert (vendor, archive) == ("nothing", "nothing")

    async def main() -> None:
        async with archiving(tmp_path, privacy={"gpc": "drop"}) as one:
            client = await one.client()
            for request in DROPPED[kind]:
                got = await client.ask(request)
                assert got.status == int(answer[:3])
                assert got.one("access-control-allow-origin") == "https://app.example.com"
                assert got.all("x-gateway-reason") == ([] if kind == "preflight" else ["gpc"])
                if kind == "configuration":
                    assert got.body == NOT_RECORDED
                    assert (got.one("content-type"), got.one("cache-control")) == ("application/json", "no-store")
                    assert json.loads(got.body)["configs"]["sessionReplay"]["sr_sampling_config"] == {
                        "capture_enabled": False,
                        "sample_rate": 0,
                    }
            assert one.vendor.requests == []
            assert one.book.read(Counter.SPOOL_OFFERED) == 0
            if kind != "preflight":
                assert {(each.outcome, each.reason) for each in one.book.records} == {(Outcome.REJECTED, Reason.GPC)}

    run(main)
    assert kept(tmp_path) == []


def answer_rows() -> list[tuple[str, str]]:
    return [(name, row[1]) for row in table("field of the vendor's answer") for name in names(row[0])]


def test_every_field_that_reaches_the_browser_is_the_one_that_the_table_says() -> None:
    values = {"X-Session-Replay-Event-Skipped": "429", "Content-Type": "application/json", "Connection": "x-named"}
    sent = {name: values.get(name, f"marked-{name}") for name, _ in answer_rows() if name != "Content-Length"}
    ours = {
        "Access-Control-Allow-Origin": "https://app.example.com",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "X-Session-Replay-Event-Skipped, Retry-After, X-Request-Id",
    }

    async def main() -> None:
        async with stage() as one:
            lines = [f"{name}: {value}".encode() for name, value in sent.items() if name != "Content-Type"]
            one.vendor.reply = lambda seen: ok(b"{}", *lines, b"X-New: 1", b"X-Named: 1", status=b"299 Odd")
            client = await one.client()
            got = await client.ask(whole_request("X-Request-Id: page-1"))
            assert (got.status, got.reason, got.body) == (299, "Odd", b"{}")
            expected = {"vary": ["Origin"], "x-new": ["1"], "content-length": ["2"], "x-request-id": ["page-1"]}
            for name, cell in answer_rows():
                if cell.startswith("as sent") and name != "Content-Length":
                    expected[name.lower()] = [sent[name]]
                elif cell == "the gateway's" and name in ours:
                    expected[name.lower()] = [ours[name]]
            assert as_fields([f"{name}: {value}" for name, value in got.fields]) == expected

    run(main)


def as_kept(cell: str, sent: str) -> str | None:
    """What a cell of the table of the archive means for a value that was sent."""
    if cell == "as sent":
        return sent
    if cell == "as sent, API keys as fingerprints":
        return sent.replace(KEY, fingerprint(KEY.encode()))
    return {"fingerprint": fingerprint(KEY.encode()), "`null`": None}[cell]


@pytest.mark.parametrize(("column", "settings"), COLUMNS)
def test_what_the_archive_gets_is_what_the_table_says(column: int, settings: dict[str, Any], tmp_path: Path) -> None:
    query = f"device_id=d-1&session_id=17&type=replay&api_key={KEY}"
    sent = {"path": "/sessions/v2/track", "query": query, "device_id": "d-1", "session_id": "17", "key": KEY, "ip": ""}
    request = whole_request("Sec-GPC: 1").replace(b"type=replay ", f"type=replay&api_key={KEY} ".encode())
    arrivals: list[Seen] = []

    async def main() -> None:
        async with archiving(tmp_path, **settings) as one:
            client = await one.client()
            assert (await client.ask(request)).status == 200
            arrivals.extend(one.vendor.requests)

    run(main)
    (frame,) = kept(tmp_path)
    payload = Payload(1, 1, json.dumps(frame.meta).encode(), b"", frame.body, False)
    line = json.loads(b"".join(payload_line(payload, splice=True, inflate_max=1000)))
    listed = Settings.model_validate({"archive": {}}).archive
    assert listed is not None
    at_vendor = arrived(arrivals[0])
    rows = {name: row[column] for row in table("of an upload") for name in names(row[0])}
    assert frame.body == BODY
    assert rows.pop("body") == "as sent"
    assert rows.pop("headers") == "what the vendor gets, if listed"
    assert line["headers"] == {name: at_vendor[name][0] for name in listed.headers if name in at_vendor}
    assert {name: line[name] for name in rows} == {name: as_kept(cell, sent[name]) for name, cell in rows.items()}
    further = {"v", "seq", "ts", "id", "region", "encoding", "wire", "raw", "sha256", "wire_sha256"}
    further |= {"status", "upstream", "skip", "outcome", "ms"}
    assert set(line) - further == {*rows, "headers", "body_b64"}  # the example's body is no JSON of one line


def test_an_address_that_is_kept_in_full_is_not_of_one_who_has_opted_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with archiving(tmp_path, **STRIP) as one:
            one.gateway.describer = Describer((), "full")
            client = await one.client()
            await client.ask(whole_request())
            await client.ask(whole_request("Sec-GPC: 1"))

    run(main)
    assert [frame.meta["ip"] for frame in kept(tmp_path)] == ["127.0.0.1", None]


def test_an_access_line_has_what_the_table_says() -> None:
    line = json.loads(json_line(record(), "2026-11-26T12:00:00Z"))
    assert [name for row in table("key") for name in names(row[0])] == list(line)


def test_the_labels_of_the_metrics_are_those_of_the_table() -> None:
    memory = LedgerMemory.create(1)
    registry = CollectorRegistry()
    registry.register(GatewayCollector(memory.totals, lambda: Processes(1, 1, 0, False), "0"))
    exported = generate_latest(registry).decode()
    memory.close()
    labels = set(re.findall(r'[{,]([a-z_]+)="', exported)) - {"le"}
    assert labels <= {name for row in table("label") for name in names(row[0])}
