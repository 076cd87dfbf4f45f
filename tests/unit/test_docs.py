"""Proves what a machine can prove of the documents: links lead somewhere, configurations load without a warning,
commands, settings, metrics and reasons that are named exist, tables say what the code says, and nothing refers to
places that a reader does not have. What the commands print is proved in tests/processes/test_readme.py.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import BaseModel

from proxy.archive.bucket_documents import PERMISSIONS
from proxy.archive.line import Payload, payload_line
from proxy.cli import main
from proxy.model.drop import Drop
from proxy.model.failure import FAILURES, FailureKind, Retry
from proxy.model.verdict import REJECTIONS, Reason
from proxy.observe.ledger import LedgerMemory
from proxy.observe.metrics import GatewayCollector, Processes
from proxy.settings import Archive, Settings, advices
from proxy.settings.source import from_text

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {"node_modules", "build", "dist", "__pycache__"}
RETRIES = {
    Retry.NEVER: "no",
    Retry.SAFE: "yes: nothing was sent",
    Retry.IF_REUSED: "if the connection was a reused one",
}


def our_files(folder: Path = ROOT) -> Iterator[Path]:
    """Every file of the project, without what tools put there; hidden folders only where they are ours."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            hidden = path.name.startswith(".") and path.name != ".ci"
            if path.name not in NOT_OURS and not hidden and not path.name.endswith(".egg-info"):
                yield from our_files(path)
        else:
            yield path


DOCUMENTS = [path for path in our_files() if path.suffix == ".md"]
TEXTS = {path: path.read_text() for path in DOCUMENTS}


def name_of(value: object) -> str:
    """A parameter's name in the report of a test."""
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else ""


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a document in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def spans(text: str) -> list[str]:
    """The inline code of a document."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`]+)`", prose)


def commands(text: str, program: str) -> list[list[str]]:
    """The words after `program`, for every command in the document's shell blocks and inline code."""
    lines = [line for block in blocks(text, "sh") for line in block.replace("\\\n", " ").splitlines()]
    found = (re.fullmatch(rf"(?:\.venv/bin/)?{program}(?: (.*))?", each) for each in (*lines, *spans(text)))
    return [shlex.split(match[1] or "") for match in found if match]


def everything(language: str) -> list[Any]:
    """All blocks of all documents, as test parameters."""
    return [
        pytest.param(block, id=f"{name_of(path)}-{number}")
        for path, text in TEXTS.items()
        for number, block in enumerate(blocks(text, language), 1)
    ]


def test_the_documents_are_found() -> None:
    names = {name_of(path) for path in DOCUMENTS}
    assert {"README.md", "CHANGELOG.md", "SECURITY.md", "docs/architecture.md"} <= names


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_relative_link_is_dead(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", TEXTS[document])
    relative = [link for link in links if "://" not in link]
    assert [link for link in relative if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_fence_is_left_open_or_without_its_language(document: Path) -> None:
    fences = re.findall(r"^```(.*)$", TEXTS[document], re.MULTILINE)
    assert all(fences[0::2])
    assert not any(fences[1::2])
    assert len(fences) % 2 == 0


@pytest.mark.parametrize("block", everything("yaml"))
def test_every_configuration_loads_without_a_warning(block: str) -> None:
    environment = dict.fromkeys(re.findall(r"\$\{env:(\w+)\}", block), "0123456789abcdef")
    settings = from_text(block, environment)
    assert isinstance(settings, Settings), [str(problem) for problem in settings]
    assert list(advices(settings)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_command_or_option_is_named_that_does_not_exist(document: Path) -> None:
    for words in commands(TEXTS[document], "replay-gateway"):
        if not words or words == ["--version"]:
            continue
        assert words[0] in main.commands, words
        group = click.Context(main, **main.context_settings)
        try:
            main.commands[words[0]].make_context(words[0], words[1:], parent=group)
        except click.UsageError as error:
            pytest.fail(f"replay-gateway {' '.join(words)}: {error.message}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_make_target_is_named_that_does_not_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[0] for words in commands(TEXTS[document], "make") if words} <= targets


def field_exists(model: type[BaseModel], path: list[str]) -> bool:
    """Whether the settings have a key at this path. What is below a list or table is not looked at."""
    field = model.model_fields.get(path[0])
    if field is None:
        return False
    kind = field.annotation
    if len(path) == 1 or not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return True
    return field_exists(kind, path[1:])


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_setting_is_named_that_does_not_exist(document: Path) -> None:
    paths = [span.replace("[]", "").split(".") for span in spans(TEXTS[document]) if re.fullmatch(r"[\w.\[\]]+", span)]
    ours = [path for path in paths if path[0] in Settings.model_fields and len(path) > 1]
    assert [path for path in ours if not field_exists(Settings, path)] == []


def test_no_metric_is_named_that_does_not_exist() -> None:
    memory = LedgerMemory.create(1)
    registry = CollectorRegistry()
    registry.register(GatewayCollector(memory.totals, lambda: Processes(1, 1, 0, False, keys_fetched_at=0.0), "0"))
    exported = generate_latest(registry).decode()
    memory.close()
    named = {name for text in TEXTS.values() for name in re.findall(r"\breplay_gateway_\w+", text)}
    assert named
    assert [name for name in named if name not in exported] == []


def test_no_reason_is_named_with_another_status_than_its_own() -> None:
    status = {kind.value: FAILURES[kind].status for kind in FailureKind}
    status |= {reason.value: REJECTIONS[reason].status for reason in Reason}
    text = TEXTS[ROOT / "README.md"]
    named = [
        (label, int(code))
        for code, labels in re.findall(r"\b([45]\d\d) ((?:`[a-z_]+`(?:, )?)+)", text)
        for label in re.findall(r"`([a-z_]+)`", labels)
    ]
    assert len(named) > 10
    assert [each for each in named if status.get(each[0]) != each[1]] == []


def rows(document: str, heading: str) -> list[str]:
    """The rows of the table that begins with this heading, without its head."""
    lines = TEXTS[ROOT / document].splitlines()
    begin = lines.index(heading) + 2
    end = next(number for number, line in enumerate([*lines[begin:], ""], begin) if not line.startswith("|"))
    return lines[begin:end]


def test_the_table_of_failures_is_that_of_the_code() -> None:
    assert rows("docs/architecture.md", "| failure | whose | status | sent again | meaning |") == [
        f"| `{kind.value}` | {it.source.value} | {it.status} | {RETRIES[it.retry]} | {it.message} |"
        for kind, it in FAILURES.items()
    ]


def test_the_table_of_refusals_is_that_of_the_code() -> None:
    assert rows("docs/architecture.md", "| reason | status | on `/config` | connection | meaning |") == [
        f"| `{reason.value}` | {it.status} | {it.config_status or it.status} | {'closes' if it.close else 'stays'} "
        f"| {it.message} |"
        for reason, it in REJECTIONS.items()
    ]


def leaves(model: type[BaseModel], path: str) -> Iterator[str]:
    """The keys of a section of the settings, those of the sections in it in their place."""
    for name, field in model.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        below = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if below is None:
            yield f"{path}.{name}"
        else:
            yield from leaves(below, f"{path}.{name}")


def names_in(rows: list[str]) -> list[str]:
    """The inline code in the first column of a table."""
    return [name for row in rows for name in re.findall("`([^`]+)`", row.split("|")[1])]


def test_the_table_of_drops_is_that_of_the_code() -> None:
    assert names_in(rows("docs/archive.md", "| drop | why | what to do |")) == [drop.value for drop in Drop]


def test_the_table_of_the_archives_settings_has_all_of_them() -> None:
    named = names_in(rows("docs/archive.md", "| key | what it decides |"))
    assert sorted(name for name in named if name.startswith("archive.")) == sorted(leaves(Archive, "archive"))


def test_the_table_of_a_lines_fields_is_what_a_line_has() -> None:
    described = names_in(rows("docs/archive.md", "| field | meaning |"))
    for splice in (True, False):
        payload = Payload(1, 1, b'{"query":"","encoding":""}', b"", b"{}", False)
        line = json.loads(b"".join(payload_line(payload, splice=splice, inflate_max=1000)))
        assert sorted(line) == sorted(set(described) - {"body_b64" if splice else "body"})


def test_the_permissions_of_the_archive_are_those_of_the_code() -> None:
    assert sorted(names_in(rows("docs/archive.md", "| action | what for |"))) == sorted(PERMISSIONS)


# Spelt in two halves, so that this file holds none of them.
PLACES = (
    "../" + "shared",
    "/wo" + "rk/",
    "/opt/" + "pypi",
    "/tmp/" + "brief",
    "/ro" + "ot/",
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "registry" + ".npmjs",
    "DESIGN" + ".md",
    "WIRE" + ".md",
    "MODELS" + ".md",
    "ARCHIVE" + ".md",
    "BRIEF" + ".md",
)
TICKET = re.compile(r"\b(?:issue|ticket|pull request)s? #?\d+", re.IGNORECASE)
NUMBER = re.compile(r"(?<![\w&])#\d+\b")  # in prose the number of a ticket, in code it may be anything


def test_no_file_refers_to_a_place_that_a_reader_does_not_have() -> None:
    found = []
    for file in our_files():
        text = file.read_bytes().decode("utf-8", "replace")
        found += [(name_of(file), place) for place in PLACES if place in text]
        if file.suffix in (".md", ".py", ".yaml", ".toml"):
            found += [(name_of(file), ticket) for ticket in TICKET.findall(text)]
        if file.suffix == ".md":
            found += [(name_of(file), number) for number in NUMBER.findall(text)]
    assert found == []
