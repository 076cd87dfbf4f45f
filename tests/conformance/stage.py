"""What a test stands on: one proxy under test, the stand-in vendor behind it, and the judgement.

Expectations are collected, not raised: a difference is a line of text. The gateway must have none. What the tuned
nginx has is compared with the table in `differences`, line by line, so that neither the table nor the suite can rot.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.conformance.cases import HOST, KEY, ORIGIN, ORIGIN_VALUE, head
from tests.conformance.differences import NGINX, RACE
from tests.conformance.wire import Answer, BadAnswer, Client, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.standin import StandIn

# What most cases look at besides their own matter; a difference that belongs to none of these is the case's own.
ASPECTS = (
    "path",
    "kept",
    "readable",
    "credentials",
    "exposed",
    "vary",
    "traced",
    "cookies",
    "name",
    "spelling",
    "interim",
)
# Legal, only not what the gateway does; the comparison does not hold it against anybody.
CHOICE = "choice"
EXPOSED = {"x-session-replay-event-skipped", "retry-after", "x-request-id"}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Subject:
    """A proxy under test: its name, where it listens, and its first process."""

    name: str
    address: tuple[str, int]
    pid: int


@dataclass
class Stage:
    """One test's view of a subject. `key` names the test in the table of differences."""

    subject: Subject
    standin: StandIn
    key: str
    differences: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    judged: bool = False
    # Of the aspects that the test looked at, the differences that were found.
    aspects: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.standin.clear()

    def client(self) -> Client:
        """A new connection to the proxy."""
        return Client(self.subject.address)

    def expect(self, holds: object, text: str, aspect: str = "") -> bool:
        """Note `text` as a difference unless `holds`. `aspect` is CHOICE or one of ASPECTS, none for the test's own
        matter."""
        self.judged = True
        if not self.look(holds, text, aspect) and text not in self.differences:
            self.differences.append(text)
        return bool(holds)

    def look(self, holds: object, text: str, aspect: str) -> bool:
        """Note `text` for the comparison unless `holds`; no difference, whatever comes of it."""
        seen = self.aspects.setdefault(aspect, [])
        if not holds and text not in seen:
            seen.append(text)
        return bool(holds)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Bytes that are no answer, or none at all, become a difference."""
        try:
            yield
        except (BadAnswer, NoAnswer) as error:
            what, _, detail = str(error).partition(": ")
            self.expect(False, what)
            self.details.append(detail)

    def judge(self) -> None:
        """The end of a test. Fails when nothing was expected of it or the differences are not the known ones."""
        assert self.judged or self.differences, "the test expected nothing"
        nginx = self.subject.name == "nginx-tuned"
        known = list(NGINX.get(self.key, ())) if nginx else []
        found = [text for text in self.differences if not (nginx and text.startswith(RACE))]
        told = f"{json.dumps(self.differences)}, known: {json.dumps(known)} {self.details}"
        assert found == known, f"{self.subject.name}, {self.key}: {told}"

    def after(self) -> list[dict[str, Any]]:
        """The requests that the upstream has seen, once an ordinary upload by another client got its own answer.

        That upload is a barrier (what was forwarded before it has arrived) and a probe: if the proxy's upstream
        connections are out of step, it gets somebody else's answer.
        """
        mark = f"probe-{next(_numbers)}"
        body = f'{{"version":1,"events":["{mark}"]}}'.encode()
        target = b"/sessions/v2/track?type=replay&mark=" + mark.encode()
        request = head(
            b"POST " + target + b" HTTP/1.1",
            HOST,
            ORIGIN,
            b"Authorization: Bearer " + KEY,
            b"Content-Length: %d" % len(body),
        )
        answer = None
        with self.reading(), self.client() as other:
            answer = other.ask(request + body)
        seen = self.standin.requests()
        probes = [record for record in seen if record["target"].endswith(f"&mark={mark}")]
        paths = {record["target"].partition("?")[0] for record in probes} - {"/sessions/v2/track"}
        if self.expect(not paths, f"uploads arrive at {', '.join(paths)}", "path"):
            if answer:
                good = (answer.status, answer.body) == (200, b'{"code":200}')
                self.expect(good, f"the next client got {answer.status} {answer.body[:80]!r}")
            self.expect(len(probes) == 1 and probes[0]["complete"], "the next client's upload did not arrive once")
        return [record for record in seen if record not in probes]

    def no_violations(self, records: list[dict[str, Any]]) -> None:
        """Nothing was sent upstream that the stand-in's strict reader objects to."""
        told = {violation for record in records for violation in record["violations"]}
        expects = {violation for violation in told if violation.lower().startswith("hop_by_hop: expect")}
        self.expect(not expects, "Expect passed", CHOICE)  # RFC 9110, 10.1.1: a proxy may
        found = sorted({violation.partition(":")[0] for violation in told - expects})
        own = [violation for violation in found if violation != "host"]
        self.expect(not own, f"violations upstream: {', '.join(own)}")
        self.expect("host" not in found, "the vendor's Host under another TLS name", "name")

    def readable(self, answer: Answer, origin: str | None = ORIGIN_VALUE) -> None:
        """A page of `origin` can read the answer (Fetch standard, CORS check); None: there was no Origin."""
        allowed = answer.all("access-control-allow-origin")
        if origin is None:
            self.expect(not allowed, f"Allow-Origin {allowed} without an Origin", "readable")
        else:
            self.expect(allowed == [origin], f"Allow-Origin {allowed}", "readable")
            credentials = answer.all("access-control-allow-credentials")
            self.expect(credentials == ["true"], f"Allow-Credentials {credentials}", "credentials")
            missing = sorted(EXPOSED - answer.listed("access-control-expose-headers"))
            self.expect(not missing, f"not exposed: {', '.join(missing)}", "exposed")
        self.expect("origin" in answer.listed("vary"), "Vary does not name Origin", "vary")

    def traceable(self, answer: Answer) -> None:
        """The answer has one X-Request-Id."""
        self.expect(len(answer.all("x-request-id")) == 1, f"X-Request-Id {answer.all('x-request-id')}", "traced")


def sent_fields(request: bytes) -> list[list[str]]:
    """The field lines of a raw request, as the stand-in records them."""
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    pairs = (line.decode("latin-1").partition(":") for line in lines)
    return [[name, value.strip(" \t")] for name, _, value in pairs]


def seen_fields(record: Mapping[str, Any], *without: str) -> list[list[str]]:
    """The fields that arrived upstream, but for those of these lower-case names."""
    return [[name, value] for name, value in record["headers"] if name.lower() not in without]


def folded(fields: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    """What fields mean, whatever their case, and their order where it means nothing."""
    meaning: dict[str, list[str]] = {}
    for name, value in fields:
        meaning.setdefault(name.lower(), []).append(value)
    return meaning
