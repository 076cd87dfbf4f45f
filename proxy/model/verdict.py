"""What the gateway decides about a request, and why it may refuse one.

A *reject* is a choice of ours (compare `model.failure`, where something broke).
Must not know how an answer is written or who asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Route(Enum):
    """The two routes the gateway carries."""

    TRACK = "track"
    CONFIG = "config"


class Reason(Enum):
    """Every reason for refusing a request; a closed list, also the metric's label values."""

    BAD_REQUEST = "bad_request"
    BAD_FRAMING = "bad_framing"
    TINY_CHUNKS = "tiny_chunks"
    BAD_HOST = "bad_host"
    BAD_TARGET = "bad_target"
    BAD_VERSION = "bad_version"
    HEAD_TOO_LARGE = "head_too_large"
    TARGET_TOO_LONG = "target_too_long"
    BODY_TOO_LARGE = "body_too_large"
    UNKNOWN_CODING = "unknown_coding"
    UPGRADE = "upgrade"
    EXPECTATION = "expectation"
    UNEXPECTED_BODY = "unexpected_body"
    UNKNOWN_PATH = "unknown_path"
    METHOD = "method"
    TUNNEL = "tunnel"
    FOREIGN_ORIGIN = "foreign_origin"
    GPC = "gpc"
    UNKNOWN_KEY = "unknown_key"
    KEY_ORIGIN = "key_origin"
    TOKEN_MISSING = "token_missing"
    TOKEN_INVALID = "token_invalid"
    TOKEN_KEYS = "token_keys"
    NO_REGION = "no_region"
    RATE_PER_IP = "rate_per_ip"
    RATE_PER_KEY = "rate_per_key"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    CONNECTIONS_PER_IP = "connections_per_ip"
    MEMORY = "memory"
    HEAD_TIMEOUT = "head_timeout"
    BODY_TIMEOUT = "body_timeout"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a Reason means on the wire.

    `status` is the HTTP status on the track route, `config_status` the one on the config route,
    where the browser SDK must never see a 401, 403 or 404 that the vendor did not send: it would
    stop fetching. A 200 there is a configuration that says not to record. `close` says that the
    connection can't be trusted or used any longer. `retry_after` is in seconds, 0 for none.
    """

    status: int
    close: bool
    message: str
    retry_after: int = 0
    config_status: int = 0


REJECTIONS: dict[Reason, Rejection] = {
    Reason.BAD_REQUEST: Rejection(400, True, "the request head is not valid HTTP/1.1"),
    Reason.BAD_FRAMING: Rejection(400, True, "the length of the request's body is ambiguous or malformed"),
    Reason.TINY_CHUNKS: Rejection(400, True, "the chunks of the request's body are too small on average"),
    Reason.BAD_HOST: Rejection(400, True, "exactly one valid Host field is required"),
    Reason.BAD_TARGET: Rejection(400, True, "the target must be a plain path, without dot segments or encoded slashes"),
    Reason.BAD_VERSION: Rejection(505, True, "only HTTP/1.1 and HTTP/1.0 are spoken here"),
    Reason.HEAD_TOO_LARGE: Rejection(431, True, "the head exceeds the limit of {limit} bytes or {fields} fields"),
    Reason.TARGET_TOO_LONG: Rejection(414, True, "the request target exceeds the limit of {limit} bytes"),
    # The wording is a contract: the SDK halves a batch when a 413's body matches /payload.*exceed/i.
    Reason.BODY_TOO_LARGE: Rejection(413, True, "Payload exceeds the maximum allowed size of {limit} bytes"),
    Reason.UNKNOWN_CODING: Rejection(501, True, "the only transfer coding understood is chunked"),
    Reason.UPGRADE: Rejection(501, True, "protocol upgrades are not offered"),
    Reason.EXPECTATION: Rejection(417, True, "the only expectation understood is 100-continue"),
    Reason.UNEXPECTED_BODY: Rejection(400, True, "a request of this method carries no body here"),
    Reason.UNKNOWN_PATH: Rejection(404, False, "no such path; served are {paths}"),
    Reason.METHOD: Rejection(405, False, "this method is not allowed here; allowed: {allow}"),
    Reason.TUNNEL: Rejection(405, True, "CONNECT and TRACE are not offered"),
    Reason.FOREIGN_ORIGIN: Rejection(403, False, "this origin is not in cors.allow_origins", 0, 400),
    # Final for the SDK: no 2xx, which would say that the vendor has it, and nothing that it sends again.
    Reason.GPC: Rejection(403, False, "this visitor has opted out (Sec-GPC: 1), and privacy.gpc is drop", 0, 200),
    Reason.UNKNOWN_KEY: Rejection(403, False, "this API key is not in keys.allow", 0, 400),
    Reason.KEY_ORIGIN: Rejection(403, False, "this API key is not for this origin (keys.origins)", 0, 400),
    # On the configuration no 401: the SDK would stop asking for good.
    Reason.TOKEN_MISSING: Rejection(401, False, "a token is required (jwt.header)", 0, 400),
    Reason.TOKEN_INVALID: Rejection(401, False, "this token is not valid, or not any longer", 0, 400),
    Reason.TOKEN_KEYS: Rejection(503, False, "the keys that check tokens are not known yet", 1),
    Reason.NO_REGION: Rejection(421, False, "no rule gives its region (region.strict), or its API keys give several"),
    Reason.RATE_PER_IP: Rejection(429, False, "too many requests from this address", 1),
    Reason.RATE_PER_KEY: Rejection(429, False, "too many requests for this API key", 1),
    Reason.TOO_MANY_CONNECTIONS: Rejection(503, True, "the gateway has no room for another connection", 1),
    Reason.CONNECTIONS_PER_IP: Rejection(429, True, "too many connections from this address", 1),
    Reason.MEMORY: Rejection(503, True, "the gateway has no room for another body", 1),
    Reason.HEAD_TIMEOUT: Rejection(408, True, "the request head did not arrive in time"),
    Reason.BODY_TIMEOUT: Rejection(408, True, "the request body stopped arriving"),
    Reason.INCOMPLETE: Rejection(400, True, "the connection ended before the request was complete"),
}
