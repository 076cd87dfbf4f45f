"""Whether llhttp and the gateway's own readers understand the same bytes in the same way. What they disagree on raises
AssertionError; else the comparison says how far the two came."""

from __future__ import annotations

from proxy.wire.answer import AnswerHead, AnswerReader, BadAnswer
from proxy.wire.chunked import BadChunk, ChunkedDecoder
from proxy.wire.referee import Referees
from proxy.wire.request import RequestHead, RequestReader
from tests.unit.wire import heads
from tests.unit.wire.witness import Witness

# Set aside by the reader; all others must be found again as lines, in order.
REQUEST_SPECIAL = {
    *(b"host", b"transfer-encoding", b"connection", b"expect", b"upgrade", b"keep-alive", b"te", b"trailer"),
    *(
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"http2-settings",
        b"forwarded",
        b"x-real-ip",
    ),
    *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-server"),
    *(b"x-request-id", b"cookie"),
}
ANSWER_SPECIAL = {
    *(b"transfer-encoding", b"connection", b"upgrade", b"keep-alive", b"te", b"trailer", b"set-cookie", b"set-cookie2"),
    *(b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"x-request-id", b"x-gateway-config"),
    *(b"x-gateway-reason", b"alt-svc", b"strict-transport-security", b"public-key-pins", b"expect-ct", b"nel"),
    *(b"clear-site-data", b"report-to", b"reporting-endpoints", b"service-worker-allowed", b"origin-agent-cluster"),
    *(b"accept-ch", b"critical-ch"),
}


def end_of_body(chunked: bool, length: int, data: bytes, start: int) -> int | None:
    """Where a message ends by the gateway's reading; None when bytes are missing, or when the coding is broken."""
    if not chunked:
        end = start + max(length, 0)
        return end if end <= len(data) else None
    decoder = ChunkedDecoder()
    try:
        _, used = decoder.feed(data[start:])
    except BadChunk:
        return None
    return start + used if decoder.done else None


def lines_of(fields: list[bytes]) -> list[tuple[bytes, bytes]]:
    split = (line.partition(b":") for line in fields)
    return [(name, value.strip(b" \t")) for name, _, value in split]


def nominated(witness: Witness) -> set[bytes]:
    values = witness.values(b"connection") + witness.values(b"proxy-connection")
    return {option.strip(b" \t").lower() for value in values for option in value.split(b",")}


def left(witness: Witness, special: set[bytes]) -> list[tuple[bytes, bytes]]:
    """The fields that llhttp saw and that are to be passed on."""
    gone = special | (nominated(witness) - {b"content-length"})
    prefix = b"access-control-" if special >= ANSWER_SPECIAL else b"\0"
    return [(n, v) for n, v in witness.fields if n.lower() not in gone and not n.lower().startswith(prefix)]


def assert_keep_alive(keep_alive: bool, witness: Witness) -> None:
    if keep_alive != witness.keep_alive:
        # Where both are said, llhttp closes after HTTP/1.1 but not after HTTP/1.0; the reader always closes.
        assert not keep_alive
        assert {b"close", b"keep-alive"} <= nominated(witness)
        assert witness.version == "1.0"


def same_request(request: RequestHead, witness: Witness) -> None:
    assert request.method == witness.method
    assert request.target == witness.target
    assert f"1.{request.minor}" == witness.version
    assert lines_of(request.fields) == [(n, v) for n, v in left(witness, REQUEST_SPECIAL) if b"_" not in n]
    assert [request.host] == (witness.values(b"host") or [b""])
    assert_keep_alive(request.keep_alive, witness)
    lengths = witness.values(b"content-length")
    assert [request.content_length] == ([int(lengths[0])] if lengths else [-1])
    assert len(lengths) <= 1
    assert request.chunked == bool(witness.values(b"transfer-encoding"))


def goes_on(message: bytes) -> None:
    """A referee that has seen this message takes any other after it: the next may be of another connection."""
    referees = Referees()
    referee = referees.take()
    referee.feed(message)
    assert referee.agrees(1, 1)
    referees.give(referee)
    assert referees.take() is referee
    for piece in (heads.NEXT[:7], heads.NEXT[7:]):
        referee.feed(piece)
    assert referee.agrees(1, 1)


def compare_requests(data: bytes) -> str:
    """Read one request twice; what it came to."""
    reader = RequestReader(target=8192, fields=100)
    end = data.find(b"\r\n\r\n")
    if end < 0:
        # llhttp ends a PRI, and what has no version (HTTP/0.9), at a line end of any kind. The gateway waits for the
        # end of a head, and then refuses it.
        odd = data.startswith((b"\r", b"\n", b"PRI")) or b" HTTP/1." not in data.partition(b"\n")[0]
        assert odd or not Witness.of(data).completed
        return "without an end"
    request = reader.read(data[:end])
    if not isinstance(request, RequestHead):
        return "refused by the reader"
    witness = Witness.of(data)
    if request.method == b"PRI":  # llhttp reads on, in hope of the rest of HTTP/2's preface (RFC 9113, 3.4)
        assert not witness.head_read
        return "never a request to llhttp"
    if not witness.head_read:
        assert witness.refused_at is not None
        assert witness.refused_at < end + 4
        return "refused by llhttp in the head"
    if witness.complaint == "upgrade":
        raise AssertionError("the reader lets an upgrade pass")
    if "Transfer-Encoding" in witness.complaint:
        return "coding refused by llhttp"
    same_request(request, witness)
    stop = end_of_body(request.chunked, request.content_length, data, end + 4)
    if stop is not None and witness.end is not None:
        assert stop == witness.end
        if request.keep_alive and not request.chunked:
            goes_on(data[:stop])
            return "message accepted by both, and the connection goes on"
        return "message accepted by both"
    if not request.chunked:
        assert stop is witness.end is None
    return "head accepted by both"


def read_answer(head: bytes) -> AnswerHead | None:
    try:
        return AnswerReader(fields=100).read(head)
    except BadAnswer:
        return None


def same_answer(answer: AnswerHead, witness: Witness) -> None:
    assert answer.status == witness.status
    assert answer.status_line.startswith(b"HTTP/1.1 %d " % witness.status)
    gone = {b"content-length"} if answer.status == 204 else set()
    assert lines_of(answer.fields) == left(witness, ANSWER_SPECIAL | gone)
    lengths = witness.values(b"content-length")
    assert [answer.content_length] == ([int(lengths[0])] if lengths else [-1])
    assert answer.chunked == bool(witness.values(b"transfer-encoding"))
    framed = answer.bodiless or answer.chunked or answer.content_length >= 0
    # An answer without a length ends with its connection: llhttp never says keep-alive of those.
    assert_keep_alive(answer.keep_alive and framed, witness)


def compare_answers(data: bytes) -> str:
    """The same for an answer."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return "without an end"
    answer = read_answer(data[:end])
    if answer is None:
        return "refused by the reader"
    witness = Witness.of(data, answers=True)
    if not witness.head_read:
        assert witness.refused_at is not None
        assert witness.refused_at < end + 4
        return "refused by llhttp in the head"
    same_answer(answer, witness)
    if answer.bodiless:
        # llhttp waits for a body after interim answers that it does not know: those are refused when the bounds differ.
        assert witness.end == end + 4 or answer.status not in (100, 102, 103, 204, 304)
    elif answer.chunked or answer.content_length >= 0:
        stop = end_of_body(answer.chunked, answer.content_length, data, end + 4)
        if stop is not None and witness.end is not None:
            assert stop == witness.end
            return "message accepted by both"
        if not answer.chunked:
            assert stop is witness.end is None
    else:
        assert witness.end is None
    return "head accepted by both"
