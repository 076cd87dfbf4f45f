"""The actions by name: each is a function from a request and its parameters to a plan.

A function's signature *is* the action's interface: the order of its parameters is that of the
short form `name:arg:arg`, their defaults give type and default. Pure. Must not know how plans are
played or when an action is chosen.
"""

from __future__ import annotations

import gzip as gzip_coding
import inspect
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from proxy.standin import presets
from proxy.standin.answers import (
    CHUNKED,
    Answer,
    Request,
    chunk,
    field_pairs,
    head_bytes,
    length_field,
    pieces,
    whole,
)
from proxy.standin.steps import End, Ending, Idle, Plan, Send, Step, Wait

LARGE_PIECE = bytes(range(256)) * 256  # 64 KiB, what is written at once of a large answer
MOST_CHUNKS = 1_000_000
NO_FIELDS: Mapping[str, object] = MappingProxyType({})
# A plan may depend on the request only in its bytes, so that any request can prove a rule sound.
EXAMPLE = Request(b"POST", "Thu, 01 Jan 1970 00:00:00 GMT", False, Answer(200, b"{}"))


class ActionError(ValueError):
    """An action that does not exist or has a wrong parameter; the text says what is possible."""


def render(request: Request, answer: Answer, close: bool = False) -> bytes:
    """The bytes of `answer` to this request."""
    return whole(answer, request.date, request.method, request.close or close)


def say(request: Request, answer: Answer, *after: Step) -> Plan:
    """A plan that gives one whole answer, and what comes after it."""
    return Plan((Send(render(request, answer)), *after), answer.status)


def ends(how: str) -> tuple[Step, ...]:
    """The steps for a `then` or `end` parameter; "keep" (or "read", or nothing) is no step at all."""
    return () if how in ("", "keep", "read") else (End(Ending(how)),)


def default(request: Request) -> Plan:
    """What happens without any rule; a rule of it shields requests from the rules behind."""
    return say(request, request.default)


def status(
    request: Request, code: int = 503, body: str = "", delay: float = 0.0, headers: Mapping[str, object] = NO_FIELDS
) -> Plan:
    """Another status, with a JSON body given as text; a header value may be a list."""
    answer = Answer(code, body.encode(), fields=field_pairs(headers))
    return Plan((Wait(delay), Send(render(request, answer))), code)


def delay(request: Request, seconds: float = 1.0) -> Plan:
    """The default answer, late."""
    return Plan((Wait(seconds), Send(render(request, request.default))), request.default.status)


def hang(request: Request) -> Plan:
    """Reads everything, never answers."""
    return Plan((End(Ending.HANG),))


def hang_unread(request: Request) -> Plan:
    """Reads nothing from now on."""
    return Plan((End(Ending.IGNORE),))


def slow_read(request: Request, bytes_per_second: float = 1000.0) -> Plan:
    """Reads the body at this rate, with a small receive buffer, then the default answer."""
    if bytes_per_second <= 0:
        raise ValueError("bytes_per_second must be above 0; hang_unread is the action that reads nothing")
    return say(request, request.default)


def early_answer(
    request: Request, code: int = 413, then: str = "read", body: str = "", headers: Mapping[str, object] = NO_FIELDS
) -> Plan:
    """Answers when the head is in; `then` is read, close, reset, eof or ignore."""
    answer = Answer(code, body.encode(), fields=field_pairs(headers))
    after = ends(then)
    return Plan((Send(render(request, answer, close=bool(after))), *after), code)


def reset(request: Request) -> Plan:
    """RST."""
    return Plan((End(Ending.RESET),))


def close(request: Request) -> Plan:
    """FIN."""
    return Plan((End(Ending.CLOSE),))


def close_idle(request: Request, seconds: float = 0.0) -> Plan:
    """The default answer, without a warning, and then FIN if the connection is still idle."""
    return say(request, request.default, Idle(seconds), End(Ending.CLOSE))


def half(request: Request, length: int) -> Plan:
    """A plan that declares `length` bytes (0: as many as the default body has) and sends half of them."""
    body = request.default.body.ljust(length or 2)
    declared = length or len(body)
    head = head_bytes(request.default, request.date, length_field(declared), request.close)
    return Plan((Send(head + body[: declared // 2]),), request.default.status)


def truncate(request: Request, length: int = 0, end: str = "close") -> Plan:
    """Half of the declared length; `end` is close, reset, eof or keep."""
    return and_then(half(request, length), *ends(end))


def stall(request: Request, length: int = 0) -> Plan:
    """Half of the declared length and then nothing more, the connection stays."""
    return and_then(half(request, length), End(Ending.HANG))


def and_then(plan: Plan, *after: Step) -> Plan:
    """`plan` with more steps at its end."""
    return replace(plan, steps=(*plan.steps, *after))


def in_chunks(request: Request, n: int) -> Plan:
    """The default answer in `n` chunks, without the last one."""
    if not 0 < n <= MOST_CHUNKS:
        raise ValueError(f"n must be 1 to {MOST_CHUNKS}")
    head = head_bytes(request.default, request.date, CHUNKED, request.close)
    parts = [chunk(piece) for piece in pieces(request.default.body, n)]
    return Plan((Send(head), *map(Send, parts)), request.default.status)


def chunked(request: Request, n: int = 3) -> Plan:
    """The default answer in the chunked coding."""
    return and_then(in_chunks(request, n), Send(chunk(b"")))


def truncate_chunked(request: Request, n: int = 3, end: str = "close") -> Plan:
    """The same without its last chunk; `end` is close, reset, eof or keep."""
    return and_then(in_chunks(request, n), *ends(end))


def close_delimited(request: Request, end: str = "close") -> Plan:
    """The default answer without a length, ended by the end of the connection."""
    head = head_bytes(request.default, request.date, "", True)
    return Plan((Send(head + request.default.body), *ends(end)), request.default.status)


def drip(request: Request, interval: float = 0.05) -> Plan:
    """The default answer byte by byte, `interval` seconds between two."""
    data = render(request, request.default)

    def steps() -> Iterator[Step]:
        for octet in data:
            yield Send(bytes((octet,)))
            yield Wait(interval)

    return Plan(steps(), request.default.status)


def large(request: Request, length: int = 1 << 20) -> Plan:
    """200 with a body of `length` bytes, counting up from 0 to 255 over and over."""
    answer = Answer(200, LARGE_PIECE, "application/octet-stream")
    head = head_bytes(answer, request.date, length_field(length), request.close)

    def steps() -> Iterator[Step]:
        yield Send(head)
        for sent in range(0, length, len(LARGE_PIECE)):
            yield Send(LARGE_PIECE[: length - sent])

    return Plan(steps(), 200)


def gzip_config(request: Request) -> Plan:
    """The default answer in the gzip coding."""
    body = gzip_coding.compress(request.default.body, mtime=0)
    return say(request, replace(request.default, body=body, fields=(("Content-Encoding", "gzip"),)))


def skipped(request: Request, code: int = 429) -> Plan:
    """200, but the data was thrown away: 429 pauses the SDK, 4004 and 4005 stop it."""
    return say(request, Answer(200, b'{"code":200}', fields=(("X-Session-Replay-Event-Skipped", str(code)),)))


def redirect(request: Request, location: str = "https://elsewhere.invalid/") -> Plan:
    """307 elsewhere."""
    return say(request, Answer(307, fields=(("Location", location),)))


def html(request: Request) -> Plan:
    """200 with a page where JSON is expected."""
    return say(request, Answer(200, b"<!doctype html><title>not JSON</title>", "text/html"))


def raw(request: Request, preset: str = "", then: str = "keep", bytes_: str = "", b64: str = "") -> Plan:
    """A preset, or the bytes given as latin-1 text or base64, instead of the answer."""
    if preset:
        plan = presets.preset(preset, request)
    elif bytes_ or b64:
        plan = Plan((Send(bytes_.encode("latin-1") + b64decode(b64, validate=True)),))
    else:
        raise ValueError("raw needs one of preset, bytes, b64")
    return and_then(plan, *ends(then))


@dataclass(frozen=True, slots=True)
class Kind:
    """How an action is made and when it is played: at "accept", at the "head", or at the "end" of
    the request. An accept action that was asked for by a request is played at its head."""

    build: Callable[..., Plan]
    phase: str = "end"


KINDS: dict[str, Kind] = {
    "reset_on_accept": Kind(reset, "accept"),
    "close_on_accept": Kind(close, "accept"),
    "hang_unread": Kind(hang_unread, "accept"),
    "early_answer": Kind(early_answer, "head"),
    "close_after_head": Kind(close, "head"),
    "reset_after_head": Kind(reset, "head"),
    "reset_before_answer": Kind(reset),
    "close_before_answer": Kind(close),
} | {
    action.__name__: Kind(action)
    for action in (
        default,
        status,
        delay,
        hang,
        slow_read,
        close_idle,
        truncate,
        truncate_chunked,
        stall,
        drip,
        raw,
        chunked,
        close_delimited,
        large,
        gzip_config,
        skipped,
        redirect,
        html,
    )
}


class Action:
    """A named action with its parameters, proved to be playable. Raises ActionError."""

    __slots__ = ("_arguments", "_build", "name", "phase", "read_rate")

    def __init__(self, name: str, arguments: Mapping[str, object]) -> None:
        if name in presets.NAMES:
            name, arguments = "raw", {"preset": name, **arguments}
        kind = KINDS.get(name)
        if kind is None:
            raise ActionError(f"no action {name!r}; there are {', '.join((*sorted(KINDS), *presets.NAMES))}")
        self.name = name
        self.phase = kind.phase
        self._build = kind.build
        try:
            self._arguments = converted(kind.build, arguments)
            self.plan(EXAMPLE)
        except (TypeError, ValueError) as error:
            raise ActionError(f"action {name!r}: {error}") from error
        self.read_rate = float(self._arguments.get("bytes_per_second", 0.0))

    def plan(self, request: Request) -> Plan:
        """What to do to a connection that this request came on."""
        return self._build(request, **self._arguments)


def parameters(build: Callable[..., Plan]) -> dict[str, inspect.Parameter]:
    """An action's parameters by their public names (`bytes` for `bytes_`), in order."""
    found = list(inspect.signature(build).parameters.values())[1:]
    return {parameter.name.rstrip("_"): parameter for parameter in found}


def converted(build: Callable[..., Plan], arguments: Mapping[str, object]) -> dict[str, Any]:
    """The arguments under the function's own names, as the types of its defaults. Raises ValueError."""
    known = parameters(build)
    result: dict[str, Any] = {}
    for name, value in arguments.items():
        parameter = known.get(name)
        if parameter is None:
            raise ValueError(f"no parameter {name!r}; there are {', '.join(known) or 'none'}")
        result[parameter.name] = as_type_of(parameter.default, value, name)
    return result


def as_type_of(example: object, value: object, name: str) -> object:
    """`value` as number, text or mapping, whichever `example` is; a length must not be negative."""
    if isinstance(example, Mapping):
        if not isinstance(value, Mapping):
            raise ValueError(f"{name} must be an object")
        return value
    if isinstance(example, str):
        return str(value)
    number = float(value) if isinstance(example, float) else int(value)  # type: ignore[arg-type, call-overload]
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name} must be 0 or more and finite")
    return number


def short_form(text: str) -> Action:
    """The action of `name[:arg[:arg]]`; the last argument may hold colons. Raises ActionError."""
    name, _, rest = text.partition(":")
    kind = KINDS.get(name, KINDS["raw"])
    names = [key for key, parameter in parameters(kind.build).items() if not isinstance(parameter.default, Mapping)]
    if name in presets.NAMES:
        names.remove("preset")
    if rest and not names:
        raise ActionError(f"action {name!r} takes no argument")
    values = rest.split(":", len(names) - 1) if rest else []
    return Action(name, {key: value for key, value in zip(names, values, strict=False) if value})
