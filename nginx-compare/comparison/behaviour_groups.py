"""What the cases of the suites are about: the rows of the behaviour table, and which cases belong to which.

Pure data and matching. It knows the names of tests, not what came of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CONFORMANCE, BROWSER = "tests/conformance", "tests/browser"
CORS = ("", "readable", "credentials", "exposed", "vary")


@dataclass(frozen=True)
class Row:
    """One row of the table: the cases of `file` (a name in `suite`) whose name matches `cases`.

    A case counts as failed when it noted a difference of its own matter or of one of `aspects`. A row of one aspect
    over all cases of a suite has no `file`; then only that aspect counts, where a case looked at it.
    """

    title: str
    suite: str
    file: str = ""
    cases: str = ""
    aspects: tuple[str, ...] = ("",)

    def takes(self, file: str, case: str, aspects: Iterable[str]) -> bool:
        """Whether a case is counted here."""
        if not file.startswith(self.suite):
            return False
        if self.file:
            return file.endswith(f"/{self.file}.py") and bool(re.match(self.cases, case))
        return any(aspect in self.aspects for aspect in aspects)


ROWS = (
    Row("Legal uploads and config requests arrive as they were sent", CONFORMANCE, "test_carried_requests"),
    Row(
        "Requests whose end is unclear are refused (request smuggling)",
        CONFORMANCE,
        "test_refused_requests",
        r"test_refused\[(length|coding|chunk)",
    ),
    Row(
        "Malformed heads are refused",
        CONFORMANCE,
        "test_refused_requests",
        r"test_refused\[(line|field|version|expect|upgrade|size|tls|garbage)",
    ),
    Row(
        "Hosts, targets and methods that are not ours are refused",
        CONFORMANCE,
        "test_refused_requests",
        r"test_refused\[(host|target|path|method)",
    ),
    Row("Good answers are relayed as they are", CONFORMANCE, "test_upstream_answers", "test_relayed"),
    Row("Broken answers never pass for good ones", CONFORMANCE, "test_upstream_answers", "test_spoilt"),
    Row("Many requests on one connection stay apart", CONFORMANCE, "test_connection_use"),
    Row("Answers before an upload is complete reach the client", CONFORMANCE, "test_continue_and_early_answers"),
    Row("CORS as browsers need it: preflights, errors, odd origins", CONFORMANCE, "test_cors", "", CORS),
    Row(
        "Who the client is; cookies stay here",
        CONFORMANCE,
        "test_forwarding_fields",
        r"test_(the_address|claims|end_to_end|cookies)",
        ("", "cookies"),
    ),
    Row(
        "Every request can be traced by one id",
        CONFORMANCE,
        "test_forwarding_fields",
        r"test_(every|a_clients|two_ids)",
        ("", "traced"),
    ),
    Row("The vendor hangs, stops half-way or hangs up", CONFORMANCE, "test_vendor_breaks", "", ("", "readable")),
    Row("Nobody, or somebody else, is at the vendor's address", CONFORMANCE, "test_vendor_unreachable"),
    Row(
        "Clients leave: no half upload is completed, no whole one lost",
        CONFORMANCE,
        "test_client_leaves_or_dawdles",
        r"test_(half|a_whole|uploads_that)",
    ),
    Row(
        "Slow clients, slow readers, large uploads: bounded in time and memory",
        CONFORMANCE,
        "test_client_leaves_or_dawdles",
        r"test_(?!half|a_whole|uploads_that)",
    ),
    Row("SDK in Chromium: records across origins, byte for byte", BROWSER, "test_recording"),
    Row("SDK in Chromium: what a leaving page sends arrives", BROWSER, "test_page_exit"),
    Row("SDK in Chromium: kill switch, throttle, retries", BROWSER, "test_vendor_answers"),
    Row("SDK in Chromium: big pages, and batches that are too big", BROWSER, "test_big_uploads"),
    Row("SDK in Chromium: cookies stay where they are", BROWSER, "test_cookies"),
    Row("SDK in Chromium: a broken vendor is survived", BROWSER, "test_broken_vendor"),
    Row("SDK in Chromium: recorded while the config service is down", BROWSER, "test_config_outage"),
)
# What most cases of the conformance suite look at besides their own matter.
ASPECT_ROWS = (
    Row("In all cases: uploads go to the vendor's path", CONFORMANCE, aspects=("path",)),
    Row("Of carried requests: the connection is kept for the next one", CONFORMANCE, aspects=("kept",)),
    Row("In all cases: the page can read the answer (Allow-Origin)", CONFORMANCE, aspects=("readable",)),
    Row("In all cases: beacons pass, too (Allow-Credentials)", CONFORMANCE, aspects=("credentials",)),
    Row("In all cases: the SDK sees the vendor's stop sign (Expose-Headers)", CONFORMANCE, aspects=("exposed",)),
    Row("In all cases: caches keep origins apart (Vary)", CONFORMANCE, aspects=("vary",)),
    Row("In all cases: the answer has one request id", CONFORMANCE, aspects=("traced",)),
    Row("In all cases: the vendor's cookies stay out", CONFORMANCE, aspects=("cookies",)),
    Row("In all cases: TLS asks for the vendor's name", CONFORMANCE, aspects=("name",)),
    Row("Interim answers are forwarded, as RFC 9110 asks", CONFORMANCE, aspects=("interim",)),
    Row("In all cases: fields keep their case and order (nicety)", CONFORMANCE, aspects=("spelling",)),
)


def rows_of(file: str, case: str, aspects: Iterable[str]) -> Iterator[Row]:
    """The rows that a case is counted in. Raises KeyError for one that belongs to no group."""
    groups = [row for row in ROWS if row.takes(file, case, aspects)]
    if len(groups) != 1:
        raise KeyError(f"{file} {case} is in {len(groups)} groups")
    yield groups[0]
    yield from (row for row in ASPECT_ROWS if row.takes(file, case, aspects))
