"""What a service manager keeps for the gateway and is told by it, as systemd has it: listening sockets, which stay open
while one run ends and the next begins, so that whoever connects meanwhile waits instead of being refused; and when the
gateway is ready, and when it stops. sd_listen_fds(3), sd_notify(3), FileDescriptorStoreMax= in systemd.service(5).

Without one nothing happens. Must not know what is served on the sockets.
"""

from __future__ import annotations

import logging
import os
import select
import socket
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Final, NamedTuple

FIRST: Final = 3  # SD_LISTEN_FDS_START
# For an answer that systemd gives in a millisecond. After it, an address that was given back may still be in use.
BARRIER_SECONDS: Final = 5.0
_NAME_BYTES: Final = 8

_log = logging.getLogger("proxy.supervisor")


class Kept(NamedTuple):
    """A listening socket of a run before, and the name under which it is kept."""

    name: str
    listening: socket.socket


class ServiceManager:
    """The one that `environ` tells of. What it says is taken out of there: it is not for children."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        self.kept = _passed(environ)

    @property
    def sockets(self) -> list[socket.socket]:
        """Those that are kept."""
        return [each.listening for each in self.kept]

    def tell(self, *lines: str, descriptors: Sequence[int] = ()) -> None:
        """Say something, such as "READY=1". That it can't be said is no reason to stop."""
        if not self._address:
            return
        # A name that begins with @ is one of no file (unix(7), abstract).
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaking:
                speaking.connect(address)
                socket.send_fds(speaking, ["\n".join(lines).encode()], descriptors)
        except OSError as error:
            _log.warning("can't tell the service manager %s: %s", lines[0], error.strerror)

    def keep(self, listening: Iterable[socket.socket]) -> None:
        """Have them kept, those that already are excepted."""
        known = {each.listening for each in self.kept}
        for each in listening:
            if each not in known:
                # One name for each: a name is what they are given back by.
                name = os.urandom(_NAME_BYTES).hex()
                self.tell("FDSTORE=1", f"FDNAME={name}", descriptors=(each.fileno(),))

    def give_back(self, used: Iterable[socket.socket]) -> None:
        """Have all the others closed, here and there: else the kernel would go on giving them connections."""
        wanted = set(used)
        left = [each for each in self.kept if each.listening not in wanted]
        for each in left:
            each.listening.close()
            self.tell("FDSTOREREMOVE=1", f"FDNAME={each.name}")
        if left:
            self._wait()
        self.kept = [each for each in self.kept if each not in left]

    def _wait(self) -> None:
        """Until it has done what it was told."""
        ours, theirs = os.pipe()
        try:
            self.tell("BARRIER=1", descriptors=(theirs,))
        finally:
            os.close(theirs)
        readable, _, _ = select.select([ours], [], [], BARRIER_SECONDS)
        os.close(ours)
        if not readable:
            _log.warning("the service manager does not answer; an address that it should have closed may be in use")


def _passed(environ: MutableMapping[str, str]) -> list[Kept]:
    """The listening sockets that this process was started with."""
    process, number, names = (environ.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    if process != str(os.getpid()) or not number.isdecimal():
        return []
    found = []
    for at, name in zip(range(int(number)), [*names.split(":"), *[""] * int(number)], strict=False):
        try:
            passed = socket.socket(fileno=FIRST + at)
        except OSError as error:
            _log.warning("descriptor %d (%s) that the service manager has passed: %s", FIRST + at, name, error.strerror)
            continue
        passed.set_inheritable(False)
        found.append(Kept(name, passed))
    return found
