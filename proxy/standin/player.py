"""Plays the steps of a plan on a connection, in order, waiting where they say so.

Must not know what the steps mean for HTTP or why they were chosen.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from proxy.standin.steps import End, Ending, Idle, Plan, Send, Wait

OVERTAKING = (Ending.RESET, Ending.EOF)  # these don't wait for what was written before them


class Stage(Protocol):
    """The connection, as far as a player needs it."""

    def send(self, data: bytes) -> None:
        """Writes."""

    async def taken(self) -> None:
        """Waits while too much is unsent."""

    async def flushed(self) -> None:
        """Waits until everything written has been handed to the kernel."""

    def over(self) -> None:
        """The answer is out; the next request may come."""

    def end(self, how: Ending) -> None:
        """The last thing that happens here."""


async def play(plan: Plan, stage: Stage) -> None:
    """Plays a plan; may be cancelled at any step. An Idle step ends the exchange early."""
    over = False
    for step in plan.steps:
        match step:
            case Send():
                stage.send(step.data)
                await stage.taken()
            case Wait():
                await asyncio.sleep(step.seconds)
            case Idle():
                stage.over()
                over = True
                await asyncio.sleep(step.seconds)
            case End():
                if step.how in OVERTAKING:
                    await stage.flushed()
                stage.end(step.how)
                return
    if not over:
        stage.over()
