"""What all connections of one listener share: its name, its answers, the log and the rules.

Must not know of sockets or connections.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from email.utils import formatdate
from itertools import count
from weakref import WeakKeyDictionary

from proxy.standin.answers import Defaults
from proxy.standin.behaviour import Behaviour
from proxy.standin.departures import Departures
from proxy.standin.records import Counts, Log, Record


class Clock:
    """The machine's monotonic clock, and the date of an answer, made once a second."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    @staticmethod
    def now() -> float:
        """Seconds; comparable between processes of one machine (CLOCK_MONOTONIC)."""
        return time.monotonic()

    def date(self) -> str:
        """The current IMF-fixdate; the same object for up to a second."""
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._text = formatdate(usegmt=True)
        return self._text


class Vendor:
    """What all sites share. `check` says whether gzip bodies are verified; `narrate` gets every
    finished exchange, or is None."""

    __slots__ = ("behaviour", "check", "clock", "connection_numbers", "departures", "log", "narrate")

    def __init__(self, log: Log, behaviour: Behaviour, check: bool, narrate: Callable[[Record], None] | None) -> None:
        self.log = log
        self.behaviour = behaviour
        self.check = check
        self.narrate = narrate
        self.clock = Clock()
        self.departures = Departures()
        self.connection_numbers = count(1)


class Site:
    """One named listener; the name before `-tls` is its region."""

    __slots__ = ("defaults", "name", "server_names", "tls", "vendor")

    def __init__(self, name: str, vendor: Vendor, tls: ssl.SSLContext | None) -> None:
        self.name = name
        self.vendor = vendor
        self.tls = tls
        self.defaults = Defaults(name, name.removesuffix("-tls"))
        self.server_names: WeakKeyDictionary[ssl.SSLObject, str] = WeakKeyDictionary()
        if tls is not None:
            tls.sni_callback = self._note_server_name

    def _note_server_name(self, handshake: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name is not None and isinstance(handshake, ssl.SSLObject):
            self.server_names[handshake] = name

    @property
    def counts(self) -> Counts:
        """This site's numbers since the last reset."""
        return self.vendor.log.counts[self.name]
