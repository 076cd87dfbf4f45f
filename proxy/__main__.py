"""The process that `replay-gateway` and `python -m proxy` begin: what holds for all commands, then the command line."""

from proxy.cli import main
from proxy.runtime.machine import forbid_core_dumps


def start() -> None:
    """Does not return: the command's exit code ends the process."""
    forbid_core_dumps()  # here and not in the command line, which tests run in their own process
    main(prog_name="replay-gateway")


if __name__ == "__main__":
    start()
