"""Proves that each fenced example of the documents is one of its language: shell and JavaScript by what runs them, JSON
and HTML by a parser. Configurations are loaded in test_docs.py, the README's commands run in
tests/processes/test_readme.py, statements of SQL in tests/sql."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from .test_docs import TEXTS, everything, name_of

CHECKED_HERE = {"html", "js", "json", "sh"}
CHECKED_ELSEWHERE = {"http", "sql", "yaml"}
# Swift's compiler is not to be had for a few lines.
NOT_CHECKED = {"swift", "text"}


class Page(HTMLParser):
    """What is open, what was closed wrongly, and the text of the scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open == ["script"] and data.strip():
            self.scripts.append(data)


def complaints(command: list[str], text: str) -> str:
    """What a program has to say of a text that it is given."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr if done.returncode else ""


def of_javascript(text: str, tmp_path: Path, ending: str) -> str:
    """What Node.js has to say of a script (js) or a module (mjs) without running it."""
    file = tmp_path / f"example.{ending}"
    file.write_text(text)
    return complaints(["node", "--check", str(file)], "")


def test_every_language_is_checked_or_known_not_to_be() -> None:
    used = {fence.split()[0] for text in TEXTS.values() for fence in re.findall(r"^```(\S.*)$", text, re.MULTILINE)}
    assert used == CHECKED_HERE | CHECKED_ELSEWHERE | NOT_CHECKED


@pytest.mark.parametrize("block", everything("sh"))
def test_shell(block: str) -> None:
    assert complaints(["bash", "-n"], block) == ""


@pytest.mark.parametrize("block", everything("json"))
def test_json(block: str) -> None:
    assert [json.loads(line) for line in block.splitlines()]


@pytest.mark.parametrize("block", everything("js"))
def test_javascript(block: str, tmp_path: Path) -> None:
    assert of_javascript(block, tmp_path, "mjs") == ""


@pytest.mark.parametrize("block", everything("html"))
def test_html_and_the_scripts_in_it(block: str, tmp_path: Path) -> None:
    page = Page(block)
    assert (page.open, page.wrong) == ([], [])
    assert page.scripts
    for script in page.scripts:
        assert of_javascript(script, tmp_path, "js") == ""


def test_a_mistake_would_be_found(tmp_path: Path) -> None:
    assert "unexpected" in complaints(["bash", "-n"], "if true; fi")
    assert "SyntaxError" in of_javascript("f({a: 1};", tmp_path, "mjs")
    assert Page("<p><b></p>").wrong == ["p"]
    assert Page("<p>").open == ["p"]


@pytest.mark.parametrize("document", [path for path in TEXTS if 'ServerUrl: "' in TEXTS[path]], ids=name_of)
def test_every_example_gives_the_sdk_both_addresses_and_paths_that_are_served(document: Path) -> None:
    """By default, or by the document's own configuration."""
    text = TEXTS[document]
    served = {"/sessions/v2/track", "/config"}
    for listed in re.findall(r"^  (?:track|config): \[(.*)\]$", text, re.MULTILINE):
        served |= set(listed.split(", "))
    named = re.findall(r'(track|config)ServerUrl: "https://[^/"]+([^"]*)"', text)
    assert [path for _, path in named if path not in served] == []
    assert [which for which, _ in named] == ["track", "config"] * (len(named) // 2)
