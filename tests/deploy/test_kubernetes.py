"""Proves of the manifests, as kubectl renders them, that the API's own schemas accept them, that what refers to
something finds it, and that their figures fit the gateway's configuration in them. It does not prove that a cluster
runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client import CollectorRegistry

from proxy.admin.endpoints import Endpoints
from proxy.runtime.reload import Reloads
from proxy.settings import Settings, advices
from proxy.settings.units import SIZE_UNITS

from .shipped import DEPLOY, ROOT, memory, seconds_to_stop, settings_of

FOLDER = DEPLOY / "kubernetes"
NAME = {"app.kubernetes.io/name": "replay-gateway"}
OURS = "monitoring.coreos.com/v1"  # kinds of the Prometheus Operator, which Kubernetes itself does not know
# That of the environment; Debian 12's knows neither labels nor components.
KUBECTL = shutil.which("kubectl", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))

Object = dict[str, Any]


async def _to_nobody(settings: Settings) -> str:
    return ""


def rendered(folder: Path) -> list[Object]:
    """Everything that `kubectl apply --kustomize` would send to a cluster."""
    assert KUBECTL, "kubectl comes with the test dependencies: make test"
    done = subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def without_archive(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """The base with the component that takes the volume away."""
    folder = tmp_path_factory.mktemp("overlay")
    below = Path(os.path.relpath(FOLDER.resolve(), folder.resolve()))
    parts = {"resources": [str(below / "base")], "components": [str(below / "components" / "without-archive")]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(parts))
    return rendered(folder)


@pytest.fixture(scope="module")
def base() -> list[Object]:
    return rendered(FOLDER / "base")


@pytest.fixture(scope="module")
def example() -> list[Object]:
    return rendered(FOLDER / "overlays" / "example")


@pytest.fixture(scope="module", params=["base", "example", "without_archive"])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    """Each of the three in turn."""
    found: list[Object] = request.getfixturevalue(request.param)
    return found


def one(objects: list[Object], kind: str, name: str = "replay-gateway") -> Object:
    (found,) = (each for each in objects if each["kind"] == kind and each["metadata"]["name"].startswith(name))
    return found


def service(objects: list[Object], name: str) -> Object:
    (found,) = (each for each in objects if each["kind"] == "Service" and each["metadata"]["name"] == name)
    return found


def pod(objects: list[Object]) -> Object:
    template: Object = one(objects, "StatefulSet")["spec"]["template"]
    return template


def container(objects: list[Object]) -> Object:
    (only,) = pod(objects)["spec"]["containers"]
    return dict(only)


@pytest.fixture
def settings(objects: list[Object], tmp_path: Path) -> Settings:
    """What the gateway in the pod is told, with a secret where one is named."""
    (tmp_path / "amplitude-api-key").write_text("0123456789abcdef0123456789abcdef")
    return settings_of(one(objects, "ConfigMap")["data"]["gateway.yaml"], tmp_path)


def quantity(text: str) -> int:
    """Bytes, as Kubernetes writes them: 1Gi."""
    return int(text[:-2]) * SIZE_UNITS[f"{text[-2:]}B"]


# -- by themselves


def test_the_api_accepts_every_object(objects: list[Object]) -> None:
    known = [each for each in objects if each["apiVersion"] != OURS]
    assert len(known) >= 8
    for each in known:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


def test_a_mistake_would_be_found(base: list[Object]) -> None:
    budget = one(base, "PodDisruptionBudget")
    wrong = {**budget, "spec": {**budget["spec"], "maxUnavailabel": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_the_pod_meets_the_strictest_standard_for_pods(objects: list[Object]) -> None:
    spec, only = pod(objects)["spec"], container(objects)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert {"configMap", "secret", "emptyDir", "name"} >= {key for volume in spec["volumes"] for key in volume}
    assert spec["automountServiceAccountToken"] is False


def test_the_pods_user_is_the_images(objects: list[Object]) -> None:
    context = pod(objects)["spec"]["securityContext"]
    user = f"{context['runAsUser']}:{context['runAsGroup']}"
    assert re.findall(r"^USER (.*)$", (ROOT / "Dockerfile").read_text(), re.M)[-1] == user
    assert context["fsGroup"] == context["runAsGroup"]


# -- with each other


def selectors(objects: list[Object]) -> Iterator[Object]:
    """Everything by which something finds the gateway's pods."""
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "Service":
            yield spec["selector"]
        if each["kind"] in ("StatefulSet", "PodDisruptionBudget"):
            yield spec["selector"]["matchLabels"]
        if each["kind"] == "NetworkPolicy":
            yield spec["podSelector"]["matchLabels"]
    for spread in pod(objects)["spec"]["topologySpreadConstraints"]:
        yield spread["labelSelector"]["matchLabels"]


def test_selectors_find_the_pod(objects: list[Object]) -> None:
    labels = pod(objects)["metadata"]["labels"].items()
    found = list(selectors(objects))
    assert len(found) == 7
    assert [each for each in found if not each or not each.items() <= labels] == []


def test_names_lead_somewhere(objects: list[Object]) -> None:
    stateful, spec = one(objects, "StatefulSet"), pod(objects)["spec"]
    claims = [claim["metadata"]["name"] for claim in stateful["spec"].get("volumeClaimTemplates", ())]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    mounted = {mount["name"] for mount in container(objects)["volumeMounts"]}
    assert mounted == {*claims, *volumes}
    assert volumes["config"]["configMap"]["name"] == one(objects, "ConfigMap")["metadata"]["name"]
    assert service(objects, stateful["spec"]["serviceName"])["spec"]["clusterIP"] == "None"
    assert one(objects, "ServiceAccount")["metadata"]["name"] == spec["serviceAccountName"]
    target = one(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("StatefulSet", stateful["metadata"]["name"])
    services = [each["spec"] for each in objects if each["kind"] == "Service"]
    targets = {port["targetPort"] for spec in services for port in spec["ports"]}
    assert targets == {port["name"] for port in container(objects)["ports"]}


def test_some_pods_stay_whatever_happens(objects: list[Object]) -> None:
    fewest = one(objects, "HorizontalPodAutoscaler")["spec"]["minReplicas"]
    assert fewest - one(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] >= 2
    assert "replicas" not in one(objects, "StatefulSet")["spec"]


def test_the_network_is_open_where_it_must_be_and_nowhere_else(objects: list[Object]) -> None:
    spec = one(objects, "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    admitted = {port["port"]: rule["from"] for rule in spec["ingress"] for port in rule["ports"]}
    namespace = "kubernetes.io/metadata.name"
    assert admitted == {
        "http": [{"namespaceSelector": {"matchLabels": {namespace: "ingress-nginx"}}}],
        "admin": [{"namespaceSelector": {"matchLabels": {namespace: "monitoring"}}}],
    }
    resolver, vendor = spec["egress"]
    (server,) = resolver["to"]
    assert server["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}
    assert [port["port"] for port in resolver["ports"]] == [53, 53]
    assert vendor["ports"] == [{"port": 443, "protocol": "TCP"}]


# -- with the gateway


def test_its_only_warning_is_of_the_admin_server_which_the_kubelet_must_reach(settings: Settings) -> None:
    assert [advice.path for advice in advices(settings)] == ["admin.address"]


def test_ports_are_those_that_it_listens_on(objects: list[Object], settings: Settings) -> None:
    ports = {port["name"]: port["containerPort"] for port in container(objects)["ports"]}
    assert settings.admin
    assert ports == {"http": settings.listen[0].address.port, "admin": settings.admin.address.port}
    assert not settings.admin.address.is_loopback


def test_probes_ask_what_the_admin_server_answers(objects: list[Object]) -> None:
    routes = (
        Endpoints(lambda: None, CollectorRegistry(), Reloads(Settings(), None, _to_nobody).reload)
        .application()
        .router.resources()
    )
    answered = {resource.canonical for resource in routes}
    probes = [container(objects)[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    assert [probe["path"] for probe in probes] == ["/health/ready", "/health/live", "/health/ready"]
    assert answered >= {probe["path"] for probe in probes}
    assert {probe["port"] for probe in probes} == {"admin"}


def test_a_pod_that_goes_is_out_of_the_way_before_it_stops_listening(objects: list[Object], settings: Settings) -> None:
    probe = container(objects)["readinessProbe"]
    noticed = probe["failureThreshold"] * (probe["periodSeconds"] + probe["timeoutSeconds"])
    assert settings.timeouts.lame_duck > noticed
    assert pod(objects)["spec"]["terminationGracePeriodSeconds"] > seconds_to_stop(settings)


def test_memory_is_enough_for_everything_at_its_limit(objects: list[Object], settings: Settings) -> None:
    assert memory(settings) <= quantity(container(objects)["resources"]["limits"]["memory"])


def test_the_spool_is_in_its_volume_and_has_room_there(objects: list[Object], settings: Settings) -> None:
    assert settings.archive
    mounts = {mount["mountPath"]: mount["name"] for mount in container(objects)["volumeMounts"]}
    assert mounts[str(settings.archive.spool.directory.parent)] == "spool"
    for claim in one(objects, "StatefulSet")["spec"].get("volumeClaimTemplates", ()):
        size = quantity(claim["spec"]["resources"]["requests"]["storage"])
        assert settings.archive.spool.max_bytes + settings.archive.spool.min_free_bytes < size


def test_secrets_are_files_that_the_configuration_names(example: list[Object]) -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in container(example)["volumeMounts"]}
    text = one(example, "ConfigMap")["data"]["gateway.yaml"]
    named = re.findall(r"\$\{file:([^}]+)/[^/}]+\}", text)
    assert set(named) == {mounts["secrets"]}


# -- the overlay and the components


def test_the_ingress_leaves_decisions_to_the_gateway(example: list[Object], tmp_path: Path) -> None:
    (tmp_path / "amplitude-api-key").write_text("0123456789abcdef0123456789abcdef")
    settings = settings_of(one(example, "ConfigMap")["data"]["gateway.yaml"], tmp_path)
    ingress = one(example, "Ingress")
    notes = {name.rpartition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()}
    assert int(notes["proxy-body-size"].removesuffix("m")) * SIZE_UNITS["MiB"] > settings.limits.body
    assert int(notes["proxy-read-timeout"]) > settings.timeouts.track_total
    (rule,) = ingress["spec"]["rules"]
    served = [path["path"] for path in rule["http"]["paths"]]
    assert served == [*settings.paths.track, *settings.paths.config]
    backends = [path["backend"]["service"] for path in rule["http"]["paths"]]
    ports = {port["name"] for port in service(example, "replay-gateway")["spec"]["ports"]}
    assert {(each["name"], each["port"]["name"]) for each in backends} <= {("replay-gateway", name) for name in ports}
    assert rule["host"] in ingress["spec"]["tls"][0]["hosts"]


def test_everything_in_the_example_is_in_its_namespace(example: list[Object]) -> None:
    namespace = one(example, "Namespace", "replay")["metadata"]
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    name = namespace["name"]
    assert {each["metadata"].get("namespace") for each in example if each["kind"] != "Namespace"} == {name}


def test_the_service_monitor_finds_the_admin_server(example: list[Object]) -> None:
    spec = one(example, "ServiceMonitor")["spec"]
    admin, other = service(example, "replay-gateway-pods"), service(example, "replay-gateway")
    wanted = spec["selector"]["matchLabels"].items()
    assert wanted <= admin["metadata"]["labels"].items()
    assert not wanted <= other["metadata"]["labels"].items()
    (endpoint,) = spec["endpoints"]
    assert endpoint["port"] in [port["name"] for port in admin["spec"]["ports"]]
    job = admin["metadata"]["labels"][spec["jobLabel"]]
    assert f'job="{job}"' in (ROOT / "config" / "prometheus" / "alerts.yml").read_text()


def test_without_an_archive_nothing_is_claimed(without_archive: list[Object]) -> None:
    assert "volumeClaimTemplates" not in one(without_archive, "StatefulSet")["spec"]
