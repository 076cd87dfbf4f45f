"""Proves that compose.yaml is one by the specification's own schema, that the files it mounts exist and fit together,
and that nothing but the gateway's port can be reached from outside of the machine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from proxy.runtime.machine import CORE_BYTES
from proxy.settings import advices

from .shipped import DEPLOY, ROOT, seconds_to_stop, settings_of

FOLDER = DEPLOY / "compose"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
# That of the Compose specification.
SCHEMA = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
GATEWAY = SERVICES["gateway"]
SETTINGS = settings_of((FOLDER / "gateway.yaml").read_text())
PROMETHEUS = yaml.safe_load((FOLDER / "prometheus.yml").read_text())


def mounts(service: str) -> dict[str, str]:
    """What is mounted in a service, by its path there: a file of ours or the name of a volume."""
    return {each.split(":")[1]: each.split(":")[0] for each in SERVICES[service]["volumes"]}


def seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)s", text)
    assert match, text
    return float(match[1])


def test_it_is_a_compose_file() -> None:
    validator = Draft202012Validator(SCHEMA)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    # The schema would notice: it knows every key.
    assert not validator.is_valid({"services": {"gateway": {**GATEWAY, "read-only": True}}})


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_no_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"privileged", "cap_add", "pid", "network_mode", "user"} & set(service) == set()


def test_only_the_gateways_port_is_open_to_others() -> None:
    published = [(name, port) for name, service in SERVICES.items() for port in service["ports"]]
    assert [each for each in published if not each[1].startswith("127.0.0.1:")] == [("gateway", "8080:8080")]


def test_no_two_ports_are_published_as_one() -> None:
    published = [port for service in SERVICES.values() for port in service["ports"]]
    on_the_host = [port.rpartition(":")[0].rpartition(":")[2] for port in published]
    assert len(set(on_the_host)) == len(on_the_host)


def test_what_is_mounted_is_there() -> None:
    sources = [source for name in SERVICES for source in mounts(name).values()]
    assert [each for each in sources if each.startswith(".") and not (FOLDER / each).exists()] == []
    named = {each for each in sources if not each.startswith(".")}
    assert named == set(COMPOSE["volumes"])


def test_the_image_is_built_from_the_dockerfile() -> None:
    build = GATEWAY["build"]
    assert (FOLDER / build["context"] / build["dockerfile"]).resolve() == ROOT / "Dockerfile"


def test_images_have_a_version() -> None:
    assert all(re.search(r":v?\d+\.\d+\.\d+$", SERVICES[name]["image"]) for name in ("prometheus", "grafana"))


def test_the_gateway_has_time_to_drain() -> None:
    assert seconds(GATEWAY["stop_grace_period"]) > seconds_to_stop(SETTINGS)


def test_the_gateways_configuration_fits_its_container() -> None:
    assert mounts("gateway")["/etc/replay-gateway/gateway.yaml"] == "./gateway.yaml"
    assert [str(listener.address.port) for listener in SETTINGS.listen] == ["8080"]
    assert SETTINGS.admin
    assert f"127.0.0.1:9090:{SETTINGS.admin.address.port}" in GATEWAY["ports"]
    assert f"127.0.0.1:{SETTINGS.admin.address.port}/health/ready" in (ROOT / "Dockerfile").read_text()
    needed = SETTINGS.limits.connections + SETTINGS.limits.upstream_connections
    assert GATEWAY["ulimits"]["nofile"] > needed


def test_the_gateway_leaves_no_core_and_starts_no_crowd_of_processes() -> None:
    assert GATEWAY["ulimits"]["core"] == CORE_BYTES
    assert GATEWAY["pids_limit"] <= 512


def test_its_only_warning_is_of_the_admin_server_which_prometheus_must_reach() -> None:
    assert [advice.path for advice in advices(SETTINGS)] == ["admin.address"]


def test_what_it_writes_is_in_a_volume_that_the_image_gives_to_its_user() -> None:
    (volume,) = (target for target, source in mounts("gateway").items() if source == "spool")
    assert SETTINGS.archive
    assert SETTINGS.archive.spool.directory.is_relative_to(volume)
    assert SETTINGS.archive.directory.is_relative_to(volume)
    image = (ROOT / "Dockerfile").read_text()
    user, _, group = re.findall(r"^USER (.*)$", image, re.M)[-1].partition(":")
    assert f"install --directory --owner {user} --group {group} --mode 0700 {volume}\n" in image


def test_the_trusted_proxy_is_this_machine() -> None:
    (address_space,) = COMPOSE["networks"]["front"]["ipam"]["config"]
    assert [str(net) for net in SETTINGS.client_ip.trusted_proxies] == [f"{address_space['gateway']}/32"]


def test_prometheus_scrapes_the_admin_server_as_the_rules_expect(tmp_path: Path) -> None:
    (job,) = PROMETHEUS["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert SETTINGS.admin
    assert (found["names"], found["port"]) == (["gateway"], SETTINGS.admin.address.port)
    assert f'job="{job["job_name"]}"' in (ROOT / "config" / "prometheus" / "alerts.yml").read_text()
    for target, source in mounts("prometheus").items():
        if target.startswith("/etc/prometheus/"):
            shutil.copy(FOLDER / source, tmp_path / Path(target).name)
    done = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(PROMETHEUS['rule_files'])} rule files found" in done.stdout


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    (source,) = yaml.safe_load((FOLDER / "grafana" / "datasource.yaml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((FOLDER / "grafana" / "dashboards.yaml").read_text())["providers"]
    folder = provider["options"]["path"]
    assert mounts("grafana")[folder] == "../../config/grafana"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert Path(home).parent == Path(folder)
    assert (ROOT / "config" / "grafana" / Path(home).name).exists()
