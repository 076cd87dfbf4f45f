"""The vendor's endpoints, region by region. `us` and `eu` are built in; the file overrides or adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import model_validator

from proxy.settings.network import Address, bracketed, dial_address, is_host, is_loopback
from proxy.settings.section import Section
from proxy.settings.spelling import DEFAULT_PORTS, file_path
from proxy.settings.units import Parsed, UnreadableError, text_of

# The endpoints that the browser SDK itself uses when it is not pointed elsewhere.
BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "us": {
        "track": "https://api-sr.amplitude.com/sessions/v2/track",
        "config": "https://sr-client-cfg.amplitude.com/config",
    },
    "eu": {
        "track": "https://api-sr.eu.amplitude.com/sessions/v2/track",
        "config": "https://sr-client-cfg.eu.amplitude.com/config",
    },
}

_URL = re.compile(
    r"(?P<scheme>[A-Za-z]+)://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*)"
)


class UrlParts(NamedTuple):
    """A URL taken apart: lower-case, IPv6 without brackets, the port that the scheme implies, no slash at the end."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port; the port is left out when it is the scheme's own (RFC 9110, 7.2)."""
        host = bracketed(self.host)
        return host if DEFAULT_PORTS[self.scheme] == self.port else f"{host}:{self.port}"


def split_url(url: str) -> UrlParts | None:
    """The parts of an http or https URL without user, query and fragment; None for any other text."""
    match = _URL.fullmatch(url)
    scheme = match["scheme"].lower() if match else ""
    if match is None or scheme not in DEFAULT_PORTS:
        return None
    host, port = match["host"].strip("[]").lower(), int(match["port"] or DEFAULT_PORTS[scheme])
    path = match["path"].rstrip("/")
    if not is_host(host) or not 1 <= port <= 65535 or any(part in (".", "..") for part in path.split("/")):
        return None
    return UrlParts(scheme, host, port, path)


def upstream_url() -> Parsed:
    """An http or https URL with host and path, without user, query and fragment."""
    expected = "a URL such as https://api-sr.amplitude.com/sessions/v2/track, without user, query and fragment"

    def parse(value: object) -> str:
        url = text_of(value, expected)
        if split_url(url) is None:
            raise UnreadableError(expected)
        return url

    return Parsed(parse, {"type": "string", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^@?#\s]+$"})


class Upstream(Section):
    """One endpoint. `connect` is dialled instead of the url's host, while Host and SNI stay the url's.

    The file may give the url alone, as text.
    """

    url: Annotated[str, upstream_url()]
    connect: Annotated[Address, dial_address()] | None = None
    ca_file: Annotated[Path, file_path()] | None = None

    @model_validator(mode="before")
    @classmethod
    def _url_alone(cls, data: Any) -> Any:
        return {"url": data} if isinstance(data, str) else data

    @cached_property
    def parts(self) -> UrlParts:
        parts = split_url(self.url)
        assert parts is not None  # the url was checked by `upstream_url`
        return parts

    @cached_property
    def tls(self) -> bool:
        """Whether the upstream is spoken to over TLS."""
        return self.parts.scheme == "https"

    @cached_property
    def host(self) -> str:
        """The name for Host and SNI, lower-case; IPv6 without brackets."""
        return self.parts.host

    @cached_property
    def port(self) -> int:
        """The url's port, or its scheme's."""
        return self.parts.port

    @cached_property
    def path(self) -> str:
        """The url's path without a slash at its end; empty for none."""
        return self.parts.path

    @cached_property
    def authority(self) -> str:
        """The Host header's value."""
        return self.parts.authority

    @property
    def dialled(self) -> Address:
        """Where connections go: `connect`, or the url's own host and port."""
        return self.connect or Address(self.host, self.port)

    @property
    def is_exposed(self) -> bool:
        """Whether replay data would cross a network in the clear."""
        return not self.tls and not is_loopback(self.dialled.host)


class RegionUpstreams(Section):
    """The two endpoints of one region."""

    track: Upstream
    config: Upstream


def with_built_in(written: Any) -> Any:
    """The regions of the file, completed by the built-in ones; what is not a mapping is returned as it came."""
    if not isinstance(written, Mapping):
        return written
    merged: dict[Any, Any] = dict(BUILT_IN)
    for name, given in written.items():
        partial = isinstance(given, Mapping) and name in BUILT_IN
        merged[name] = {**BUILT_IN[name], **given} if partial else given
    return merged
