"""`replay-gateway archive doctor`: the store and the spool looked over, each finding with what to do."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from proxy.archive.bucket_documents import PROBE
from proxy.archive.medium import check_spool
from proxy.archive.open_store import s3_options
from proxy.cli.archiving.opening import with_archive
from proxy.cli.archiving.setup import bucket_names
from proxy.cli.checks import show_checks
from proxy.model.check import Check, never_raising
from proxy.settings import Archive, Settings
from proxy.spool.rules import node_of


def examine(config: Path | None, retention_days: int, as_json: bool) -> int:
    """Prints each check. Returns the exit code: 0 without a failed one."""

    def act(settings: Settings, archive: Archive) -> int:
        return show_checks(checks_of(archive, retention_days), as_json)

    return with_archive(config, act)


def checks_of(archive: Archive, retention_days: int) -> Iterator[Check]:
    """All that can be said of the store and the spool."""
    options = s3_options(archive)
    if options is None or archive.s3 is None:
        yield from never_raising("folder", lambda: [_folder(archive.directory)])
    else:
        from proxy.archive.doctor import check_s3  # here: a folder needs no boto3

        yield from check_s3(options, bucket_names(archive.s3), retention_days)
    spool = archive.spool
    node = node_of(archive, socket.gethostname())
    yield from check_spool(spool.directory, node, spool.max_bytes, spool.min_free_bytes)


def _folder(folder: Path) -> Check:
    """Whether objects can be written there. Leaves nothing: what this user made might be closed to the gateway's."""
    name, where = "folder", folder.absolute()
    remedy = f"give it to the user that the gateway runs as (uid {os.getuid()} asks now), or mount it writable"
    try:
        if not folder.exists():
            parent = next(each for each in where.parents if each.exists())
            if os.access(parent, os.W_OK | os.X_OK):
                return Check(name, "ok", f"{where} is not there yet; the gateway makes it")
            return Check(name, "fail", f"{where} can't be made: {parent} is not writable", remedy)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(PROBE)
            file.flush()
            os.fsync(file.fileno())
            read = Path(file.name).read_bytes()
    except OSError as error:
        return Check(name, "fail", f"{where} can't be written: {error.strerror}", remedy)
    if read != PROBE:
        return Check(name, "fail", f"other bytes than were written were read in {where}", "look at its disk")
    return Check(name, "ok", f"{where} can be written")
