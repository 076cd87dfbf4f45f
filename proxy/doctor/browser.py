"""What the browser SDK sends, request by request: uploads, what a leaving page sends, the configuration, preflights.

Pure: no request is sent here. The API key and the session are invented and say so, unless a key is given; a vendor
refuses them, so nothing is recorded in anybody's project. Must not know what is concluded from the answers.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Final, NamedTuple

from proxy.policy.origins import SDK_HEADERS

INVENTED_KEY: Final = "replay-gateway-doctor"
DEVICE: Final = "replay-gateway-doctor"
SESSION: Final = "1"
ORIGIN: Final = "https://app.example.com"
FOREIGN_ORIGIN: Final = "https://replay-gateway-doctor.invalid"
COOKIE: Final = "replay-gateway-doctor"
# Of a network that is for documentation only (RFC 5737).
FORGED_ADDRESS: Final = "192.0.2.77"
UNKNOWN: Final = "replay-gateway-doctor"  # what is put to paths to make others of them
LARGE: Final = 5_000_000  # half of the SDK's largest batch
JUST_ABOVE_1_MIB: Final = 1_100_000  # 1 MiB is what several servers allow of their own accord
# In the SDK's order, which is that of the alphabet.
UPLOAD_HEADERS: Final = ",".join(sorted(name.decode().lower() for name in SDK_HEADERS))

_JSON: Final = ("Content-Type", "application/json")
_AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
_EVENT: Final = json.dumps({"type": 5, "timestamp": 0, "data": {"tag": "replay-gateway-doctor", "payload": {}}})

Fields = tuple[tuple[str, str], ...]


class Request(NamedTuple):
    """A request, and what the findings call it."""

    name: str
    method: str
    url: str
    fields: Fields
    body: bytes = b""


@dataclass(frozen=True)
class Sdk:
    """The SDK on a page of `origin`, pointed at two addresses. `api_key` is the invented one, or the caller's."""

    track: str
    config: str
    origin: str = ORIGIN
    api_key: str = INVENTED_KEY

    @property
    def is_invented(self) -> bool:
        """Whether a vendor must refuse the key."""
        return self.api_key == INVENTED_KEY

    @property
    def config_of_key(self) -> str:
        return f"{self.config}/{self.api_key}?config_group=browser"

    def preflight(self, name: str, url: str, method: str, headers: str) -> Request:
        """What a browser asks before a request of another origin that is not a simple one."""
        asked: Fields = (("Access-Control-Request-Method", method),)
        asked += (("Access-Control-Request-Headers", headers),) if headers else ()
        return Request(name, "OPTIONS", url, self._fields(*asked))

    def upload_preflight(self) -> Request:
        return self.preflight("preflight of an upload", self._batch(), "POST", UPLOAD_HEADERS)

    def upload(self) -> Request:
        """Compressed, as SDKs since 1.36 do."""
        body = gzip.compress(_body(0), mtime=0)
        return Request("upload", "POST", self._batch(), self._upload_fields(("Content-Encoding", "gzip")), body)

    def plain_upload(self, size: int = 0) -> Request:
        """As in a browser that can't compress; of at least so many bytes."""
        name = f"upload of {size / 1e6:g} MB" if size else "uncompressed upload"
        return Request(name, "POST", self._batch(), self._upload_fields(), _body(size))

    def beacon_preflight(self) -> Request:
        return self.preflight("preflight on leaving", self._parting(), "POST", "content-type")

    def beacon(self) -> Request:
        """What a page sends when it is left: with cookies, the key in the query."""
        fields = self._fields(_JSON, ("Cookie", f"{COOKIE}=1"))
        return Request("upload on leaving", "POST", self._parting(), fields, _payload(2, [_EVENT]))

    def configuration(self) -> Request:
        return Request("configuration", "GET", self.config_of_key, self._fields())

    def old_configuration(self) -> Request:
        """As SDKs before 1.29 ask."""
        query = f"api_key={self.api_key}&config_keys=sessionReplay&session_id={SESSION}"
        return Request("configuration, old shape", "GET", f"{self.config}?{query}", self._fields())

    def config_preflight(self) -> Request:
        """The SDK itself makes none; a page that adds a header does."""
        return self.preflight("preflight of the configuration", self.config_of_key, "GET", "x-session-token")

    def simple(self, name: str, method: str, url: str) -> Request:
        """A request without a body of its own, for addresses that the SDK does not use."""
        return Request(name, method, url, self._fields(), b"{}" if method in ("POST", "PUT") else b"")

    def foreign(self) -> Sdk:
        """The same on somebody else's page."""
        return replace(self, origin=FOREIGN_ORIGIN)

    def _batch(self) -> str:
        return f"{self.track}?device_id={DEVICE}&session_id={SESSION}&type=replay"

    def _parting(self) -> str:
        return f"{self._batch()}&api_key={self.api_key}"

    def _upload_fields(self, *more: tuple[str, str]) -> Fields:
        return self._fields(
            ("Authorization", f"Bearer {self.api_key}"),
            _JSON,
            *more,
            ("X-Client-Version", "1.50.2"),
            ("X-Client-Library", "standalone/1.50.2"),
            ("X-Client-Url", f"{self.origin}/replay-gateway-doctor"),
            ("X-Client-Sample-Rate", "1"),
            ("X-Sampling-Hash-Alg", "xxhash32"),
        )

    def _fields(self, *more: tuple[str, str]) -> Fields:
        usual = (("Origin", self.origin), ("Accept", "*/*"), ("User-Agent", _AGENT))
        return (*usual, *more, ("Accept-Encoding", "gzip, deflate"), ("Sec-Fetch-Mode", "cors"))


@cache
def _body(size: int) -> bytes:
    """A batch of at least so many bytes, of which hardly any can be saved by compression."""
    text = b64encode(Random(size).randbytes(size * 3 // 4)).decode()
    return _payload(1, [_EVENT, *([json.dumps(text)] if size else [])])


def _payload(version: int, events: list[str]) -> bytes:
    """A batch: JSON with each event as JSON in a text."""
    return json.dumps({"version": version, "events": events}, separators=(",", ":")).encode()
