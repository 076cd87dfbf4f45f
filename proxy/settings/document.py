"""YAML text to plain values: mappings, lists, text, numbers, true/false, null.

Differs from PyYAML's usual reading where that surprises: `no`, `off` and `on` are text, so are dates and
`10:30`; keys are always text; a key given twice is reported; aliases and tags are refused.
Must not know what the settings are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from proxy.settings.section import Location


class _Reader(yaml.SafeLoader):
    """Composes nodes; knows the plain scalars of YAML's core schema (1.2) only."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML fills this table

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.get_event()  # type: ignore[no-untyped-call]
            raise _bad("aliases (*name) are not accepted, write the value out", event.start_mark)
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,18}", list("-+0123456789")),
    ("float", r"[-+]?(?:[0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18})", list("-+.0123456789")),
):
    _Reader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _whole(text: str) -> str:
    r"""The text with pairs of surrogates joined: JSON writes \ud83d\ude00 for one character. ValueError for a half."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16")


_SCALARS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:null": lambda text: None,
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:str": _whole,
}


class BadDocumentError(ValueError):
    """The text is not YAML as it is accepted here. Arguments: the reason, the line and the column (from 1, or 0)."""

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        super().__init__(reason, line, column)
        self.reason = reason
        self.line = line
        self.column = column


def parse(text: str) -> tuple[Any, list[tuple[Location, int]]]:
    """The document's value (None when it is empty), and each key given twice with its line.

    Raises BadDocumentError. The reason never quotes the text, which may hold secrets.
    """
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _bad(_reason(error), mark) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        column = len(before) - before.rfind("\n")
        raise BadDocumentError("a character that YAML does not allow", before.count("\n") + 1, column) from None
    except RecursionError:
        raise BadDocumentError("too many levels") from None
    repeated: list[tuple[Location, int]] = []
    return _value(node, (), repeated), repeated


def _compose(text: str) -> yaml.Node | None:
    reader = _Reader(text)
    try:
        node: yaml.Node | None = reader.get_single_node()
        return node
    finally:
        reader.dispose()


def _reason(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part and part != "second occurrence"]
    # Some messages quote tags and anchors; token names like '<scalar>' and single characters may stay.
    return re.sub(r"'[^'<]{8,}'", "…", ", ".join(parts))


def _bad(reason: str, mark: yaml.Mark | None) -> BadDocumentError:
    return BadDocumentError(reason, mark.line + 1, mark.column + 1) if mark else BadDocumentError(reason)


def _value(node: yaml.Node | None, location: Location, repeated: list[tuple[Location, int]]) -> Any:
    if node is None:
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, location, repeated)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*location, number), repeated) for number, item in enumerate(node.value)]
    read = _SCALARS.get(node.tag)
    if read is None:
        raise _bad("a tag (!name) where none is accepted", node.start_mark)
    return _read(node, read)


def _read(node: yaml.Node, read: Callable[[str], Any]) -> Any:
    try:
        return read(node.value)
    except ValueError:
        raise _bad("a value that can't be read", node.start_mark) from None


def _mapping(node: yaml.MappingNode, location: Location, repeated: list[tuple[Location, int]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _bad("a list or mapping as a key", key.start_mark)
        name = _read(key, _whole)
        if name in table:
            repeated.append(((*location, name), key.start_mark.line + 1))
        table[name] = _value(value, (*location, name), repeated)
    return table
