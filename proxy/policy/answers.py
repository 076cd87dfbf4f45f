"""The answers that the gateway makes itself, ready-made: preflights, rejects, failures.

Every one is readable by a browser (CORS fields of the asking origin) and traceable (X-Request-Id):
what the SDK can't read, it drops. Must not know when they are given.
"""

from __future__ import annotations

from http import HTTPStatus

from proxy.model.failure import FAILURES, FailureKind
from proxy.model.verdict import REJECTIONS, Reason, Route
from proxy.settings import Settings

ALLOWED_METHODS: dict[Route, tuple[bytes, ...]] = {
    Route.TRACK: (b"POST", b"OPTIONS"),
    Route.CONFIG: (b"GET", b"HEAD", b"OPTIONS"),
}
CLOSE = b"Connection: close\r\n"
KEEP_ALIVE = b"Connection: keep-alive\r\n"
# What makes the SDK not record: every version that can be pointed here reads it so.
NOT_RECORDED = b'{"configs":{"sessionReplay":{"sr_sampling_config":{"capture_enabled":false,"sample_rate":0}}}}'
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class OwnAnswer:
    """One answer of our own: `status`, whether the connection must end, and the bytes around what
    differs per request. `json` is the body in place of the message."""

    __slots__ = ("body", "close", "head", "status")

    def __init__(
        self,
        status: int,
        label: str,
        message: str,
        *,
        close: bool,
        retry_after: int = 0,
        extra: bytes = b"",
        json: bytes = b"",
    ) -> None:
        self.status = status
        self.close = close
        self.body = json or message.encode() + b"\n"
        kind = b"application/json" if json else b"text/plain; charset=utf-8"
        retry = b"Retry-After: %d\r\n" % retry_after if retry_after else b""
        self.head = (
            b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n"
            b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Gateway-Reason: %b\r\n%b%b"
            % (status, _phrase(status), kind, len(self.body), label.encode(), retry, extra)
        )

    def render(
        self, date: bytes, cors_fields: bytes, request_id: bytes, connection: bytes, *, head_only: bool
    ) -> bytes:
        """The whole answer. `date` and `connection` are field lines with their line ends."""
        return b"".join(
            (
                self.head,
                date,
                cors_fields,
                connection,
                b"X-Request-Id: ",
                request_id,
                b"\r\n\r\n",
                b"" if head_only else self.body,
            )
        )


def preflight_answer(date: bytes, fields: bytes, request_id: bytes, connection: bytes) -> bytes:
    """204 for a preflight or another OPTIONS request; `fields` are the CORS policy's."""
    return b"".join(
        (b"HTTP/1.1 204 No Content\r\n", date, fields, connection, b"X-Request-Id: ", request_id, b"\r\n\r\n")
    )


class Answers:
    """All of the gateway's own answers, built when the configuration is loaded."""

    def __init__(self, settings: Settings) -> None:
        words = {
            "fields": settings.limits.fields,
            "paths": ", ".join(
                [f"POST {path}" for path in settings.paths.track]
                + [f"GET {path}/<api key>" for path in settings.paths.config]
            ),
        }
        self._rejections = {
            (reason, route): _rejection(reason, route, words | {"limit": _limit(reason, settings)})
            for reason in Reason
            for route in (None, *Route)
        }
        self._failures = {
            kind: OwnAnswer(f.status, kind.value, f.message, close=False, retry_after=f.retry_after)
            for kind, f in FAILURES.items()
        }

    def rejection(self, reason: Reason, route: Route | None) -> OwnAnswer:
        """The answer to a request refused for `reason`; `route` is None while it isn't known."""
        return self._rejections[reason, route]

    def failure(self, kind: FailureKind) -> OwnAnswer:
        """The answer to a request that broke before anything of an answer was sent."""
        return self._failures[kind]


def _rejection(reason: Reason, route: Route | None, words: dict[str, object]) -> OwnAnswer:
    meaning = REJECTIONS[reason]
    allow = b", ".join(ALLOWED_METHODS[route]) if route else b"GET, HEAD, POST, OPTIONS"
    status = meaning.config_status if route is Route.CONFIG and meaning.config_status else meaning.status
    extra = _EXTRA.get(status, b"").replace(b"{allow}", allow)
    message = meaning.message.format(allow=allow.decode(), **words)
    json = NOT_RECORDED if status == 200 else b""
    return OwnAnswer(
        status, reason.value, message, close=meaning.close, retry_after=meaning.retry_after, extra=extra, json=json
    )


# What a status must bring along (RFC 9110, 15.5.2 and 15.5.6).
_EXTRA = {401: b"WWW-Authenticate: Bearer\r\n", 405: b"Allow: {allow}\r\n"}


def _limit(reason: Reason, settings: Settings) -> int:
    limits = {
        Reason.BODY_TOO_LARGE: settings.limits.body,
        Reason.HEAD_TOO_LARGE: settings.limits.head,
        Reason.TARGET_TOO_LONG: settings.limits.target,
    }
    return limits.get(reason, 0)


def _phrase(status: int) -> bytes:
    if status == 499:  # never sent: the client is gone
        return b"Client Closed Request"
    return HTTPStatus(status).phrase.encode()
