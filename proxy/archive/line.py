"""The lines of a data object: how a payload becomes one, and how it comes back.

    {"v":1,"seq":7,"ts":1795239913749,…,"ms":12,"body":<the decoded body, verbatim>}
    {"v":1,"seq":8,…,"body_b64":"<the wire bytes>"}       where it is not clean JSON, or where that is wished
    {"v":1,"gap":{"reason":"queue-full",…},"ts":…}        what is missing

Pure. Must not know segments, blocks or stores.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

import orjson

from proxy.archive.coding import PLAIN, decoded
from proxy.archive.splice import is_clean

_BODY: Final = b',"body":'
_BASE64: Final = b',"body_b64":"'
_GAP: Final = b'{"v":1,"gap":'
_FROM_META: Final = ("path", "query", "key", "ip", "region", "headers", "encoding")
_FROM_OUTCOME: Final = ("status", "upstream", "skip", "outcome", "ms")
_DEVICE: Final = re.compile("(?:^|&)device_id(?:=([^&]*))?(?=&|$)")
_SESSION: Final = re.compile("(?:^|&)session_id(?:=([^&]*))?(?=&|$)")
_UNKNOWN: Final = "unknown"  # the coding of a body whose meta names none; as undecodable as any other that is unknown
_MARKS_MAX: Final = 3  # a head holds no more of them: one that begins the body, one that is a header's name


class BadLine(ValueError):
    """Bytes that are no line of a data object; the message says why."""


class Payload(NamedTuple):
    """An upload as it lies in the spool. `meta` and `outcome` are JSON as the worker wrote it, `outcome` empty where
    none is known; `is_cut`: the client left before its body was complete."""

    sequence: int
    time_ms: int
    meta: bytes
    outcome: bytes
    wire: bytes
    is_cut: bool


def session_of(meta: bytes) -> tuple[str, str]:
    """The device and session that an upload says it belongs to, as its query gives them; "" where it does not."""
    return _session(_object(meta))


def payload_line(payload: Payload, *, splice: bool, inflate_max: int) -> tuple[bytes, ...]:
    """The pieces of a payload's line, with its line feed. `splice`: the body itself, where it is clean JSON;
    `inflate_max`: bytes that a body may have when it is decoded."""
    meta, wire = _object(payload.meta), payload.wire
    body = None if payload.is_cut else decoded(wire, _encoding(meta), inflate_max)
    head = orjson.dumps(_head(payload, meta, body))[:-1]
    if splice and body is not None and is_clean(body):
        return head + _BODY, body, b"}\n"
    return head + _BASE64, binascii.b2a_base64(wire, newline=False), b'"}\n'


def _head(payload: Payload, meta: dict[str, Any], body: bytes | None) -> dict[str, Any]:
    """Everything before the body, in the order of the line."""
    device_id, session_id = _session(meta)
    outcome = _object(payload.outcome)
    head = {
        "v": 1,
        "seq": payload.sequence,
        "ts": payload.time_ms,
        "id": meta.get("id"),
        "device_id": device_id,
        "session_id": session_id,
        **{name: meta.get(name) for name in _FROM_META},
        "wire": len(payload.wire),
        "raw": None if body is None else len(body),
        **_digests(body, payload.wire),
        **{name: outcome.get(name) for name in _FROM_OUTCOME},
    }
    if payload.is_cut:
        head["truncated"] = True
    if not meta:
        head["meta_b64"] = _base64(payload.meta)  # an error of ours, and no reason to lose the payload
    return head


def _digests(body: bytes | None, wire: bytes) -> dict[str, str | None]:
    of_wire = sha256(wire).hexdigest()
    if body is None or body is wire:
        return {"sha256": None if body is None else of_wire, "wire_sha256": of_wire}
    return {"sha256": sha256(body).hexdigest(), "wire_sha256": of_wire}


def gap_of(meta: bytes) -> dict[str, Any]:
    """What a GAP frame says."""
    return _object(meta) or {"reason": "unknown", "meta_b64": _base64(meta)}


def gap_line(time_ms: int, gap: dict[str, Any]) -> bytes:
    """The line of a gap, with its line feed."""
    return orjson.dumps({"v": 1, "gap": gap, "ts": time_ms}) + b"\n"


@dataclass(frozen=True, slots=True)
class GapLine:
    """A gap's line: `gap` is what the worker wrote, `time_ms` when."""

    gap: dict[str, Any]
    time_ms: int


@dataclass(frozen=True, slots=True)
class Line:
    """A payload's line. `text` is the line without its line feed, `head` its JSON without the body."""

    text: bytes
    head: dict[str, Any]
    _body_at: int
    _is_base64: bool

    @property
    def time_ms(self) -> int:
        """When the upload was complete, Unix time in ms."""
        return int(self.head["ts"])

    @property
    def digest(self) -> str:
        """Of what was uploaded: the same for two uploads of the same, however they were coded."""
        return str(self.head["sha256"] or self.head["wire_sha256"])

    def wire(self) -> bytes | None:
        """The bytes that came over the wire; None: they were coded, and only what they mean was kept. Raises
        BadLine."""
        if self._is_base64:
            return self._unpacked()
        return self._spliced() if _encoding(self.head) in PLAIN else None

    def body(self) -> bytes | None:
        """The body without its content coding; None: it can't be decoded, or was too large to. Raises BadLine."""
        raw = self.head["raw"]
        if raw is None:
            return None
        return decoded(self._unpacked(), _encoding(self.head), raw) if self._is_base64 else self._spliced()

    def original(self) -> bytes:
        """The body, or the wire bytes where it can't be decoded. Raises BadLine."""
        body = self.body()
        return self._unpacked() if body is None else body

    def problems(self) -> list[str]:
        """Where the bytes are not those that were sealed; empty when all is well."""
        try:
            body, wire = self.body(), self.wire()
        except BadLine as error:
            return [str(error)]
        found = _differences("body", body, self.head["raw"], self.head["sha256"])
        if wire is not None:
            found += _differences("wire bytes", wire, self.head["wire"], self.head["wire_sha256"])
        return found

    def _spliced(self) -> bytes:
        return self.text[self._body_at : -1]

    def _unpacked(self) -> bytes:
        try:
            return binascii.a2b_base64(memoryview(self.text)[self._body_at : -2], strict_mode=True)
        except binascii.Error as error:
            raise BadLine(f"its base64 is damaged: {error}") from None


def read_line(text: bytes) -> Line | GapLine:
    """What a line says; `text` is without its line feed. Raises BadLine."""
    if text.startswith(_GAP):
        return _read_gap(text)
    line = _read(text, _BODY, is_base64=False) or _read(text, _BASE64, is_base64=True)
    if line is None:
        raise BadLine(f"begins with {text[:60]!r}: the line of no payload and of no gap")
    return line


def _read(text: bytes, mark: bytes, *, is_base64: bool) -> Line | None:
    """The line, if `mark` divides it into head and body."""
    at = 0
    for _ in range(_MARKS_MAX):
        at = text.find(mark, at + 1)
        if at < 0:
            return None
        # Where it is a header's name it leaves an object open before it; in a text it can't be, because of its quotes.
        head = _object(text[:at] + b"}")
        if _is_head(head) and text.endswith(b'"}' if is_base64 else b"}"):
            return Line(text, head, at + len(mark), is_base64)
    return None


def _read_gap(text: bytes) -> GapLine:
    match _object(text):
        case {"gap": dict() as gap, "ts": int() as time_ms}:
            return GapLine(gap, time_ms)
    raise BadLine(f"begins with {text[:60]!r}, and is no line of a gap")


def _is_head(head: dict[str, Any]) -> bool:
    """Whether all is there that a reader relies upon."""
    match head:
        case {
            "v": 1,
            "seq": int(),
            "ts": int(),
            "device_id": str(),
            "session_id": str(),
            "wire": int(),
            "raw": int() | None,
            "sha256": str() | None,
            "wire_sha256": str(),
        }:
            return True
    return False


def _differences(what: str, data: bytes | None, length: int | None, digest: str | None) -> list[str]:
    if data is None:
        return [] if length is None else [f"the {what} can't be decoded any longer"]
    if len(data) != length:
        return [f"the {what} has {len(data)} bytes and had {length}"]
    return [] if sha256(data).hexdigest() == digest else [f"the {what} has another SHA-256"]


def _session(meta: dict[str, Any]) -> tuple[str, str]:
    query = meta.get("query")
    return (_value(_DEVICE, query), _value(_SESSION, query)) if isinstance(query, str) else ("", "")


def _value(field: re.Pattern[str], query: str) -> str:
    found = field.search(query)
    value = found[1] or "" if found else ""
    return unquote_plus(value) if "%" in value or "+" in value else value


def _encoding(meta: dict[str, Any]) -> str:
    encoding = meta.get("encoding")
    return encoding if isinstance(encoding, str) else _UNKNOWN


def _object(text: bytes) -> dict[str, Any]:
    """A JSON object; an empty one where the text is none."""
    try:
        value = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()
