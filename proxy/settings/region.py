"""Which region a request belongs to: rules by host, API key and header, and what holds when none matches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, SerializationInfo, field_serializer

from proxy.settings.masking import masked_keys
from proxy.settings.network import host_name
from proxy.settings.section import Fault, Location, Section
from proxy.settings.spelling import api_key, field_text, region_name, token
from proxy.settings.units import flag

RegionName = Annotated[str, region_name()]


class RegionHeader(Section):
    """A header that a trusted proxy in front sets, and the region for each of its values."""

    name: Annotated[str, token("a header name", "CloudFront-Viewer-Country")]
    values: dict[Annotated[str, field_text()], RegionName] = Field(min_length=1)


class RegionRules(Section):
    """Asked in this order: host, API key, header; then `default`, unless `strict`."""

    default: RegionName = "us"
    hosts: dict[Annotated[str, host_name()], RegionName] = Field(default={})
    api_keys: dict[Annotated[str, api_key()], RegionName] = Field(default={}, repr=False)
    header: RegionHeader | None = None
    strict: Annotated[bool, flag()] = False

    def conflicts(self, written: Mapping[str, object]) -> Iterator[Fault]:
        seen: set[str] = set()
        for host in fields_of(written.get("hosts")):
            if host.lower() in seen:
                yield Fault(("hosts", host), "the same host in another spelling", "each host once")
            seen.add(host.lower())

    @field_serializer("api_keys")
    def _mask(self, keys: dict[str, str], info: SerializationInfo) -> dict[str, str]:
        return masked_keys(keys, info)


def named_regions(written: Any) -> Iterator[tuple[Location, str]]:
    """Every region that a `region` section names, read or unread, with its place in that section."""
    rules = fields_of(written)
    header = fields_of(rules.get("header"))
    tables = {
        ("hosts",): rules.get("hosts"),
        ("api_keys",): rules.get("api_keys"),
        ("header", "values"): header.get("values"),
    }
    if isinstance(rules.get("default"), str):
        yield ("default",), rules["default"]
    for where, table in tables.items():
        for key, name in fields_of(table).items():
            if isinstance(name, str):
                yield (*where, key), name


def fields_of(value: Any) -> dict[str, Any]:
    """What a section holds, whether it was validated before or not; nothing for anything else."""
    if isinstance(value, Section):
        return vars(value)
    return value if isinstance(value, dict) else {}
