"""Every test that takes `stage` runs twice, over the gateway and over the tuned nginx, and is judged at its end."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tests.conformance.cases import BODY_LIMIT
from tests.conformance.nginx import Nginx
from tests.conformance.stage import Stage, Subject
from tests.gateway import Gateway
from tests.standin import StandIn

# A breaker would turn the answer to one case's misbehaving upstream into the next case's 503.
SETTINGS: dict[str, Any] = {
    "breaker": {"failures": 0},
    "limits": {"body": BODY_LIMIT},
    "log": {"level": "warning", "access": "off"},
}

# The keys of all tests that were collected, whichever are then selected.
STAGED = pytest.StashKey[set[str]]()


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    """The vendor behind the proxies."""
    with StandIn("--quiet") as running:
        yield running


@pytest.fixture(scope="module", params=["gateway", "nginx"])
def gateway(request: pytest.FixtureRequest, standin: StandIn) -> Iterator[Gateway | None]:
    """The gateway, the same for a whole file: whatever one case does to it, the next one must not feel it.
    None where nginx's turn is."""
    if request.param == "nginx":
        yield None
    else:
        with Gateway(SETTINGS, standin=standin) as running:
            yield running


@pytest.fixture
def stage(request: pytest.FixtureRequest, gateway: Gateway | None, standin: StandIn) -> Iterator[Stage]:
    """The stage of one test; its key is the test's name with its parameters, the subject left out.

    Every test has an nginx of its own: a connection that one case has spoilt would stay in its pool and spoil
    a later case, and then the differences would depend on the order.
    """
    key = key_of(request.node)
    if gateway:
        yield Stage(Subject("gateway", ("127.0.0.1", gateway.port)), standin, key)
    else:
        with Nginx(standin) as nginx:
            yield Stage(Subject("nginx", ("127.0.0.1", nginx.port)), standin, key)


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
    result: object = True  # handled, also when what came back was no answer
    with stage.reading():
        result = yield
    stage.judge()
    return result
