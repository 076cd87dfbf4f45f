"""What can be done to a connection, as values: the vocabulary between actions and the player.

Must not know how a step is carried out, nor which action it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Ending(Enum):
    """What becomes of a connection that is not simply kept for the next request."""

    CLOSE = "close"  # everything written goes out, then FIN (over TLS: close_notify first)
    RESET = "reset"  # RST
    EOF = "eof"  # FIN without the close_notify of TLS; without TLS the same as close
    HANG = "hang"  # nothing more is said, but everything is read
    IGNORE = "ignore"  # nothing more is said or read


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes and wait while the peer does not take them."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Idle:
    """The answer is out. Go on after so many seconds if no further request has begun by then."""

    seconds: float


@dataclass(frozen=True, slots=True)
class End:
    """The last thing that happens to this connection."""

    how: Ending


Step = Send | Wait | Idle | End


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, and the status that they answer with; 0 when they are no HTTP answer."""

    steps: Iterable[Step]
    status: int = 0
