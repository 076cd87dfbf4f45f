"""Proves what the Dockerfile says of the image. What it builds is proved in tests/processes/test_dockerfile.py."""

from __future__ import annotations

import re
import tomllib

from .shipped import ROOT

TEXT = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LABELS = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', TEXT))


def test_its_labels_are_true() -> None:
    assert LABELS["title"] == PROJECT["name"]
    assert LABELS["version"] == PROJECT["version"]
    assert LABELS["licenses"] == PROJECT["license"]
    assert set(LABELS) == {"title", "description", "version", "licenses"}


def test_what_it_writes_to_is_its_users_and_where_it_starts() -> None:
    user, _, group = re.findall(r"^USER (.*)$", TEXT, re.M)[-1].partition(":")
    (made,) = re.findall(r"^RUN install --directory (.*)$", TEXT, re.M)
    folder = re.findall(r"^WORKDIR (.*)$", TEXT, re.M)[-1]
    assert made == f"--owner {user} --group {group} --mode 0700 {folder}"


def test_no_image_is_named_without_a_version() -> None:
    images = re.findall(r"^FROM (\S+)", TEXT, re.M)
    assert len(images) == 2
    assert all(re.fullmatch(r"[\w/.-]+:\d[\w.-]*(@sha256:[0-9a-f]{64})?", image) for image in images)
