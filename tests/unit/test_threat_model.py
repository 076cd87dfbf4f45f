"""Proves that docs/threat-model.md follows the code where a machine can tell: every secret, command, route, frame,
signal, section of the settings and dependency is named, every part of the package is in it, every module and test that
it names exists, and each way in says what stops its threats and what is left. Whether that is true, a reader can tell.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from prometheus_client import CollectorRegistry

from proxy.admin.dashboard import Dashboard
from proxy.admin.endpoints import Endpoints
from proxy.cli import EXPORTS, main
from proxy.runtime.control import Frame
from proxy.runtime.reload import Reloads
from proxy.settings import Settings
from proxy.settings.masking import SECRET_NAMES, SECRET_VALUES

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SECTIONS = dict(re.findall(r"^### (.*)\n((?:(?!^##).*\n)*)", TEXT, re.MULTILINE))
LINKS = re.findall(r"\]\(\.\./([^)#]+)\)", TEXT)
# Parts of the package that are no way in: what others are made of.
ELSEWHERE = {"proxy/exchange.py", "proxy/__init__.py", "proxy/__main__.py"}


def named(section: str) -> set[str]:
    """What a way in names as code."""
    return set(re.findall(r"`([^`]+)`", SECTIONS[section]))


def parts() -> set[str]:
    """The packages and modules at the top of the package."""
    entries = (ROOT / "proxy").iterdir()
    found = {f"proxy/{each.name}" for each in entries if each.suffix == ".py" or (each / "__init__.py").exists()}
    return found - ELSEWHERE


async def to_nobody(settings: Settings) -> str:
    return ""


async def no_status() -> dict[str, object]:
    return {}


def admin_routes() -> set[tuple[str, str]]:
    """Method and path of everything that the admin server answers."""
    reloads = Reloads(Settings(), None, to_nobody)
    application = Endpoints(lambda: None, CollectorRegistry(), reloads.reload).application()
    Dashboard(no_status, "127.0.0.1").add_to(application)
    return {(route.method, str(route.resource.canonical)) for route in application.router.routes() if route.resource}


def handled_signals() -> set[str]:
    """The signals for which a process of the gateway has a handler of its own."""
    sources = "\n".join((ROOT / "proxy" / f"{name}.py").read_text() for name in ("supervisor", "worker", "archiver"))
    return set(re.findall(r"add_signal_handler\(signal\.(SIG\w+)", sources))


def test_every_way_in_says_what_is_stopped_and_most_what_is_left() -> None:
    assert len(SECTIONS) >= 15
    assert [name for name, text in SECTIONS.items() if "](../tests/" not in text] == []
    assert [name for name, text in SECTIONS.items() if "**Left:**" not in text] == ["Signals"]


def test_every_row_of_a_table_names_a_test_and_none_a_wish() -> None:
    rows = [
        row for text in SECTIONS.values() for row in re.findall(r"^\|(.*)\|$", text, re.MULTILINE) if "---" not in row
    ]
    threats = [row for row in rows if not row.startswith(" threat ")]
    assert len(threats) >= 25
    assert [row for row in threats if "](../tests/" not in row.rpartition(" | ")[2]] == []


def test_tests_and_modules_are_files() -> None:
    assert len(LINKS) >= 90
    assert [link for link in LINKS if not (ROOT / link).is_file()] == []


@pytest.mark.parametrize("part", sorted(parts()))
def test_every_part_of_the_package_has_its_place(part: str) -> None:
    assert any(link == part or link.startswith(f"{part}/") for link in LINKS)


def test_every_secret_is_an_asset() -> None:
    assets = TEXT.partition("## Who attacks")[0]
    secrets = {".".join(map(str, each)) for each in (*SECRET_VALUES, *SECRET_NAMES)} - {"keys"}
    assert [each for each in secrets if f"`{each}`" not in assets] == []


def test_every_section_of_the_settings_is_known() -> None:
    assert set(Settings.model_fields) <= named("Configuration, ${file:…} and ${env:…}")


def test_every_endpoint_of_the_admin_server_is_known() -> None:
    routes = {path if method in ("GET", "HEAD") else f"{method} {path}" for method, path in admin_routes()}
    assert routes >= {"/", "/metrics", "POST /reload"}
    assert routes <= named("Admin server")


def test_every_frame_of_the_channel_is_known() -> None:
    assert {frame.name for frame in Frame} <= named("Control channel and ledger")


def test_every_signal_is_known() -> None:
    assert {"SIGTERM", "SIGHUP"} <= handled_signals() <= named("Signals")


def test_every_command_and_format_is_known() -> None:
    assert set(main.commands) <= named("Command line")
    assert set(EXPORTS) <= named("Exported configuration")


def test_every_dependency_is_known_by_what_it_reads() -> None:
    extras = PROJECT["optional-dependencies"]
    names = {Requirement(each).name for each in (*PROJECT["dependencies"], *extras["s3"], *extras["demo"])}
    assert names <= named("Build and dependencies")
