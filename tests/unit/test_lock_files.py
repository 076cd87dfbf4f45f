"""Proves that the lock files fit the project: they hold what pyproject.toml asks for, in the versions that it allows,
once and the same everywhere, each file by its hash, and no address of an index; and that nothing is installed but from
them. What they resolve to is proved by every installation from them.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
RUN_TIME = [*PROJECT["project"]["dependencies"], *EXTRAS["demo"], *EXTRAS["s3"]]
ASKED = {
    "requirements-build.lock": PROJECT["build-system"]["requires"],
    "requirements.lock": RUN_TIME,
    "requirements-test.lock": [*RUN_TIME, *EXTRAS["test"]],
    "requirements-tools.lock": re.findall(r"^[a-z].*$", (ROOT / "requirements-tools.in").read_text(), re.MULTILINE),
}
NPM_LOCKS = [ROOT / "tests/browser/sdk/package-lock.json", *ROOT.glob("nginx-compare/peers/*/package-lock.json")]
LOCKS = [*ASKED, "tests/s3/servers/swift.lock", "tests/sql/engines.lock"]


def pins(lock: str) -> dict[str, str]:
    """Name to version."""
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", ASKED)
def test_a_lock_file_holds_what_is_asked_for(lock: str) -> None:
    pinned = pins(lock)
    for each in map(Requirement, ASKED[lock]):
        version = pinned.get(canonicalize_name(each.name))
        assert version, f"{each.name} is not in {lock}: make lock"
        assert version in each.specifier, f"{each} does not allow {version}: make lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_no_package_is_without_a_hash(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = re.findall(
        r"^[a-z0-9.-]+==\S+(?: ; [^\n\\]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+$", text, re.MULTILINE
    )
    assert len(entries) == len(pins(lock))


@pytest.mark.parametrize("lock", LOCKS)
def test_no_index_is_named(lock: str) -> None:
    lines = (ROOT / lock).read_text().splitlines()
    assert [line for line in lines if "://" in line or line.startswith("-")] == []


def test_the_gateway_is_tested_with_what_it_runs_with() -> None:
    tested = pins("requirements-test.lock")
    assert {name: tested.get(name) for name in pins("requirements.lock")} == pins("requirements.lock")


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile", "docs/deployment.md"])
def test_python_packages_are_installed_by_their_hashes_or_are_our_own(name: str) -> None:
    lines = (ROOT / name).read_text().replace("\\\n", " ").splitlines()
    pip = r"\bpip\b|\$\(PIP\)"
    parts = [part for line in lines for part in line.split("&&") if re.search(rf"(?:{pip}).* (?:install|wheel) ", part)]
    assert len(parts) >= 2
    assert [part for part in parts if "--require-hashes" not in part and "--no-deps" not in part] == []


@pytest.mark.parametrize("path", NPM_LOCKS, ids=lambda path: path.parent.name)
def test_no_package_of_npm_is_without_a_hash(path: Path) -> None:
    packages = {name: each for name, each in json.loads(path.read_text())["packages"].items() if name}
    assert packages
    assert [name for name, each in packages.items() if not each.get("integrity", "").startswith("sha512-")] == []
