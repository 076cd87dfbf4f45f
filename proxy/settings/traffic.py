"""What may pass and how it is changed: public paths, CORS, header edits, client addresses, API keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, SerializationInfo, field_serializer

from proxy.settings.masking import MASK, masked_keys, masked_list, revealed
from proxy.settings.network import network
from proxy.settings.section import Fault, Section
from proxy.settings.spelling import (
    api_key,
    field_value,
    origin_pattern,
    public_path,
    token,
    upstream_field_name,
)
from proxy.settings.units import choice, duration

HeaderName = Annotated[str, token("a header name", "X-Request-Source")]


class Paths(Section):
    """The paths that browsers ask for. Aliases help where a blocker matches path names."""

    track: tuple[Annotated[str, public_path()], ...] = Field(default=("/sessions/v2/track",), min_length=1)
    config: tuple[Annotated[str, public_path()], ...] = Field(default=("/config",), min_length=1)

    def conflicts(self, written: Mapping[str, object]) -> Iterator[Fault]:
        listed: dict[str, str] = {}
        for name in ("track", "config"):
            for number, path in enumerate(getattr(self, name)):
                over = next((config for config in self.config if path.startswith(f"{config}/")), None)
                about = frozenset((name, listed.get(path, name)))
                if path in listed:
                    yield Fault((name, number), f'"{path}" a second time', "each path once", about)
                elif over is not None:
                    # <config path>/<API key> would be the same request.
                    rule = f'a path that does not begin with the config path "{over}"'
                    yield Fault((name, number), f'"{path}"', rule, frozenset((name, "config")))
                listed.setdefault(path, name)


class Cors(Section):
    """Which pages may use the gateway, and what they may send and read beyond what the SDK needs."""

    allow_origins: tuple[Annotated[str, origin_pattern()], ...] = Field(default=("*",), min_length=1)
    foreign_origin: Annotated[Literal["serve", "refuse"], choice("serve", "refuse")] = "serve"
    max_age: Annotated[float, duration(zero=True)] = 7200.0
    allow_headers: tuple[HeaderName, ...] = ()
    expose_headers: tuple[HeaderName, ...] = ()


class HeaderEdits(Section):
    """Headers set on, or removed from, each request to the upstream. Names keep their spelling."""

    set: dict[Annotated[str, upstream_field_name()], Annotated[SecretStr, field_value()]] = Field(default={})
    remove: tuple[Annotated[str, upstream_field_name()], ...] = ()

    def conflicts(self, written: Mapping[str, object]) -> Iterator[Fault]:
        seen: dict[str, str] = {}
        for name in self.set:
            if name.lower() in seen:
                yield Fault(("set", name), f"the header {seen[name.lower()]} a second time", "each header once")
            seen[name.lower()] = name

    @field_serializer("set")
    def _mask(self, edits: dict[str, SecretStr], info: SerializationInfo) -> dict[str, str]:
        return {name: value.get_secret_value() if revealed(info) else MASK for name, value in edits.items()}


class Headers(Section):
    """What the gateway does to headers beyond its fixed rules."""

    upstream: HeaderEdits = HeaderEdits()
    forward_cookies: tuple[Annotated[str, token("a cookie's name", "consent")], ...] = ()


class ClientIp(Section):
    """What the upstream learns of the client's address, and whose X-Forwarded-For is believed."""

    forward: Annotated[Literal["full", "truncate", "none"], choice("full", "truncate", "none")] = "full"
    trusted_proxies: tuple[Annotated[IPv4Network | IPv6Network, network()], ...] = ()


class Keys(Section):
    """API keys that are served, an empty list serves any, and the pages that some of them are for."""

    allow: tuple[Annotated[str, api_key()], ...] = Field(default=(), repr=False)
    origins: dict[Annotated[str, api_key()], tuple[Annotated[str, origin_pattern()], ...]] = Field(
        default={}, repr=False
    )

    def conflicts(self, written: Mapping[str, object]) -> Iterator[Fault]:
        for key in self.origins:
            if self.allow and key not in self.allow:
                about = frozenset(("allow", "origins"))
                yield Fault(("origins", key), "a key that keys.allow does not list", "keys of keys.allow", about)

    @field_serializer("allow")
    def _mask(self, keys: tuple[str, ...], info: SerializationInfo) -> list[Any]:
        return masked_list(keys, info)

    @field_serializer("origins")
    def _mask_names(self, origins: dict[str, tuple[str, ...]], info: SerializationInfo) -> dict[str, Any]:
        return masked_keys(origins, info)
