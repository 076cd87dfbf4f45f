"""What the running gateway says of its archive: read from its admin server, and whether the sum comes out even.

Must not know the spool's folder, or how it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from proxy.cli.admin import UnreachableError
from proxy.cli.admin import ask as ask_admin
from proxy.observe.metrics import PREFIX
from proxy.settings import Address

_DROPPED: Final = "archive_dropped_total"


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
    status, text = ask_admin(address, "/metrics")
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
