"""What libFuzzer runs: one target, in a process that ends when libFuzzer wants it to.

    python -m tests.fuzz.target client [libFuzzer's options and folders of inputs]

The modules of the gateway are instrumented while they are imported, so nothing of them may be imported before.
"""

from __future__ import annotations

import sys
from importlib import import_module

import atheris

# Where a stranger's bytes come by. What is instrumented steers the search; everything runs all the same.
INSTRUMENTED = ["proxy"]


def main() -> None:
    """Never returns."""
    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        check = import_module(f"tests.fuzz.{name}").check
    # To merge, libFuzzer runs itself again, by these words.
    atheris.Setup([f"{sys.executable} -m tests.fuzz.target {name}", *options], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
