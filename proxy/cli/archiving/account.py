"""What the running gateway says of its archive: read from its admin server, and whether the sum comes out even.

Must not know the spool's folder, or how it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from proxy.observe.metrics import PREFIX
from proxy.settings import Address

TIMEOUT: Final = 2.0  # seconds; it is on this machine, or near
ANSWER_MAX: Final = 4 * 1024 * 1024  # bytes; it has some tens of thousands
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_DROPPED: Final = "archive_dropped_total"


class UnreachableError(Exception):
    """The gateway can't be asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Account:
    """Uploads of this run of the gateway, and of `found` that an earlier one had left in the spool. `last_stored` is
    Unix time, 0 when nothing was stored; `queue_bytes` are held for the spool in memory."""

    offered: int
    found: int
    archived: int
    pending: int
    damaged: int
    dropped: Mapping[str, int]
    queue_bytes: int
    upload_failures: int
    last_stored: float

    @property
    def queued(self) -> int:
        """Uploads that are in neither of the others: in memory, or lost track of."""
        known = self.archived + self.pending + self.damaged + sum(self.dropped.values())
        return self.offered + self.found - known

    @property
    def is_even(self) -> bool:
        """Whether each upload is accounted for: no more than were offered, and what is missing is held in memory."""
        return self.queued == 0 or (self.queued > 0 and self.queue_bytes > 0)


def ask(address: Address) -> Account:
    """The account by the admin server there. Raises UnreachableError."""
    connection = HTTPConnection(_EVERYWHERE.get(address.host, address.host), address.port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        status, text = answer.status, answer.read(ANSWER_MAX).decode("utf-8", "replace")
    except TimeoutError:
        raise UnreachableError(f"no answer within {TIMEOUT:.0f} s") from None
    except (OSError, HTTPException) as error:
        raise UnreachableError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None
    finally:
        connection.close()
    if status != 200:
        raise UnreachableError(f"/metrics is answered {status}: that is another server, or another version")
    return _account(text)


def _account(text: str) -> Account:
    values: dict[str, float] = {}
    dropped: dict[str, int] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.removeprefix(PREFIX)
                values[name] = sample.value
                if name == _DROPPED and sample.value:
                    dropped[sample.labels["reason"]] = int(sample.value)
        return Account(
            offered=int(values["spool_offered_total"]),
            found=int(values["archive_found_total"]),
            archived=int(values["archived_total"]),
            pending=int(values["archive_pending"]),
            damaged=int(values["archive_damaged_total"]),
            dropped=dropped,
            queue_bytes=int(values["spool_queue_bytes"]),
            upload_failures=int(values["archive_upload_failures_total"]),
            last_stored=values["archive_last_stored_timestamp_seconds"],
        )
    except (KeyError, ValueError):
        raise UnreachableError(
            "its /metrics are not those of this gateway: another server, or another version"
        ) from None
