"""Runs a command as the deployments confine it: every file system that is mounted is read-only, but for one folder.

    unshare --user --map-root-user --mount python -m tests.deploy.confined FOLDER COMMAND…

The folder becomes an empty file system of its own. Ends with 1 if something else could still be written to.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NOT_ON_A_DISK = ("/proc", "/sys", "/dev")


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def mounted() -> Iterator[tuple[str, list[str]]]:
    """Where something is mounted, and its options (proc_pid_mountinfo(5))."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        _, _, _, _, path, options, *_ = line.split()
        yield re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), path), options.split(",")


def confine(folder: str) -> None:
    """Everything read-only but the folder."""
    mount("--make-rprivate", "/")
    for path, options in dict(mounted()).items():
        if not path.startswith(NOT_ON_A_DISK):
            # The other options must stay: in a namespace of one's own they can't be taken away.
            mount("-o", ",".join(("remount", "bind", "ro", *(each for each in options if each != "rw"))), path)
    mount("-t", "tmpfs", "-o", "mode=700", "tmpfs", folder)


def is_writable(folder: Path) -> bool:
    try:
        (folder / "confined").touch()
    except OSError:
        return False
    return True


def main(folder: str, *command: str) -> int:
    confine(folder)
    elsewhere = [Path(folder).parent, Path.cwd(), Path("/tmp"), Path("/var/tmp")]
    if left := [str(each) for each in elsewhere if is_writable(each)]:
        print("can still be written to:", *left, file=sys.stderr)
        return 1
    return os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
