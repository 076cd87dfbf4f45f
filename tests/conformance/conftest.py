"""Every test that takes `stage` runs over several proxies, and is judged at its end.

These are the gateway and the tuned nginx, what a widely trusted proxy does with the same bytes: it shows which
expectations are fair. The comparison runs the same tests over others (option `--systems` of its plugin).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from comparison.peers import peer

from tests.conformance.cases import BODY_LIMIT
from tests.conformance.stage import Stage, Subject
from tests.gateway import Gateway, is_alive, merged
from tests.standin import StandIn

SYSTEMS = ("gateway", "nginx-tuned")
# These end each connection to the vendor with its request: no case can spoil one for the next. They start slowly, too.
WITHOUT_A_POOL = ("express-2", "express-3")
# Seconds; short, so that what a proxy does not notice costs the suite little.
ANSWER_TIMEOUT, HEAD_TIMEOUT, BODY_TIMEOUT = 1, 2, 2
# A breaker would turn the answer to one case's misbehaving upstream into the next case's 503.
DEFAULTS: dict[str, Any] = {
    "breaker": {"failures": 0},
    "limits": {"body": BODY_LIMIT},
    "timeouts": {
        "first_byte": f"{ANSWER_TIMEOUT}s",
        "upstream_stall": f"{ANSWER_TIMEOUT}s",
        "client_head": f"{HEAD_TIMEOUT}s",
        "client_body_idle": f"{BODY_TIMEOUT}s",
    },
    "log": {"level": "warning", "access": "off"},
}
# Laid over them for the gateway alone: the same cases must come out the same whatever else is asked of it, and who runs
# them so says it in the environment, as JSON.
SETTINGS = merged(DEFAULTS, json.loads(os.environ.get("CONFORMANCE_SETTINGS", "{}")))

# The keys of all tests that were collected, whichever are then selected.
STAGED = pytest.StashKey[set[str]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test once for each system."""
    if "gateway" in metafunc.fixturenames:
        systems = metafunc.config.getoption("systems", None) or SYSTEMS
        metafunc.parametrize("gateway", systems, indirect=True, scope="module")


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    """The vendor behind the proxies."""
    with StandIn("--quiet") as running:
        yield running


@pytest.fixture(scope="module")
def gateway(request: pytest.FixtureRequest, standin: StandIn) -> Iterator[Gateway | None]:
    """The gateway, the same for a whole file: whatever one case does to it, the next one must not feel it.
    None where another system's turn is."""
    if request.param != "gateway":
        yield None
    else:
        with Gateway(SETTINGS, standin=standin) as running:
            yield running


@pytest.fixture(scope="module")
def lasting(standin: StandIn) -> Iterator[Callable[[str], Subject]]:
    """The subject of a name, the same for a whole file while it runs, and another one when a case has ended it."""
    running: dict[str, Subject] = {}
    with ExitStack() as started:

        def get(name: str) -> Subject:
            if name not in running or not is_alive(running[name].pid):
                running[name] = started.enter_context(other_system(name, standin))
            return running[name]

        yield get


@pytest.fixture
def stage(
    request: pytest.FixtureRequest, gateway: Gateway | None, standin: StandIn, lasting: Callable[[str], Subject]
) -> Iterator[Stage]:
    """The stage of one test; its key is the test's name with its parameters, the subject left out."""
    key, name = key_of(request.node), request.node.callspec.params["gateway"]
    if gateway:
        yield Stage(Subject("gateway", ("127.0.0.1", gateway.port), gateway.pid), standin, key)
    elif name in WITHOUT_A_POOL:
        yield Stage(lasting(name), standin, key)
    else:
        with other_system(name, standin) as subject:
            yield Stage(subject, standin, key)


@contextmanager
def other_system(name: str, standin: StandIn, port: int = 0, ca_file: Path | None = None) -> Iterator[Subject]:
    """A system other than the gateway, before the stand-in's US site or what is at `port`, started for one test only.

    A connection that one case has spoilt would stay in its pool and spoil a later case, and then the differences
    would depend on the order.
    """
    one = peer(name)
    one.install()
    certificate = standin.ca_file.parent / "server.pem"
    with one.running(
        port or standin.ports["us-tls"],
        ca_file or standin.ca_file,
        certificate=certificate,
        key=certificate.with_suffix(".key"),
        body_limit=BODY_LIMIT,
        answer_timeout=ANSWER_TIMEOUT,
        head_timeout=HEAD_TIMEOUT,
        body_timeout=BODY_TIMEOUT,
    ) as running:
        yield Subject(name, ("127.0.0.1", running.port), running.pid)


def params_of(item: Any) -> dict[str, Any]:
    """The parameters of a test, none for one that has none."""
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}


def key_of(item: Any) -> str:
    """`test_name[case]`; a parameter that is a case goes by its name."""
    params = {name: value for name, value in params_of(item).items() if name != "gateway"}
    names = [str(getattr(value, "name", value)) for value in params.values()]
    return f"{item.originalname}[{' '.join(names)}]" if names else str(item.originalname)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Remembers which tests there are, before any is deselected."""
    config.stash[STAGED] = {key_of(item) for item in items if "gateway" in params_of(item)}


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Judges the stage after the test's own code, so that no test can forget to."""
    stage = pyfuncitem.funcargs.get("stage")
    if not isinstance(stage, Stage):
        return (yield)
    # What the comparison reads, whichever way the test ends.
    pyfuncitem.user_properties.append(("aspects", stage.aspects))
    result: object = True  # handled, also when what came back was no answer
    with stage.reading():
        result = yield
    stage.judge()
    return result
