"""Installs the npm packages and bundles the page scripts when they are missing or older than what they come from.

It knows npm and file times only; the browser and the tests come later.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

SDK = Path(__file__).parent / "sdk"
BUILD = SDK / "build"
LOCK_FILE = SDK / "package-lock.json"
INSTALLED = Path("node_modules", ".package-lock.json")  # npm writes it last
FLAVOURS = ("standalone-1.50.2", "standalone-1.28.12", "plugin")


def needed_tool(name: str, package: str) -> str:
    """The path of a program that the browser tests cannot do without; says how to get it when it is missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    assert found, f"the browser tests need `{name}`: apt-get install {package}"
    return found


def ensure_built() -> Path:
    """The folder of the bundled page scripts, one `<flavour>.js` each, made when necessary."""
    ensure_installed(SDK)
    with _alone(SDK):
        sources = [LOCK_FILE, SDK / "build.mjs", *(SDK / "pages").glob("*.js")]
        if any(_is_older(BUILD / f"{flavour}.js", sources) for flavour in FLAVOURS):
            _run(SDK, needed_tool("node", "nodejs"), "build.mjs")
    return BUILD


def ensure_installed(folder: Path) -> None:
    """What `folder`'s package-lock.json names is in its node_modules; npm installs it when necessary."""
    with _alone(folder):
        if _is_older(folder / INSTALLED, [folder / LOCK_FILE.name]):
            _run(folder, needed_tool("npm", "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two test processes must not install into the same folder at once."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _is_older(made: Path, sources: Iterable[Path]) -> bool:
    return not made.exists() or any(source.stat().st_mtime > made.stat().st_mtime for source in sources)


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} in {folder}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
