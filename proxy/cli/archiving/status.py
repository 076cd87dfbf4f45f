"""`replay-gateway archive status`: the spool, the running gateway's account, and what of it needs somebody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from time import sleep
from typing import Any, Final, NamedTuple

import click

from proxy.cli.admin import UnreachableError
from proxy.cli.archiving.account import Account, ask
from proxy.cli.archiving.opening import with_archive
from proxy.cli.archiving.times import shown
from proxy.cli.archiving.wording import aged, counted, sized
from proxy.cli.exit_codes import FAILURE, FINE
from proxy.model.drop import Drop
from proxy.runtime.clock import wall
from proxy.settings import Address, Archive, Settings
from proxy.spool.folder import State
from proxy.spool.look import Lying, look

# A sum that is not even is asked for again: counters move while they are read, and a gauge is up to a second old.
SECOND_LOOK: Final = 1.5


class Status(NamedTuple):
    """What was found at `now`, Unix time; without an account, `why_not` says why."""

    now: float
    folder: Path
    spool: dict[State, Lying]
    admin: Address | None
    account: Account | None
    why_not: str


def show_status(config: Path | None, is_counted: bool, as_json: bool) -> int:
    """Prints what was found. Returns the exit code: 1 when something needs somebody."""

    def act(settings: Settings, archive: Archive) -> int:
        status = _status(settings, archive, is_counted)
        found = list(problems(status, archive.rotate.seconds))
        if as_json:
            click.echo(json.dumps(_plain(status, found), indent=2, ensure_ascii=False))
        else:
            _show(status, found)
        return FAILURE if found else FINE

    return with_archive(config, act)


def problems(status: Status, rotate_seconds: float) -> Iterator[str]:
    """What is not as it should be, a sentence each; a segment should be stored soon after `rotate_seconds`."""
    account, sealed = status.account, status.spool[State.SEALED]
    damaged = status.spool[State.DAMAGED].segments
    if damaged:
        yield f"{counted(damaged, 'damaged segment')} kept in {status.folder}: archived as far as they could be read"
    if account is not None:
        yield from _of_account(account)
    # Without the gateway's word, how long the oldest has waited is all there is to go by.
    since = sealed.oldest_seconds
    if account is not None:
        since = min(since, status.now - account.last_stored)
    if sealed.segments and since > 2 * rotate_seconds:
        yield f"nothing was stored for {aged(since)} while {counted(sealed.segments, 'segment')} waited"


def _of_account(account: Account) -> Iterator[str]:
    if account.damaged:
        yield f"{counted(account.damaged, 'upload')} could not be read from the spool again"
    lost = {reason: number for reason, number in account.dropped.items() if reason != Drop.SUPPRESSED.value}
    if lost:
        reasons = ", ".join(f"{reason} {number}" for reason, number in lost.items())
        yield f"{counted(sum(lost.values()), 'upload')} dropped and not archived: {reasons}"
    if not account.is_even:
        yield f"the sum is not even: {account.queued} of the offered uploads are in none of the others"


def _status(settings: Settings, archive: Archive, is_counted: bool) -> Status:
    admin = settings.admin.address if settings.admin else None
    account, why_not = _asked(admin)
    if account is not None and not account.is_even:
        sleep(SECOND_LOOK)
        account, why_not = _asked(admin)
    now, folder = wall(), archive.spool.directory
    return Status(now, folder.absolute(), look(folder, now, is_counted), admin, account, why_not)


def _asked(admin: Address | None) -> tuple[Account | None, str]:
    if admin is None:
        return None, "there is no admin server in the settings"
    try:
        return ask(admin), ""
    except UnreachableError as error:
        return None, str(error)


def _show(status: Status, found: list[str]) -> None:
    click.echo(f"spool    {status.folder}")
    for state, lying in status.spool.items():
        click.echo(f"  {state.value:<16}{_lying_text(lying)}")
    click.echo(f"gateway  {status.admin or '-'}")
    if status.account is None:
        click.echo(f"  not reachable: {status.why_not}")
    else:
        for name, text in _account_texts(status.account, status.now):
            click.echo(f"  {name:<16}{text}")
    for problem in found:
        click.echo(f"{click.style('problem', fg='red')}  {problem}")


def _lying_text(lying: Lying) -> str:
    if not lying.segments:
        return "none"
    payloads = "" if lying.payloads is None else f", {counted(lying.payloads, 'payload')}"
    age = aged(lying.oldest_seconds)
    return f"{counted(lying.segments, 'segment')}, {sized(lying.bytes)}{payloads}, the oldest unchanged for {age}"


def _account_texts(account: Account, now: float) -> Iterator[tuple[str, str]]:
    dropped = ", ".join(f"{reason} {number}" for reason, number in account.dropped.items())
    yield "offered", f"{account.offered}, and {account.found} from before this start"
    yield "archived", f"{account.archived}"
    yield "pending", f"{account.pending}"
    yield "queued", f"{account.queued}, {sized(account.queue_bytes)}"
    yield "dropped", f"{sum(account.dropped.values())}" + (f": {dropped}" if dropped else "")
    yield "damaged", f"{account.damaged}"
    yield "sum", "even" if account.is_even else "NOT EVEN"
    yield "failed uploads", f"{account.upload_failures}"
    stored = account.last_stored
    yield "last stored", f"{shown(int(stored * 1000))}, {aged(now - stored)} ago" if stored else "nothing yet"


def _plain(status: Status, found: list[str]) -> dict[str, Any]:
    account = status.account
    told = {} if account is None else {**asdict(account), "queued": account.queued, "is_even": account.is_even}
    return {
        "spool": {
            "directory": str(status.folder),
            **{state.value: lying._asdict() for state, lying in status.spool.items()},
        },
        "gateway": {
            "address": None if status.admin is None else str(status.admin),
            "is_reachable": account is not None,
            "why_not": status.why_not,
            **told,
        },
        "problems": found,
    }
