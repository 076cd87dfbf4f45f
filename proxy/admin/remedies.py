"""What to do about each reason, kind and code that the gateway counts: a sentence for each member of the closed lists.

Texts only. The long form is in the documentation; must not know how often something happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proxy.model.drop import Drop
from proxy.model.failure import FailureKind
from proxy.model.verdict import Reason

_NOT_HTTP: Final = "Not a browser, or something in front spoils requests. Scanners are harmless."
_RATES: Final = "Raise the rate in limits; behind a load balancer set client_ip.trusted_proxies."

OF_REASON: Final[Mapping[Reason, str]] = {
    Reason.BAD_REQUEST: _NOT_HTTP,
    Reason.BAD_FRAMING: _NOT_HTTP,
    Reason.TINY_CHUNKS: "Nothing that uploads recordings cuts them so small. See limits.chunk_average.",
    Reason.BAD_HOST: "A client, or a proxy in front, sends no Host or several. Scanners are harmless.",
    Reason.BAD_TARGET: "The path has dot segments or encoded slashes. Scanners are harmless.",
    Reason.BAD_VERSION: "Something in front speaks another version than HTTP/1.1 to the gateway.",
    Reason.HEAD_TOO_LARGE: "Large cookies on this domain? Raise limits.head or limits.fields.",
    Reason.TARGET_TOO_LONG: "Raise limits.target.",
    Reason.BODY_TOO_LARGE: "The SDK halves such a batch and sends it again. If it is frequent, raise limits.body.",
    Reason.UNKNOWN_CODING: "A client, or a proxy in front, uses a transfer coding other than chunked.",
    Reason.UPGRADE: "Something asks for WebSocket or HTTP/2 here; the SDK does not.",
    Reason.EXPECTATION: "A client sends an Expect other than 100-continue; the SDK does not.",
    Reason.UNEXPECTED_BODY: "A GET or OPTIONS with a body; the SDK sends none.",
    Reason.UNKNOWN_PATH: "Compare the addresses given to the SDK with paths in the configuration. Scanners do no harm.",
    Reason.METHOD: "Uploads are POST, configurations GET: is the upload's address given as the configuration's?",
    Reason.TUNNEL: "Somebody tried to use the gateway as an open proxy. It is none.",
    Reason.FOREIGN_ORIGIN: "Add the page's origin to cors.allow_origins: scheme and port count.",
    Reason.KEY_ORIGIN: "Add the page's origin to the key's in keys.origins, or give the page its own key.",
    Reason.GPC: "Visitors who have opted out: as it should be. See privacy.gpc.",
    Reason.UNKNOWN_KEY: "Add the API key to keys.allow, or correct it in the page.",
    Reason.TOKEN_MISSING: "The SDK's hook must set the header of jwt.header; beacons of older SDKs can't.",
    Reason.TOKEN_INVALID: "Expired, not for this issuer or audience, or signed by another key: compare with jwt.",
    Reason.TOKEN_KEYS: "No keys have come from jwt.jwks_url since the start: the log says why.",
    Reason.NO_REGION: "Name the host, key or header in region; a proxy in front must keep Host.",
    Reason.RATE_PER_IP: _RATES,
    Reason.RATE_PER_KEY: _RATES,
    Reason.TOO_MANY_CONNECTIONS: "Raise limits.connections, or run more workers or gateways. Is it a flood?",
    Reason.CONNECTIONS_PER_IP: "A proxy in front? Name it in client_ip.trusted_proxies. See limits.connections_per_ip.",
    Reason.MEMORY: "Raise limits.inflight_bytes, or run more workers or gateways. Is the vendor slow?",
    Reason.HEAD_TIMEOUT: "Clients that open a connection and send nothing. Slow lines are normal.",
    Reason.BODY_TIMEOUT: "Clients whose upload stopped, on slow or lost lines. See timeouts.client_body_idle.",
    Reason.INCOMPLETE: "Clients that left in the middle of a request, as pages do when they are closed.",
}
OF_FAILURE: Final[Mapping[FailureKind, str]] = {
    FailureKind.RESOLVE: "Look at this machine's name resolution: the vendor's host is not found.",
    FailureKind.CONNECT_REFUSED: "Look at the firewall, and at the upstreams of the configuration.",
    FailureKind.CONNECT_TIMEOUT: "Look at the way out of this machine to the vendor's port 443.",
    FailureKind.CONNECT_ERROR: "Look at the routes and the firewall of this machine.",
    FailureKind.NO_RESOURCES: "Raise the limit of open files (LimitNOFILE=, ulimit -n), or give it memory.",
    FailureKind.TLS: "A proxy that breaks TLS (give its authority as ca_file), old root certificates, a wrong clock.",
    FailureKind.POOL_FULL: "Is the vendor slow? Else raise limits.upstream_connections.",
    FailureKind.BREAKER_OPEN: "The upstream failed several times in a row; it is tried again by itself.",
    FailureKind.UPSTREAM_CLOSED: "The vendor, or something on the way, hangs up. Look at the vendor's status page.",
    FailureKind.UPSTREAM_TIMEOUT: "The vendor, or the way to it, is slow. See timeouts.first_byte.",
    FailureKind.UPSTREAM_STALLED: "The vendor stopped in the middle of an answer.",
    FailureKind.BAD_ANSWER: "What answers is not the vendor, or it is broken: look at the log.",
    FailureKind.ANSWER_TOO_LARGE: "Raise limits.config_answer or limits.answer_head if the answer is right.",
    FailureKind.TRUNCATED_ANSWER: "The vendor, or something on the way, cuts answers off.",
    FailureKind.CLIENT_GONE: "Pages that were closed. Normal.",
    FailureKind.CLIENT_STALLED: "Clients on lost lines. Normal.",
    FailureKind.DRAIN_TIMEOUT: "Raise timeouts.drain, and the time that the machine gives the process to end.",
    FailureKind.INTERNAL: "An error of the gateway's own: the log has it.",
}
OF_DROP: Final[Mapping[Drop, str]] = {
    Drop.QUEUE_FULL: "The disk is slower than the traffic: a faster one, or a larger archive.spool.queue_bytes.",
    Drop.SPOOL_FULL: "The store takes less than comes: see its last error; raise archive.spool.max_bytes.",
    Drop.OLDEST: "The store takes less than comes: see its last error; raise archive.spool.max_bytes.",
    Drop.NO_SPACE: "Make room on the spool's disk, or lower archive.spool.min_free_bytes.",
    Drop.DISK_ERROR: "Look at the spool's disk and at the log.",
    Drop.SUPPRESSED: "Of visitors who were erased. As it should be.",
    Drop.CRASH: "A worker was killed with uploads in memory: see the log.",
}
OF_SKIP: Final[Mapping[int, str]] = {
    429: "A quota of the vendor's is used up; the SDK pauses for a minute.",
    4004: "The vendor has switched recording off for this session; the SDK stops.",
    4005: "The vendor has switched recording off for this session; the SDK stops.",
    0: "A code that is not known here: ask the vendor.",
}
UNKNOWN_HEADERS: Final = "Granted, so nothing is lost. The log names the header: add it to cors.allow_headers."
