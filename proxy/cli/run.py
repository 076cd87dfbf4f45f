"""`replay-gateway run`: settings that hold and a world that fits, then the supervisor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from proxy.cli import preflight, report
from proxy.cli.exit_codes import CONFIGURATION
from proxy.settings import Advice, Problem, Settings, advices, read


def run_gateway(config: Path | None) -> int:
    """Blocks until the gateway ends. Returns the exit code."""
    result = read(config)
    name = str(config or "defaults")
    if not isinstance(result, Settings):
        report.show_problems(name, result)
        return CONFIGURATION
    return supervise(result, name)


def supervise(settings: Settings, name: str, banner: Callable[[], None] | None = None) -> int:
    """The same from settings. `name` is what the report calls them, `banner` is called once it serves."""
    found = [*preflight.files(settings), *preflight.ports(settings)]
    problems = [item for item in found if isinstance(item, Problem)]
    report.show_advices([*advices(settings), *(item for item in found if isinstance(item, Advice))])
    if problems:
        report.show_problems(name, problems)
        return CONFIGURATION
    # Imported late: everything above must work, and tell, on a machine where the data plane can't be loaded.
    from proxy.supervisor import run

    return run(settings, banner)
