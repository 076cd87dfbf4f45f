"""Proves that the configuration files we ship are true: valid, complete, and with the defaults they claim."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from proxy.settings import S3, Archive, Jwt, Settings, advices
from proxy.settings.aliases import ALIASES
from proxy.settings.document import parse
from proxy.settings.editor import json_schema
from proxy.settings.section import Section

from .told import settings

CONFIG = Path(__file__).resolve().parents[3] / "config"
REFERENCE = (CONFIG / "reference.yaml").read_text()
ENVIRONMENT = {"AMPLITUDE_API_KEY": "k", "S3_ACCESS_KEY": "a", "REPLAY_JWT_SECRET": "s" * 32}
# An example stands above its key, with only comments between them.
EXAMPLE = re.compile(
    r"^(?P<before> *(?:- )?)# Example: (?P<example>(?P<key>\w+): .+)\n(?P<between>(?: *#.*\n)*) *(?P=key): ?.*$", re.M
)
# A section that there is none of by default stands below its key as a comment.
COMMENTED = re.compile(r"^(?P<key>\w+): null\n(?P<section># (?P=key):\n(?:#.*\n)+)", re.M)


def with_sections(text: str) -> str:
    """The same file with each section that is a comment put into force."""
    return COMMENTED.sub(lambda match: re.sub(r"^# ?", "", match["section"], flags=re.M), text)


def with_examples(text: str) -> str:
    """The same file with such sections, and each example in place of the default that follows it."""
    return EXAMPLE.sub(r"\g<between>\g<before>\g<example>", with_sections(text))


def keys(kind: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Every (section, key) that the models know."""
    if isinstance(kind, type) and issubclass(kind, Section):
        for name, field in kind.model_fields.items():
            yield kind.__name__, name
            yield from keys(field.annotation)
    for part in get_args(kind):
        yield from keys(part)


def named(document: Any, kind: Any) -> Iterator[tuple[str, str]]:
    """Every (section, key) that a document names, read beside the models."""
    if isinstance(kind, type) and issubclass(kind, Section):
        for name, value in document.items() if isinstance(document, dict) else ():
            yield kind.__name__, name
            yield from named(value, kind.model_fields[name].annotation)
        return
    below = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    sections = [part for part in get_args(kind) if isinstance(part, type) and issubclass(part, Section)]
    for section in sections:
        if isinstance(document, dict) and set(document) <= set(section.model_fields):
            yield from named(document, section)
        else:
            for value in below:
                yield from named(value, section)


def test_the_reference_holds_the_defaults() -> None:
    assert settings(REFERENCE) == Settings()


def test_the_sections_that_are_comments_hold_their_defaults() -> None:
    there = Archive(s3=S3(region="us-east-1", recordingsBucket="openreplay-recordings"))
    tokens = Jwt(jwks_url="https://id.example.com/.well-known/jwks.json")
    assert settings(with_sections(REFERENCE)) == Settings(archive=there, jwt=tokens)


def test_the_section_that_is_a_comment_gives_no_warning_in_a_check_or_an_editor() -> None:
    text = with_sections(REFERENCE)
    assert list(advices(settings(text))) == []
    assert list(Draft202012Validator(json_schema()).iter_errors(parse(text)[0])) == []


def test_the_reference_names_the_variables_that_stand_in_for_keys() -> None:
    listed = {key: tuple(names.split(", ")) for key, names in re.findall(r"^#   #   (\w+) +(\w.*)$", REFERENCE, re.M)}
    assert listed == dict(ALIASES)


def test_the_reference_names_every_key() -> None:
    plain, _ = parse(with_sections(REFERENCE))
    examples, _ = parse(with_examples(REFERENCE))
    written = {*named(plain, Settings), *named(examples, Settings)}
    assert set(keys(Settings)) - written == set()


def test_every_example_is_valid(tmp_path: Path) -> None:
    for name in ("token", "s3"):
        (tmp_path / name).write_text("t\n")
    text = with_examples(REFERENCE).replace("/run/secrets", str(tmp_path))
    assert "Example" not in text.partition("listen:")[2]
    changed = settings(text, ENVIRONMENT)
    same = [name for name in Settings.model_fields if getattr(changed, name) == getattr(Settings(), name)]
    assert same == []


def test_every_example_changes_something() -> None:
    for match in EXAMPLE.finditer(with_sections(REFERENCE)):
        default = match[0].rpartition("\n")[2].strip()
        assert match["example"].strip() != default


def test_every_key_with_a_value_has_a_comment_or_follows_one_that_has() -> None:
    lines = REFERENCE.splitlines()
    sections = [number for number, line in enumerate(lines) if re.match(r"^\w+:", line)]
    for start, end in zip(sections, [*sections[1:], len(lines)], strict=True):
        assert any("#" in line for line in lines[max(start - 3, 0) : end]), lines[start]


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIG.glob("*.yaml")))
def test_no_file_we_ship_gives_a_warning(name: str) -> None:
    assert list(advices(settings((CONFIG / name).read_text(), ENVIRONMENT))) == []


def test_the_smallest_file_is_small() -> None:
    given = (CONFIG / "gateway.yaml").read_text()
    assert len([line for line in given.splitlines() if line.strip() and not line.strip().startswith("#")]) < 12
