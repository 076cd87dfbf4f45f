"""From pydantic's errors to problems in our own words, with the file's paths and without its secrets."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import ValidationError

from proxy.settings.masking import is_secret_name, is_secret_value
from proxy.settings.placeholders import Substituted
from proxy.settings.problem import Problem, step_text, value_text
from proxy.settings.schema import Settings
from proxy.settings.section import FAULT, Location, Section

# pydantic's name for a fault -> what is expected instead; its numbers are filled in by name.
EXPECTED = {
    "missing": "a value: this key is required",
    "string_type": "text (put it in quotes)",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "tuple_type": "a list",
    "too_short": "at least {min_length} entry",
    "too_long": "at most {max_length} entries",
}


def problems_of(error: ValidationError, written: Any) -> Iterator[Problem]:
    """One problem for each line error. `written` is the document that was validated."""
    items = error.errors(include_url=False)
    for item in items:
        # A fault of a key itself, not of its value, is marked by a last step of pydantic's own.
        in_key = item["loc"][-1:] == ("[key]",)
        location = item["loc"][:-1] if in_key else item["loc"]
        if item["type"] == "too_short" and any(_is_below(location, other["loc"]) for other in items):
            continue  # it has entries, only no valid ones
        yield Problem(shown_path(location, written), _found(item, location, in_key, written), _expected(item, location))


def _is_below(location: Location, other: Location) -> bool:
    return len(other) > len(location) and other[: len(location)] == location


def shown_path(location: Location, written: Any) -> str:
    """The path as text: placeholders as the file has them, secret names as `[key 1]`."""
    shown = ""
    for depth, step in enumerate(location, 1):
        if is_secret_name(location[:depth]):
            shown += f"[key {_number(step, written)}]"
        else:
            shown += step_text(_as_written(step, written))
        written = _below(written, step)
    return shown.removeprefix(".") or "(top level)"


def _found(item: Any, location: Location, in_key: bool, written: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "an unknown key"
    if in_key:
        return "this key"
    for step in location:
        written = _below(written, step)
    if isinstance(written, Substituted):
        return value_text(written.written)
    found: str | None = item.get("ctx", {}).get("found")
    if found is None and is_secret_value(location) and not isinstance(written, dict | list | None):
        return "a value that is not shown"
    return found or value_text(written)


def _expected(item: Any, location: Location) -> str:
    if item["type"] == "extra_forbidden":
        return _known_keys(location)
    context = item.get("ctx", {})
    text: str = context["expected"] if item["type"] == FAULT else EXPECTED[item["type"]].format(**context)
    return text


def _known_keys(location: Location) -> str:
    known = list(_section_at(location[:-1]).model_fields)
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    if close:
        return f"{close[0]} (did you mean that?)"
    return f"one of {', '.join(known)}" if known[1:] else known[0]


def _section_at(location: Location) -> type[Section]:
    section: type[Section] = Settings
    for step in location:
        # Other steps choose among equals: an index in a list of sections, a name in a mapping of them.
        if step in section.model_fields:
            section = _section_in(section.model_fields[str(step)].annotation) or section
    return section


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)


def _below(written: Any, step: int | str) -> Any:
    """What a step leads to. One listener without a list, or a url without a mapping, stands for itself."""
    if isinstance(written, dict) and isinstance(step, str):
        return written.get(step)
    if isinstance(written, list) and isinstance(step, int):
        return written[step]
    return written


def _number(step: int | str, written: Any) -> int:
    return list(written).index(step) + 1


def _as_written(step: int | str, written: Any) -> int | str:
    keys = (key for key in written if key == step) if isinstance(written, dict) else ()
    key = next(iter(keys), step)
    return key.written if isinstance(key, Substituted) else key
