"""Compiles the data path to machine code with mypyc, from the same source that also runs as it is.

What is compiled is what every request runs through; the rest stays Python. Without a C compiler, or with
REPLAY_GATEWAY_PURE=1 in the environment, the package is built of the plain modules alone: the same gateway, at about
twice the cost per request. `replay-gateway --version` says which of the two it is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FOLDERS = ("edge", "model", "policy", "upstream", "wire")
FILES = (
    *("exchange.py", "observe/ledger.py", "runtime/reset.py", "runtime/timers.py"),
    *(f"spool/{name}.py" for name in ("direct", "entries", "open_segment", "rotation", "segment", "tee", "writer")),
)
# Not of the data path, or asked once per connection: compiled, it would only be harder to read.
PLAIN = {"proxy/model/check.py", "proxy/upstream/resolver.py", "proxy/upstream/tls.py"}


def compiled() -> list[Extension]:
    """The extension modules; none where only the package's description is asked for."""
    if os.environ.get("REPLAY_GATEWAY_PURE") == "1" or not {"bdist_wheel", "build_ext"}.intersection(sys.argv):
        return []
    from mypyc.build import mypycify  # here: who builds the plain package need not have it

    modules = [str(path) for folder in FOLDERS for path in sorted(Path("proxy", folder).glob("*.py"))]
    modules = [path for path in modules if not path.endswith("__init__.py") and path not in PLAIN]
    modules += [f"proxy/{name}" for name in FILES]
    # Of the libraries, only the types of pydantic (it makes the settings) matter for what is compiled.
    options = ["--strict", "--ignore-missing-imports", "--no-warn-unused-ignores", "--allow-subclassing-any"]
    options += ["--allow-untyped-calls", "--allow-untyped-decorators", "--no-warn-return-any"]
    extensions: list[Extension] = mypycify([*options, *modules], opt_level="2", debug_level="0")
    for extension in extensions:
        extension.optional = True  # no compiler is no reason not to be installed
    return extensions


class AllOrNone(build_ext):
    """Where one module can't be compiled none is: each of them needs the others' machine code, and would not load."""

    def run(self) -> None:
        super().run()
        made = [Path(path) for path in self.get_outputs()]
        if not all(path.exists() for path in made):
            for path in made:
                path.unlink(missing_ok=True)


setup(ext_modules=compiled(), cmdclass={"build_ext": AllOrNone})
