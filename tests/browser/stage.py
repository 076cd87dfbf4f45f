"""Where a test plays: visitors with the vendor's SDK on their page, and what reached the vendor from each of them.

Every visitor has a device id and an API key of its own, so that tests share one browser, one proxy and one stand-in
without seeing each other's traffic. Whatever is awaited is a condition at the stand-in or in the browser.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tests.browser import replay
from tests.browser.chromium import Chromium, Tab
from tests.browser.netlog import Sent
from tests.browser.page_site import PageSite, Scenario
from tests.gateway import eventually
from tests.standin import StandIn

T = TypeVar("T")
NEWEST = "standalone-1.50.2"
# SDK options with which all of a visit of less than ten seconds leaves in the beacon: no flush comes before it, and no
# event is on its way through a worker when the page goes.
BEACON_ONLY: dict[str, Any] = {
    "flushIntervalConfig": {"minIntervalMs": 10_000, "maxIntervalMs": 10_000},
    "useWebWorker": False,
}
SDK_CHATTER = "Enqueuing event"  # its debug line about every single event
# The violation that each request through the vendor's nginx recipe is.
RECIPES_NAME = "is not the TLS server name amplitude_"
PATIENCE = 30.0  # seconds; three flushes of the SDK on a loaded two-core machine


class Upload:
    """One complete track request that reached the vendor."""

    def __init__(self, record: Mapping[str, Any], body: bytes) -> None:
        self.target: str = record["target"]
        self.digest: str = record["body_sha256"]
        self.status: int = record["status"]
        self.headers: dict[str, str] = {name.lower(): value for name, value in record["headers"]}
        self.body = body
        self._events: list[dict[str, Any]] | None = None

    @property
    def events(self) -> list[dict[str, Any]]:
        """The rrweb (or interaction) events in it."""
        if self._events is None:
            self._events = replay.events(self.body)
        return self._events

    @property
    def is_beacon(self) -> bool:
        """Beacons cannot set headers: they carry the API key in the query."""
        return "api_key=" in self.target

    def says(self, text: str) -> bool:
        """Whether the text stands anywhere in its events."""
        return any(text in found for event in self.events for found in replay.texts(event))


class Visitor:
    """One visitor of one page. A test can set the vendor's behaviour for a made one before it `enter`s."""

    def __init__(self, stage: Stage, tab: Tab, scenario: Scenario, url: str) -> None:
        self._stage = stage
        self._url = url
        self._known: dict[int, Upload] = {}
        self.tab = tab
        self.scenario = scenario
        self.device_id = scenario.device_id
        self.api_key = scenario.api_key

    def enter(self) -> None:
        """Load the page, wait until the SDK has decided whether it records."""
        self.tab.go(self._url)
        self.until(lambda: self.tab.evaluate("window.recorder?.state") in ("started", "failed"), "the SDK to start")

    def note(self, text: str) -> None:
        """Change the page, as work of the visitor does: the text must get into the recording."""
        self.tab.evaluate(f"note({json.dumps(text)})")

    def leave(self) -> None:
        """Go to another page in the same tab."""
        self.tab.go(self._stage.site.origin(self._url.partition(":")[0]) + "/away")

    def on_upload(self, action: str, first: int | None = None, **parameters: Any) -> dict[str, Any]:
        """A rule for the stand-in: the vendor does this with the visitor's uploads, the `first` ones or all."""
        match = {"method": "POST", "target_contains": f"device_id={self.device_id}&"}
        return {"match": match if first is None else {**match, "first": first}, "action": action, **parameters}

    def on_config(self, action: str, **parameters: Any) -> dict[str, Any]:
        """A rule for the stand-in: the vendor does this with configuration requests for the visitor's API key."""
        return {"match": {"method": "GET", "target_contains": self.api_key}, "action": action, **parameters}

    def uploads(self) -> list[Upload]:
        """The complete uploads of this visitor that the vendor has, oldest first."""
        for record in self._stage.records():
            if record["seq"] not in self._known and self._is_upload(record):
                self._known[record["seq"]] = Upload(record, self._stage.body(record["seq"]))
        return list(self._known.values())

    def config_targets(self) -> list[str]:
        """The targets of the configuration requests with this visitor's key that reached the vendor."""
        records = self._stage.records()
        return [r["target"] for r in records if r["target"].startswith("/config") and self.api_key in r["target"]]

    def sent(self, method: str = "POST") -> list[Sent]:
        """The track requests (or their preflights) that Chromium sent for this visitor, as it wrote them."""
        requests = self._stage.chromium.netlog.sent()
        return [r for r in requests if r.method == method and f"device_id={self.device_id}&" in r.target]

    def until_recorded(self, text: str) -> None:
        """Wait until the vendor has an upload with this text."""
        self.until(lambda: any(upload.says(text) for upload in self.uploads()), f"{text!r} at the vendor")

    def until_logged(self, text: str) -> str:
        """Wait until the page's console has a line with this text; the line."""
        what = f"{text!r} on the console"
        return self.until(lambda: next((line for line in self.console() if text in line), ""), what)

    def until_all_arrived(self) -> None:
        """Wait until the vendor has, byte for byte, what Chromium sent for this visitor, who must have left."""
        self._stage.push_netlog()
        try:
            self.until(lambda: not self._difference(), "the vendor to have exactly the bytes that Chromium sent")
        except AssertionError as error:
            error.add_note(f"times sent, less times arrived: {self._difference()}")
            raise

    def _difference(self) -> dict[tuple[str, str], int]:
        """By target and digest: how often sent less how often arrived, without the equal ones."""
        count = Counter((request.target, request.digest) for request in self.sent())
        count.subtract((upload.target, upload.digest) for upload in self.uploads())
        return {upload: times for upload, times in count.items() if times}

    def until(self, check: Callable[[], T], what: str) -> T:
        """Wait for a condition; on failure the page's console is part of the message."""
        try:
            return eventually(check, self._stage.patience, what)
        except AssertionError as error:
            seen = self.tab.seen()
            console = [line for line in seen.console if SDK_CHATTER not in line][-40:]
            error.add_note("\n".join(["the page's console:", *console, *map(str, seen.failures)])[-8000:])
            raise

    def console(self) -> tuple[str, ...]:
        """The lines of the page's console so far."""
        return self.tab.seen().console

    def _is_upload(self, record: Mapping[str, Any]) -> bool:
        wanted = record["method"] == "POST" and record["complete"] and record["status"] is not None
        return wanted and f"device_id={self.device_id}&" in record["target"]


class Stage:
    """The browser, the site and the vendor of one test."""

    def __init__(self, chromium: Chromium, site: PageSite, standin: StandIn, patience: float = PATIENCE) -> None:
        self.patience = patience  # seconds that anything awaited may take
        self.chromium = chromium
        self.site = site
        self.standin = standin
        self.tolerated = "nothing at all"  # part of the text of a violation that a test expects
        self._tabs: list[Tab] = []

    def visitor(self, gateway: str, flavour: str = NEWEST, rows: int = 5, api_key: str = "", **options: Any) -> Visitor:
        """Somebody about to visit a page whose SDK sends to `gateway`; the page uses the gateway's scheme."""
        name = f"device-{secrets.token_hex(6)}"
        scenario = Scenario(flavour, gateway, name, api_key or secrets.token_hex(16), rows, options)
        tab = self.chromium.new_tab()
        self._tabs.append(tab)
        return Visitor(self, tab, scenario, self.site.publish(scenario, gateway.partition(":")[0]))

    def records(self) -> list[dict[str, Any]]:
        """Everything that reached the vendor."""
        return self.standin.requests()

    def violations(self) -> list[str]:
        """What reached the vendor that a correct proxy never sends, without the kind that the test expects."""
        found = [violation for record in self.records() for violation in record["violations"]]
        return [violation for violation in found if self.tolerated not in violation]

    def body(self, seq: int) -> bytes:
        """The body of one request that reached the vendor."""
        return self.standin.body(seq)

    def push_netlog(self) -> None:
        """Make traffic, so that Chromium writes down what it still holds back of its network log."""
        tab = self.chromium.new_tab()
        tab.go(self.site.origin("http") + "/away")
        tab.forget()

    def close(self) -> None:
        """Send all visitors away."""
        for tab in self._tabs:
            tab.forget()
