"""Several runs of the same program, kept running until they are told to drain.

Each slot holds one process. One that ends is started again, at first at once and then with growing pauses; when
none has ever served and the same failure comes twice, the crew gives up. Must not know what the processes do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from proxy.runtime.child import Child
from proxy.runtime.clock import monotonic
from proxy.runtime.control import Frame
from proxy.runtime.lifecycle import Backoff, StartFailures
from proxy.runtime.tasks import spawn

# A worker is ready in about a second; one that isn't after this time never will be.
READY_SECONDS = 20.0

_log = logging.getLogger("proxy.crew")


class Crew:
    """One process of `module` for each of `rows`, the descriptors that it gets.

    `greet` is called with each new child, to send what it must know; `on_ready` whenever one is ready; `on_frame` with
    the slot, the kind and the payload of a frame that is not about the process itself. `role` is what a process is
    called in the log. A crew that is not vital never gives up. `inherits`: with all of our environment.
    """

    def __init__(
        self,
        module: str,
        rows: Sequence[Sequence[int]],
        greet: Callable[[Child], None],
        on_ready: Callable[[], None],
        on_frame: Callable[[int, Frame, bytes], None],
        ready_seconds: float = READY_SECONDS,
        *,
        role: str = "worker",
        is_vital: bool = True,
        inherits: bool = False,
    ) -> None:
        self._module = module
        self._role = role
        self._is_vital = is_vital
        self._inherits = inherits
        self._rows = rows
        self._greet = greet
        self._on_ready = on_ready
        self._on_frame = on_frame
        self._ready_seconds = ready_seconds
        self._children: dict[int, Child] = {}
        self._start_failures = StartFailures()
        self._draining = asyncio.Event()
        self.has_started = False  # all of them were ready once
        self.restarts = 0
        self.failure = ""  # why the crew gave up or did not end well

    @property
    def size(self) -> int:
        """How many processes there should be."""
        return len(self._rows)

    @property
    def ready(self) -> int:
        """How many of them serve now."""
        return sum(child.is_ready for child in self._children.values())

    async def keep(self) -> None:
        """Keep all running; returns when all have ended after `drain`, or when they can't start (see `failure`)."""
        await asyncio.gather(*(spawn(self._keep(slot), f"keeper of {self._role} {slot}") for slot in range(self.size)))

    def offer(self, kind: Frame, payload: bytes, but: int = -1) -> None:
        """Send a frame that may be lost to all, but for the process in one slot."""
        for slot, child in self._children.items():
            if slot != but:
                child.offer(kind, payload)

    async def reload(self, settings: bytes) -> str:
        """Give all of them other settings; empty if all have them now, else why not."""
        answers = [
            spawn(child.reload(settings, self._ready_seconds), f"reload of {self._role} {slot}")
            for slot, child in self._children.items()
        ]
        reasons = await asyncio.gather(*answers)
        return next((reason for reason in reasons if reason), "")

    def drain(self, seconds: float) -> None:
        """Start none again; those that run finish what they have in hand, for so long at most. The last call counts."""
        self._draining.set()
        for child in self._children.values():
            child.drain(seconds)

    def kill(self) -> None:
        """End those that still run at once."""
        for child in self._children.values():
            child.kill()

    async def _keep(self, slot: int) -> None:
        backoff = Backoff()
        while not self._draining.is_set():
            backoff.started(monotonic())
            cause = await self._live(slot)
            if self._draining.is_set():
                self.failure = self.failure or (cause and f"{self._role} {slot} did not end well: {cause}")
            elif self._is_vital and not self.has_started and self._start_failures.is_hopeless(cause):
                self.failure = f"the {self._role}s can't start: {cause}"
                self.drain(0)
            else:
                await self._pause(slot, cause, backoff.ended(monotonic()))

    async def _live(self, slot: int) -> str:
        """One process from its start to its end; why it ended, empty if it ended well."""
        try:
            child = await Child.start(
                self._module,
                slot,
                self._rows[slot],
                self._ready_now,
                lambda *frame: self._on_frame(slot, *frame),
                inherits=self._inherits,
            )
        except OSError as error:
            return f"no process could be started: {error.strerror}"
        self._children[slot] = child
        _log.info("%s %d is process %d", self._role, slot, child.pid)
        self._greet(child)
        if self._draining.is_set():
            child.drain(0)
        late = not await child.become_ready(self._ready_seconds) and child.kill()
        cause = await child.end()
        del self._children[slot]
        return f"it was not ready within {self._ready_seconds:g} s" if late else cause

    def _ready_now(self) -> None:
        self.has_started = self.has_started or self.ready == self.size
        self._on_ready()

    async def _pause(self, slot: int, cause: str, seconds: float) -> None:
        self.restarts += 1
        level = logging.ERROR if cause else logging.WARNING
        why = cause or "it was told to"
        _log.log(level, "%s %d ended: %s; starting another in %.1f s", self._role, slot, why, seconds)
        await happens_within(self._draining, seconds)


async def happens_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event for so long at most; whether it happened."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
