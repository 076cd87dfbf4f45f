"""Proves that the page's statements for Spark find what is in an archive of files, however these are compressed."""

from __future__ import annotations

import json
from pathlib import Path

from proxy.archive.naming import Codec
from tests.sql.archived import DEVICE, DIGEST, EVENTS, GAP, SESSION
from tests.sql.conftest import folder_archive
from tests.sql.engines import Rows, spark
from tests.sql.page import filled, statements

DATA = "s3a://acme-recordings/v1/data"
QUERIES = ("spark-events", "spark-not-kept", "spark-gaps", "spark-repeats")


def assert_right(found: dict[str, Rows]) -> None:
    """What each statement finds is what is in the archive."""
    events = sorted(EVENTS, key=lambda event: int(json.loads(event)["timestamp"]))
    assert [row["event"] for row in found["spark-events"]] == events
    assert [row["type"] for row in found["spark-events"]] == [2, 3, 4, 5]
    lost = [(row["hr"], row["outcome"], row["skip"], row["payloads"]) for row in found["spark-not-kept"]]
    assert lost == [(5, None, None, 1), (5, "delivered", "429", 1), (5, "unreachable", None, 1)]
    (gap,) = found["spark-gaps"]
    assert {name: gap[name] for name in ("hr", "reason", "payloads", "bytes")} == {
        "hr": 5,
        **{name: GAP.meta()[name] for name in ("reason", "payloads", "bytes")},
    }
    assert found["spark-repeats"] == [{"device_id": DEVICE, "session_id": SESSION, "sha256": DIGEST, "times": 2}]


def test_the_statements_find_what_is_in_files_and_each_codec_is_read(folder: Path) -> None:
    # One Spark for all: most of the time goes by before it does anything.
    page = statements()
    places = {codec: str(folder_archive(folder, codec) / "v1" / "data") for codec in Codec}
    views = [filled(page["spark-view"], {DATA: places[codec]}) for codec in (Codec.GZIP, Codec.ZSTD, Codec.NONE)]
    table = filled(page["spark-table"], {DATA: places[Codec.GZIP]})
    counted = "SELECT hr, count(*) AS lines, count(body) AS bodies FROM {} GROUP BY hr ORDER BY hr"
    of_lines, of_table = counted.format("lines"), counted.format("recordings")
    queries = [page[name] for name in QUERIES]
    answers = spark(folder, views[0], *queries, views[1], of_lines, views[2], of_lines, table, of_table)
    assert_right(dict(zip(QUERIES, answers[1:5], strict=True)))
    assert answers[6::2] == [[{"hr": 5, "lines": 6, "bodies": 4}, {"hr": 6, "lines": 1, "bodies": 1}]] * 3
