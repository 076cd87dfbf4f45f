"""`replay-gateway run`: settings that hold and a world that fits, then the supervisor."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from proxy.cli import preflight, report
from proxy.cli.exit_codes import CONFIGURATION
from proxy.runtime.service_manager import ServiceManager
from proxy.settings import Advice, Problem, Settings, advices, read

Reread = Callable[[], Settings | Sequence[Problem]]


def run_gateway(config: Path | None) -> int:
    """Blocks until the gateway ends. Returns the exit code."""
    result = read(config)
    name = str(config or "defaults")
    if not isinstance(result, Settings):
        report.show_problems(name, result)
        return CONFIGURATION
    return supervise(result, name, reread=partial(reread, config))


def reread(config: Path | None) -> Settings | list[Problem]:
    """The settings as they are now, or what is wrong with them or with the files that they name."""
    result = read(config)
    if not isinstance(result, Settings):
        return list(result)
    problems = [item for item in preflight.files(result) if isinstance(item, Problem)]
    return problems or result


def supervise(
    settings: Settings, name: str, banner: Callable[[], None] | None = None, reread: Reread | None = None
) -> int:
    """The same from settings. `name` is what the report calls them, `banner` is called once it serves, `reread` for a
    reload."""
    found = list(preflight.files(settings))
    problems = [item for item in found if isinstance(item, Problem)]
    manager = ServiceManager(os.environ)
    if not manager.kept:  # what is kept would seem to be somebody else's; the supervisor finds out
        problems += preflight.ports(settings)
    report.show_advices([*advices(settings), *(item for item in found if isinstance(item, Advice))])
    if problems:
        report.show_problems(name, problems)
        return CONFIGURATION
    # Imported late: everything above must work, and tell, on a machine where the data plane can't be loaded.
    from proxy.supervisor import run

    return run(settings, banner, reread, manager)
