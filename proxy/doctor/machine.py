"""Whether the machine allows what the settings ask for. Judges by the limits of the asking process.

Must not know how findings are shown.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator

from proxy.doctor.finding import fine
from proxy.doctor.inside_findings import Inside
from proxy.model.check import Check, never_raising
from proxy.runtime.machine import descriptors_needed
from proxy.settings import Settings


def check_machine(settings: Settings) -> Iterator[Check]:
    """Raises nothing."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield from never_raising("file descriptors", lambda: [check_descriptors(settings, hard)])


def check_descriptors(settings: Settings, allowed: int) -> Check:
    """The gateway raises its own limit to the `allowed` one, the hard limit, which a service manager may set otherwise
    than this shell."""
    where = "limits.connections"
    needed = descriptors_needed(settings.limits)
    if allowed != resource.RLIM_INFINITY and needed > allowed:
        return Inside.TOO_FEW_DESCRIPTORS.at(where, needed=needed, allowed=allowed)
    return fine("file descriptors", where, f"a worker may need {needed:,}, and can have {allowed:,} as asked from here")
