"""Proves that a spool on a medium that does not keep it, without room, or shared with others is told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.archive.medium import Mount, check_medium, check_spool, mount_of
from proxy.model.check import Check

GIB = 1024**3
MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid shared:2 - proc proc rw
24 22 0:22 / /run rw,nosuid - tmpfs tmpfs rw,size=1000k
25 22 0:23 / /mnt/my\\040disk rw - xfs /dev/vdb rw
26 22 0:24 / /data rw shared:5 master:1 - ext4 /dev/vdc rw
27 26 0:25 / /data rw - nfs4 server:/export rw,vers=4.2
28 22 0:26 / /remote rw - fuse.sshfs host: rw
29 22 0:27 / /layers rw - overlay overlay rw,lowerdir=/a
"""


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/var/spool", Mount("/", "ext4")),
        ("/run", Mount("/run", "tmpfs")),
        ("/run/gateway/spool", Mount("/run", "tmpfs")),
        ("/runner", Mount("/", "ext4")),
        ("/mnt/my disk/spool", Mount("/mnt/my disk", "xfs")),
        ("/data/spool", Mount("/data", "nfs4")),
    ],
)
def test_a_path_lies_on_the_nearest_mount_and_of_two_on_the_later(path: str, mount: Mount) -> None:
    assert mount_of(Path(path), MOUNTINFO) == mount


def test_a_list_without_any_mount_is_no_answer() -> None:
    with pytest.raises(ValueError, match="no mount holds /var"):
        mount_of(Path("/var"), "")


@pytest.mark.parametrize(
    ("kind", "state", "words"),
    [
        ("ext4", "ok", "is on ext4"),
        ("xfs", "ok", "is on xfs"),
        ("tmpfs", "warn", "which is memory"),
        ("overlay", "warn", "goes away with the container"),
        ("nfs4", "warn", "over a network"),
        ("fuse.sshfs", "warn", "over a network"),
        ("fuse.glusterfs", "warn", "over a network"),
    ],
)
def test_a_medium_that_does_not_keep_is_told(kind: str, state: str, words: str) -> None:
    check = check_medium(Path("/"), f"22 1 254:0 / / rw - {kind} none rw")
    assert check.state == state
    assert words in check.what
    assert bool(check.remedy) == (state != "ok")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Path]:
    """A directory as the gateway makes it."""
    directory = tmp_path / "spool"
    directory.mkdir(mode=0o700)
    yield directory
    directory.chmod(0o700)


def found(directory: Path, node: str = "here", max_bytes: int = 1, min_free: int = 1) -> dict[str, Check]:
    checks = list(check_spool(directory, node, max_bytes, min_free))
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check for check in checks}


def test_a_good_spool_is_called_good_and_left_as_it_was(spool: Path) -> None:
    checks = found(spool)
    assert {name: check.state for name, check in checks.items() if name != "spool medium"} == {
        "spool access": "ok",
        "spool room": "ok",
        "spool nodes": "ok",
    }
    assert list(spool.iterdir()) == []


def test_a_spool_that_is_not_there_yet_is_no_fault(tmp_path: Path) -> None:
    checks = found(tmp_path / "not" / "yet")
    assert {check.state for name, check in checks.items() if name != "spool medium"} == {"ok"}
    assert "the gateway makes it" in checks["spool access"].what
    assert not (tmp_path / "not").exists()


def test_a_spool_in_place_of_which_there_is_a_file_can_not_be_written(tmp_path: Path) -> None:
    file = tmp_path / "spool"
    file.write_text("")
    checks = found(file)
    assert checks["spool access"].state == "fail"
    assert "can't be written" in checks["spool access"].what
    assert checks["spool nodes"].state == "unknown"


def test_a_spool_that_others_may_look_into_is_told(spool: Path) -> None:
    spool.chmod(0o755)
    check = found(spool)["spool access"]
    assert (check.state, check.remedy) == ("warn", f"chmod 700 {spool}")


def test_too_little_room_is_told(spool: Path) -> None:
    free = shutil.disk_usage(spool).free
    assert found(spool, min_free=2 * free)["spool room"].state == "fail"
    assert found(spool, max_bytes=2 * free)["spool room"].state == "warn"


def test_segments_of_other_nodes_are_told(spool: Path) -> None:
    for node in ("here", "there", "a-b.c"):
        (spool / f"{node}-0123456789abcdef-00000001.sealed").touch()
    (spool / "notes.txt").touch()
    check = found(spool)["spool nodes"]
    assert check.state == "warn"
    assert "a-b.c, there" in check.what
    assert found(spool, node="there")["spool nodes"].state == "warn"


def test_segments_of_this_node_alone_are_fine(spool: Path) -> None:
    for state in ("open", "sealed", "damaged"):
        (spool / f"here-0123456789abcdef-00000001.{state}").touch()
    assert found(spool)["spool nodes"].state == "ok"
