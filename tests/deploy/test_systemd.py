"""Proves of the unit what systemd's own tools say without a running systemd: that it is one, and how exposed the
service would be; and that its figures fit the settings beside it. It does not prove that the gateway runs under it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from proxy.runtime.machine import CORE_BYTES, descriptors_needed
from proxy.settings import advices
from tests.gateway import COMMAND

from .shipped import DEPLOY, ROOT, seconds_to_stop, settings_of

FOLDER = DEPLOY / "systemd"
UNIT = (FOLDER / "replay-gateway.service").read_text()
TLS = (FOLDER / "tls.conf").read_text()
SETTINGS = settings_of((FOLDER / "gateway.yaml").read_text())
PROGRAM = "/opt/replay-gateway/bin/replay-gateway"
# 0 is shut off, 10 is a service without any of this. What is left is the network that a proxy needs.
EXPOSURE = 1.2
EXPOSURE_WITH_TLS = 1.6


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with this project's program in place of one that is not installed here."""
    assert UNIT.count(PROGRAM) == 1
    path = tmp_path / "replay-gateway.service"
    path.write_text(UNIT.replace(PROGRAM, str(COMMAND)))
    return path


@pytest.fixture
def unit_with_tls(unit: Path) -> Path:
    """The same with the drop-in for TLS."""
    folder = unit.with_name("replay-gateway.service.d")
    folder.mkdir()
    (folder / "tls.conf").write_text(TLS)
    return unit


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", "--no-pager", *words], capture_output=True, text=True, check=False)


def exposure(unit: Path) -> float:
    """What systemd thinks of the service, from 0 (good) to 10."""
    done = analyze("security", "--offline=true", unit)
    match = re.search(r"Overall exposure level for \S+: ([\d.]+) ", done.stdout)
    assert match, done.stdout + done.stderr
    return float(match[1])


def values(name: str, text: str = UNIT) -> list[str]:
    """What a unit sets a name to, each time that it does."""
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def complaints(unit: Path) -> str:
    done = analyze("verify", "--man=no", unit)
    assert (done.returncode == 0) == (done.stdout + done.stderr == "")
    return done.stdout + done.stderr


def test_it_is_a_unit(unit: Path) -> None:
    assert complaints(unit) == ""


def test_it_is_one_with_tls(unit_with_tls: Path) -> None:
    assert complaints(unit_with_tls) == ""


def test_a_mistake_in_it_would_be_found(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("KillMode=mixed", "KillMood=mixed"))
    assert "KillMood" in analyze("verify", "--man=no", unit).stderr


def test_the_service_is_hardly_exposed(unit: Path) -> None:
    assert exposure(unit) <= EXPOSURE


def test_with_tls_it_may_have_a_low_port_and_no_more(unit_with_tls: Path) -> None:
    assert exposure(unit_with_tls) <= EXPOSURE_WITH_TLS
    assert values("CapabilityBoundingSet", TLS) == values("AmbientCapabilities", TLS) == ["CAP_NET_BIND_SERVICE"]
    assert values("CapabilityBoundingSet") == values("AmbientCapabilities") == [""]


def test_the_documentation_states_the_exposure() -> None:
    text = (ROOT / "docs" / "deployment.md").read_text()
    assert f"rates its exposure {EXPOSURE} of 10, with `tls.conf` {EXPOSURE_WITH_TLS};" in text


def test_what_it_keeps_is_for_its_user_alone() -> None:
    assert (values("DynamicUser"), values("StateDirectoryMode"), values("UMask")) == (["yes"], ["0700"], ["0077"])
    assert values("LimitCORE") == [str(CORE_BYTES)]


def test_it_has_time_to_drain() -> None:
    assert float(values("TimeoutStopSec")[0].removesuffix("s")) > seconds_to_stop(SETTINGS)
    assert values("KillMode") == ["mixed"]


def test_it_may_have_as_many_descriptors_as_a_worker_may_need() -> None:
    assert int(values("LimitNOFILE")[0]) >= descriptors_needed(SETTINGS.limits)


def test_its_configuration_gives_no_warning_and_writes_into_the_state_directory() -> None:
    assert list(advices(SETTINGS)) == []
    assert SETTINGS.archive
    written = (SETTINGS.archive.spool.directory, SETTINGS.archive.directory)
    assert not any(path.is_absolute() for path in written)
    assert values("WorkingDirectory") == [f"%S/{values('StateDirectory')[0]}"]


def test_the_configuration_in_the_comment_on_tls_takes_the_credentials() -> None:
    (comment,) = re.findall(r"^#   listen:\n(?:#   .*\n)+", TLS, re.MULTILINE)
    (listener,) = settings_of(re.sub(r"^# {3}", "", comment, flags=re.MULTILINE)).listen
    assert listener.tls
    given = [value.partition(":")[0] for value in values("LoadCredential", TLS)]
    assert [path.name for path in (listener.tls.certificate, listener.tls.key)] == given
    assert {str(path.parent) for path in (listener.tls.certificate, listener.tls.key)} == {
        "/run/credentials/replay-gateway.service"
    }
