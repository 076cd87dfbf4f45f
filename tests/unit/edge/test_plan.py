"""Proves that a head which recurs leads to what reading it anew would lead to, whatever came before it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.edge.plan import Plan
from proxy.model.verdict import Reason
from proxy.policy.headers import HeaderPolicy, UpstreamHead
from proxy.policy.routing import Match, Router
from proxy.policy.targets import build_targets
from proxy.settings import Settings
from proxy.wire.request import RequestHead, RequestReader
from tests.unit.edge.stage import TRACK, post, run, stage
from tests.unit.wire import heads

SETTINGS = Settings()
POLICY = HeaderPolicy(SETTINGS)
LINES = POLICY.client("192.0.2.7", False)
(TARGET, *_) = build_targets(SETTINGS).values()
ROUTER = Router(SETTINGS.paths)
FIRST = (
    b"POST /sessions/v2/track?a HTTP/1.1",
    b"POST /nowhere HTTP/1.1",
    b"GET /config/k HTTP/1.1",
    b"GET /x HTTP/1.0",
)
FIELDS = (
    b"Content-Length: 5",
    b"Content-Length: 12",
    b"Content-Length: 0",
    b"Content-Length: 05",
    b"Content-Length:  7",
    b"Content-Length: 7 ",
    b"Content-Length: x",
    b"Content-Length: ",
    b"Content-Length: 1234567890123456789",
    b"content-length: 5",
    b"Transfer-Encoding: chunked",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Connection: X-A",
    b"Host: a",
    b"Host: b",
    b"X-A: 1",
    b"X-B: Content-Length: 5",
    b"Expect: 100-continue",
    b"Origin: https://app.example.com",
    b"Authorization: Bearer k",
    b"X-Request-Id: mine",
)
HEADS = st.builds(
    lambda first, lines: b"\r\n".join((first, *lines)),
    st.sampled_from(FIRST),
    st.lists(st.sampled_from(FIELDS), max_size=6),
)


def reader() -> RequestReader:
    return RequestReader(target=100, fields=5, note=(b"x-a",))


def told(request: RequestHead, match: Match | Reason, sent: UpstreamHead | None) -> dict[str, object]:
    """All that is made of a head: what was read (the fields are in what is sent), where it leads, and what is sent."""
    values = heads.told(request) | {"fields": None, "match": match}
    if isinstance(match, Match):
        values["match"] = (match.route, match.suffix, match.query)
        sent = sent or POLICY.upstream_head(request, LINES, TARGET, match)
        values["sent"] = sent.render(request.content_length, b"id")
    return values


class Connection:
    """What a client connection does with its plan."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.reader = reader()
        self.recurred = 0

    def read(self, head: bytes) -> dict[str, object] | Reason:
        plan = self.plan
        if plan is not None and plan.recurs(head):
            self.recurred += 1
        else:
            request = self.reader.read(head)
            if isinstance(request, Reason):
                return request
            self.plan = plan = Plan(head, request, ROUTER.match(request.target))
        if isinstance(plan.match, Match) and plan.upstream_head is None:
            plan.upstream_head = POLICY.upstream_head(plan.request, LINES, TARGET, plan.match)
            plan.request.fields = []
        return told(plan.request, plan.match, plan.upstream_head)


def anew(head: bytes) -> dict[str, object] | Reason:
    request = reader().read(head)
    return request if isinstance(request, Reason) else told(request, ROUTER.match(request.target), None)


@given(st.lists(HEADS, max_size=8))
def test_what_was_read_before_changes_nothing(sequence: list[bytes]) -> None:
    connection = Connection()
    for head in sequence:
        assert connection.read(head) == anew(head)
        assert connection.read(head) == anew(head)


@given(
    st.lists(st.tuples(st.integers(0, 10**19), st.sampled_from((b"%d", b"0%d", b"%d ", b" %d", b"+%d"))), max_size=8)
)
def test_only_the_length_may_differ_and_only_a_plain_one_does(lengths: list[tuple[int, bytes]]) -> None:
    connection = Connection()
    head = heads.SDK_UPLOAD
    assert connection.read(head) == anew(head)
    for number, spelling in lengths:
        other = head.replace(b"Content-Length: 1978", b"Content-Length: " + spelling % number)
        assert connection.read(other) == anew(other)


def test_the_next_upload_of_a_page_is_recognised() -> None:
    connection = Connection()
    connection.reader = RequestReader(target=8192, fields=100)
    connection.read(heads.SDK_UPLOAD)
    found = connection.read(heads.SDK_UPLOAD.replace(b"Content-Length: 1978", b"Content-Length: 20"))
    assert connection.recurred == 1
    assert isinstance(found, dict)
    assert b"\r\nContent-Length: 20\r\n" in found["sent"]  # type: ignore[operator]


def test_a_preflight_is_not_kept() -> None:
    connection = Connection()
    head = b"OPTIONS /sessions/v2/track HTTP/1.1\r\nHost: a"
    assert connection.read(head) == connection.read(head) == anew(head)
    assert connection.recurred == 0


def test_a_long_head_is_not_kept() -> None:
    connection = Connection()
    head = b"POST /sessions/v2/track HTTP/1.1\r\nHost: a\r\nX-C: " + b"v" * 2048
    assert connection.read(head) == connection.read(head) == anew(head)
    assert connection.recurred == 0


def test_the_uploads_of_one_connection_arrive_as_they_were_sent() -> None:
    async def main() -> None:
        async with stage() as one:
            client = await one.client()
            bodies = [b"", b"a", b"b" * 9, b"c" * 10, b"d" * 99_999]
            for body in bodies:
                assert (await client.ask(post(body))).status == 200
                assert (await client.ask(post(body, target=TRACK + b"&other"))).status == 200
            assert [seen.body for seen in one.vendor.requests] == [body for body in bodies for _ in range(2)]

    run(main)
