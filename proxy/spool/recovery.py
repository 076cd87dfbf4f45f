"""What a worker that was killed had written, and what died with it: told apart by the file that it left.

Must not seal or remove anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from proxy.model.drop import Drop
from proxy.observe.ledger import Counter, Ledger, Mark
from proxy.spool.folder import found_in
from proxy.spool.gaps import Gap
from proxy.spool.segment import SEGMENT_HEAD, Frame, Kind, NotASegment, decode_head, frames


class Account(NamedTuple):
    """How the worker that had this row of the ledger before has left it: its `boot` (0: there was none), the sequence
    of the upload that it counted last as written or dropped, and the uploads and bytes that it took and never counted
    so."""

    boot: int
    settled: int
    payloads: int
    bytes: int


def take_over(ledger: Ledger, boot: str) -> Account:
    """The account of the worker before, and a new one for `boot`. To be called before an upload is offered."""
    payloads, size = ledger.unsettled()
    account = Account(ledger.marked(Mark.SPOOL_BOOT), ledger.marked(Mark.SPOOL_SETTLED), payloads, size)
    ledger.mark(Mark.SPOOL_SETTLED, 0)
    ledger.mark(Mark.SPOOL_BOOT, int(boot, 16))
    return account


def settle(folder: Path, account: Account, ledger: Ledger, now_ms: int) -> Gap | None:
    """Close an account. Uploads that were written and could not be counted any more are counted now; those that were
    still in memory are dropped, and returned as a gap. Raises OSError; then nothing was counted."""
    written = _last_payloads(folder, f"{account.boot:016x}") if account.payloads > 0 else []
    uncounted = [frame.body_length for frame in written if frame.sequence > account.settled]
    ledger.count(Counter.SPOOL_WRITTEN, len(uncounted))
    ledger.count(Counter.SPOOL_WRITTEN_BYTES, sum(uncounted))
    payloads, size = account.payloads - len(uncounted), account.bytes - sum(uncounted)
    if payloads <= 0:
        return None
    ledger.drop(Drop.CRASH, payloads, size)
    return Gap(Drop.CRASH, payloads, size, now_ms, now_ms)


def _last_payloads(folder: Path, boot: str) -> list[Frame]:
    """What is in the newest segment of a boot; older ones had been counted when it was begun."""
    found = [each for each in found_in(folder) if each.name.boot == boot]
    if not found:
        return []
    newest = max(found, key=lambda each: each.name.number)
    with newest.path.open("rb") as file:
        try:
            head = decode_head(file.read(SEGMENT_HEAD))
        except NotASegment:
            return []
        return [each for each in frames(file, head.salt) if isinstance(each, Frame) and each.kind is Kind.PAYLOAD]
