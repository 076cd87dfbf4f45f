"""The JSON Schema by which editors check and complete a configuration file.

Drawn from the models, then widened where the file is more generous than they say: a placeholder may stand
for any single value, a section may be empty, a url may stand for an upstream, one listener for a list of
them, the built-in regions need not be complete, and variables of the environment may complete `archive.s3`.
"""

from __future__ import annotations

from typing import Any

from proxy.settings.handover import masked
from proxy.settings.schema import Archive, Jwt, Settings
from proxy.settings.upstreams import BUILT_IN

PLACEHOLDER = {"type": "string", "pattern": r"\$\{(env|file):[^{}]+\}"}

Schema = dict[str, Any]

_JWT = Jwt(jwks_url="https://id.example.com/jwks.json")  # one of its keys must be given


def json_schema() -> Schema:
    """A JSON Schema (2020-12) of the file. Cross-field checks are beyond it."""
    schema = Settings.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "replay-gateway configuration"
    _spell_defaults(schema, schema, masked(Settings()))
    # There is none by default, so its own defaults are not among those.
    _spell_defaults(schema, schema["$defs"]["Archive"], masked(Settings(archive=Archive()))["archive"])
    _spell_defaults(schema, schema["$defs"]["Jwt"], masked(Settings(jwt=_JWT))["jwt"] | {"jwks_url": None})
    _allow_shorthands(schema)
    for section in (schema, *schema["$defs"].values()):
        section["properties"] = {name: _widened(part) for name, part in section["properties"].items()}
    return schema


def _spell_defaults(schema: Schema, section: Schema, defaults: Schema) -> None:
    """Defaults as the file would say them: `10s` where the model has 10.0."""
    for name, part in section["properties"].items():
        part["default"] = defaults[name]
        for choice in (part, *part.get("anyOf", ())):
            if "$ref" in choice and defaults[name] is not None:
                _spell_defaults(schema, schema["$defs"][choice["$ref"].rpartition("/")[2]], defaults[name])


def _allow_shorthands(schema: Schema) -> None:
    sections, properties = schema["$defs"], schema["properties"]
    url, routes = sections["Upstream"]["properties"]["url"], sections["RegionUpstreams"]["properties"]
    for route, part in list(routes.items()):
        routes[route] = {"anyOf": [part, {key: url[key] for key in ("type", "pattern")}]}
    partial = {name: part for name, part in sections["RegionUpstreams"].items() if name != "required"}
    sections["BuiltInUpstreams"] = partial | {"properties": dict(routes)}
    properties["upstreams"]["properties"] = {name: {"$ref": "#/$defs/BuiltInUpstreams"} for name in BUILT_IN}
    del sections["S3"]["required"]
    listen = properties["listen"]
    default = listen.pop("default")
    properties["listen"] = {"default": default, "anyOf": [listen, listen["items"]]}


def _widened(part: Schema) -> Schema:
    """The same part of a schema, accepting placeholders for keys and values, and nothing for a section."""
    if "patternProperties" in part:
        values = next(iter(part["patternProperties"].values()))
        part = {name: value for name, value in part.items() if name != "patternProperties"}
        part["additionalProperties"] = values
    for name in ("items", "additionalProperties"):
        if isinstance(part.get(name), dict):
            part = part | {name: _widened(part[name])}
    if "anyOf" in part:
        return part | {"anyOf": [*map(_widened, part["anyOf"])]}
    if "$ref" in part:
        return _or(part, {"type": "null"})
    single = "enum" in part or part.get("type") in ("string", "integer", "number", "boolean")
    return _or(part, PLACEHOLDER) if single else part


def _or(part: Schema, other: Schema) -> Schema:
    notes = {name: part[name] for name in ("default", "description", "title") if name in part}
    return notes | {"anyOf": [{name: value for name, value in part.items() if name not in notes}, other]}
