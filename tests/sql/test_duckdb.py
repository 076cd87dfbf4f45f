"""Proves that the page's statements for DuckDB find what is in an archive: over an S3 server, and over a folder."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.archive.naming import Codec
from proxy.archive.s3 import S3Store
from proxy.archive.s3_client import open_client
from tests.s3.servers.server import REGION, S3Server
from tests.s3.site import new_bucket, owner_options
from tests.sql.archived import DEVICE, DIGEST, EVENTS, GAP, LATER_MS, NO_JSON, OTHER, REFUSED, SESSION, fill
from tests.sql.conftest import folder_archive
from tests.sql.engines import EngineError, Rows, duckdb
from tests.sql.page import filled, statements
from tests.unit.archive.segments import OPENED

BUCKET = "s3://acme-recordings"
QUERIES = tuple(name for name in statements() if name.startswith("duckdb-"))[2:]


def moment(time_ms: int) -> str:
    """As DuckDB's rows are written."""
    return str(datetime.fromtimestamp(time_ms / 1000, UTC).replace(tzinfo=None))


def assert_right(found: dict[str, Rows]) -> None:
    """What each statement finds is what is in the archive."""
    assert [(row["session_id"], row["payloads"]) for row in found["duckdb-sessions"]] == [(SESSION, 4), (OTHER[1], 2)]
    first = found["duckdb-sessions"][0]
    assert (first["device_id"], first["first"], first["last"]) == (DEVICE, moment(OPENED), moment(LATER_MS))
    assert [(row["seq"], row["status"]) for row in found["duckdb-session"]] == [(1, 200), (2, 502), (3, 200), (6, 200)]
    assert {row["encoding"] for row in found["duckdb-session"]} == {"gzip"}
    events = sorted(EVENTS, key=lambda event: int(json.loads(event)["timestamp"]))
    assert [row["event"] for row in found["duckdb-events"]] == events
    assert [row["type"] for row in found["duckdb-events"]] == [2, 3, 4, 5]
    assert found["duckdb-events"][0]["happened"] == moment(OPENED + 2)
    lost = [(row["hr"], row["outcome"], row["skip"], row["payloads"]) for row in found["duckdb-not-kept"]]
    assert lost == [(5, "delivered", "429", 1), (5, "unreachable", None, 1), (5, None, None, 1)]
    assert found["duckdb-not-kept"][0]["bytes"] == len(REFUSED)
    gap = GAP.meta()
    assert found["duckdb-gaps"] == [
        {
            "dt": "2026-11-21",
            "hr": 5,
            "reason": gap["reason"],
            "payloads": gap["payloads"],
            "bytes": gap["bytes"],
            "first": moment(gap["from"]),
            "last": moment(gap["to"]),
        }
    ]
    assert [(row["sha256"], row["times"]) for row in found["duckdb-repeats"]] == [(DIGEST, 2)]
    (kept,) = found["duckdb-as-it-came"]
    assert base64.b64decode(kept["bytes"]) == NO_JSON


def run_all(folder: Path, place: str, connect: tuple[str, ...], parquet: str) -> dict[str, Rows]:
    """The rows of each of the page's queries over the archive at `place`, and those of the Parquet that it writes."""
    page = statements()
    target = f"{BUCKET}/analysis/index-2026-11.parquet"
    scripts = [filled(page[name], {target: parquet}) if name == "duckdb-parquet" else page[name] for name in QUERIES]
    views = filled(page["duckdb-views"], {BUCKET: place})
    *answers, copied = duckdb(folder, *connect, views, *scripts, f"SELECT * FROM '{parquet}'")[len(connect) + 1 :]
    return dict(zip(QUERIES, answers, strict=True)) | {"copied": copied}


def assert_copied(rows: Rows) -> None:
    """The index's rows are in the file of Parquet: the blocks of sessions and the gap."""
    assert sorted((row["session_id"] or "", row["n"] or 0) for row in rows) == [
        ("", 0),
        (SESSION, 1),
        (SESSION, 3),
        (OTHER[1], 2),
    ]
    assert {(row["gap_reason"], row["gap_payloads"]) for row in rows} == {(None, None), ("queue-full", 3)}


@pytest.mark.parametrize("codec", [Codec.ZSTD, Codec.GZIP])
def test_the_statements_find_what_is_in_a_bucket(ceph: S3Server, folder: Path, codec: Codec) -> None:
    bucket = new_bucket(ceph)
    fill(S3Store(owner_options(ceph, "http", bucket)), folder, codec)
    connect = filled(
        statements()["duckdb-connect"],
        {
            "AKIDEXAMPLE": ceph.access_key,
            "secret-example": ceph.secret_key,
            "us-east-1": REGION,
            "s3.example.com": ceph.http.removeprefix("http://"),
            "USE_SSL true": "USE_SSL false",
        },
    )
    found = run_all(folder, f"s3://{bucket}", (connect,), f"s3://{bucket}/analysis/index-2026-11.parquet")
    assert_right(found)
    assert_copied(found["copied"])
    listed = open_client(owner_options(ceph, "http", bucket)).list_objects_v2(Bucket=bucket, Prefix="analysis/")
    assert [each["Key"] for each in listed["Contents"]] == ["analysis/index-2026-11.parquet"]


@pytest.mark.parametrize("codec", list(Codec))
def test_they_find_the_same_in_a_folder(folder: Path, codec: Codec) -> None:
    found = run_all(folder, str(folder_archive(folder, codec)), (), str(folder / "index.parquet"))
    assert_right(found)
    assert_copied(found["copied"])


def test_other_days_are_not_read(folder: Path) -> None:
    place = folder_archive(folder, Codec.ZSTD)
    for kind in ("data", "index"):
        other = place / "v1" / kind / "dt=2026-12-24" / "hr=05"
        other.mkdir(parents=True)
        (other / "broken.ndjson.zst").write_bytes(b"no zstd")
    found = run_all(folder, str(place), (), str(folder / "index.parquet"))
    assert_right(found)
    views = filled(statements()["duckdb-views"], {BUCKET: str(place)})
    for view in ("lines", "blocks"):
        with pytest.raises(EngineError):  # or the file would be in nobody's way, and the test without a meaning
            duckdb(
                folder, views, f"SELECT count(ts) FROM {view}" if view == "lines" else f"SELECT count(n) FROM {view}"
            )
