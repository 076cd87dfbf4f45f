"""Whether the spool lies on a medium that keeps it: the kind of file system, room, permissions, who else writes there.

Must not know what is in the spool, or S3.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from proxy.model.check import Check, never_raising

MOUNTS: Final = Path("/proc/self/mountinfo")
_IN_MEMORY: Final = frozenset(("tmpfs", "ramfs"))
_LAYERS: Final = frozenset(("overlay", "aufs"))
_REMOTE: Final = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "lustre", "9p", "virtiofs", "afs", "gpfs", "beegfs")
)
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_SEGMENT: Final = re.compile(r"(?P<node>[A-Za-z0-9_.-]{1,64})-[0-9a-f]{16}-[0-9]{8}\.(?:open|sealed|damaged)")


class Mount(NamedTuple):
    """A mounted file system: where, and of which kind ("ext4")."""

    point: str
    kind: str


def check_spool(
    directory: Path, node: str, max_bytes: int, min_free_bytes: int, mounts: Path = MOUNTS
) -> Iterator[Check]:
    """All that can be said of a spool directory, from this machine's point of view. Writes one small file and removes
    it. Raises nothing."""
    yield from never_raising("spool medium", lambda: [check_medium(directory, mounts.read_text())])
    yield from never_raising("spool access", lambda: [_check_access(directory)])
    yield from never_raising("spool room", lambda: [_check_room(directory, max_bytes, min_free_bytes)])
    yield from never_raising("spool nodes", partial(_check_nodes, directory, node))


def mount_of(path: Path, mountinfo: str) -> Mount:
    """The mount that an absolute path without links lies on; `mountinfo` as in /proc/self/mountinfo (proc_pid_mountinfo
    in section 5 of the manual). Raises ValueError when it lists none."""
    found = Mount("", "")
    for line in mountinfo.splitlines():
        fields, _, kinds = line.partition(" - ")
        point = _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), fields.split(" ")[4])
        # Of two mounts at one point the later hides the earlier.
        if len(point) >= len(found.point) and path.is_relative_to(point):
            found = Mount(point, kinds.split(" ")[0])
    if not found.point:
        raise ValueError(f"no mount holds {path}")
    return found


def check_medium(directory: Path, mountinfo: str) -> Check:
    """Whether what is written there outlives the machine's restart and the container's."""
    name = "spool medium"
    mount = mount_of(_existing(directory), mountinfo)
    what = f"{directory} is on {mount.kind} at {mount.point}"
    remedy = "put archive.spool.directory on a disk of this machine's own, or on a volume"
    kind = mount.kind.removeprefix("fuse.")
    if kind in _IN_MEMORY:
        return Check(name, "warn", f"{what}, which is memory: a restart loses what was not archived yet", remedy)
    if kind in _LAYERS:
        return Check(name, "warn", f"{what}, which goes away with the container", remedy)
    if kind in _REMOTE or mount.kind.startswith("fuse"):
        return Check(name, "warn", f"{what}, over a network: locks and syncing may fail there, or be slow", remedy)
    return Check(name, "ok", what)


def _existing(directory: Path) -> Path:
    """The directory, or what exists of its path."""
    resolved = directory.resolve()
    return next(each for each in (resolved, *resolved.parents) if each.exists())


def _check_access(directory: Path) -> Check:
    name = "spool access"
    if not directory.exists():
        parent = _existing(directory)
        if os.access(parent, os.W_OK | os.X_OK):
            return Check(name, "ok", f"{directory} is not there yet; the gateway makes it")
        return Check(name, "fail", f"{directory} can't be made: {parent} is not writable", _owner_remedy(parent))
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".doctor-") as file:
            file.write(b"doctor")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Check(name, "fail", f"{directory} can't be written: {error.strerror}", _owner_remedy(directory))
    if directory.stat().st_mode & 0o077:
        return Check(name, "warn", f"others than its owner may look into {directory}", f"chmod 700 {directory}")
    return Check(name, "ok", f"{directory} can be written, and is closed to others")


def _owner_remedy(path: Path) -> str:
    return f"give {path} to the user that the gateway runs as (uid {os.getuid()} asks now), or mount it writable"


def _check_room(directory: Path, max_bytes: int, min_free_bytes: int) -> Check:
    name, remedy = "spool room", "make room, or lower archive.spool.max_bytes"
    free = shutil.disk_usage(_existing(directory)).free
    what = f"{_mib(free)} are free, of which {_mib(min_free_bytes)} are left alone"
    if free < min_free_bytes:
        return Check(name, "fail", f"{what}: nothing is taken into the spool", remedy)
    if free < min_free_bytes + max_bytes:
        return Check(name, "warn", f"{what}: the spool can't grow to its {_mib(max_bytes)}", remedy)
    return Check(name, "ok", f"{what}; the spool takes at most {_mib(max_bytes)}")


def _check_nodes(directory: Path, node: str) -> Iterator[Check]:
    name = "spool nodes"
    names = os.listdir(directory) if directory.exists() else []
    others = sorted({match["node"] for each in names if (match := _SEGMENT.fullmatch(each))} - {node})
    if others:
        what = f"{directory} holds segments of other nodes than {node}: {', '.join(others[:5])}"
        yield Check(name, "warn", what, "give every gateway a spool of its own; after a change of archive.node, wait")
    else:
        yield Check(name, "ok", f"no other node than {node} writes there")


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.0f} MiB"
