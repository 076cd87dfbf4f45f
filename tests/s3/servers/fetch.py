"""Gets the servers into build/s3-servers, where nothing of the system is touched: `python -m tests.s3.servers.fetch`.

Done once; a second call looks and ends. Needs no root. Swift comes from PyPI, into an environment of its own, since its
dependencies are not the project's. Ceph comes from the distribution's package sources (Debian 12), by apt with lists of
its own. Must not know how the servers are started.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / "build" / "s3-servers"
SWIFT = CACHE / "swift"
CEPH = CACHE / "ceph"
SWIFT_PACKAGES = Path(__file__).with_name("swift.lock")
# The daemons; libfaketime lets a program see another clock. What they depend on comes with them.
CEPH_PACKAGES = ("ceph-mon", "ceph-osd", "radosgw", "libfaketime")
DOWNLOAD_SECONDS = 600.0  # for each of the commands, over a slow line


class FetchError(Exception):
    """A server could not be had; the text says why, and what to do."""


def ensure_swift() -> Path:
    """The folder of Swift's programs."""
    once(SWIFT, SWIFT_PACKAGES.read_text() + sys.version, _fetch_swift)
    return SWIFT / "bin"


def ensure_ceph() -> Path:
    """The folder that stands for `/` of the unpacked packages."""
    once(CEPH, " ".join(CEPH_PACKAGES), _fetch_ceph)
    return CEPH / "root"


def once(folder: Path, recipe: str, fetch: Callable[[Path], None]) -> None:
    """Calls `fetch` unless it was done by the same recipe before. Of several processes one does, the others wait."""
    digest = hashlib.sha256(recipe.encode()).hexdigest()
    done = folder / "recipe"
    with _alone():
        if done.exists() and done.read_text() == digest:
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        began = time.monotonic()
        print(f"{folder.name}: fetching into {folder}", flush=True)
        fetch(folder)
        done.write_text(digest)
        print(f"{folder.name}: {_mib(folder)} MiB in {time.monotonic() - began:.0f} s", flush=True)


@contextmanager
def _alone() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = os.open(CACHE, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _fetch_swift(folder: Path) -> None:
    run(folder, sys.executable, "-m", "venv", str(folder))
    pip = (str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet")
    run(folder, *pip, "install", "--require-hashes", "--requirement", str(SWIFT_PACKAGES))


def _fetch_ceph(folder: Path) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise FetchError("Ceph's gateway comes from Debian's packages: run the tests of S3 on Debian 12")
    packages, root = folder / "packages", folder / "root"
    apt = _apt(folder)
    for each in (packages, root):
        each.mkdir()
    run(folder, *apt, "update")
    planned = run(folder, *apt, "--simulate", "--no-install-recommends", "install", *CEPH_PACKAGES)
    missing = {line.split()[1] for line in planned.splitlines() if line.startswith("Inst ")}
    run(packages, *apt, "download", *sorted(missing.union(CEPH_PACKAGES)))
    for package in sorted(packages.glob("*.deb")):
        run(folder, "dpkg", "-x", str(package), str(root))
    for each in (packages, folder / "apt"):
        shutil.rmtree(each)


def _apt(folder: Path) -> tuple[str, ...]:
    """apt-get with this machine's package sources and knowledge of what is installed, but with lists of its own, so
    that it needs neither root nor an update of the machine's."""
    own = folder / "apt"
    for each in ("lists/partial", "cache/archives/partial"):
        (own / each).mkdir(parents=True)
    options = (
        f"Dir::State::lists={own / 'lists'}",
        f"Dir::Cache={own / 'cache'}",
        f"Dir::State::extended_states={own / 'extended_states'}",
        "APT::Sandbox::User=root",
        "Debug::NoLocking=1",
        "Acquire::Retries=3",
    )
    return ("apt-get", "--quiet", "--quiet", *(part for option in options for part in ("-o", option)))


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"{' '.join(command)}: not done after {DOWNLOAD_SECONDS:.0f} s") from error
    if done.returncode:
        raise FetchError(f"{' '.join(command)} in {folder}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def _mib(folder: Path) -> int:
    sizes = (path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink())
    return round(sum(sizes) / 1024**2)


def main() -> None:
    """Get what is missing. Exit code 1 when that fails."""
    try:
        ensure_swift()
        ensure_ceph()
    except FetchError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
