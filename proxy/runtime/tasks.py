"""The only place that creates tasks: the reference is kept, and what a task raises is reported.

asyncio holds tasks weakly and speaks of a lost exception only when the garbage collector comes by,
which here is never (it is frozen after start). Must not know what the tasks do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger("proxy.tasks")
_running: set[asyncio.Task[Any]] = set()  # bounded by those who spawn: per connection or per process, never per request


def spawn(coro: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Run `coro` as a task of the running loop. An exception is logged with `name`; awaiting the task still
    raises it. Cancellation is not an error."""
    task = asyncio.get_running_loop().create_task(coro, name=name)
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("task %s failed", task.get_name(), exc_info=error)
