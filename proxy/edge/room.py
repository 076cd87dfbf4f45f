"""Who may be connected, and who has to go when there is no room for all.

A guest in good standing has a place and counts for its address; one that has had its last answer only leaves, and
those have a bound of their own. Nothing is kept up to date from request to request: who can be spared is asked when
somebody has to go, and of so few that the answer costs microseconds. Must not know what a guest is doing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from proxy.model.cut import Cut
from proxy.model.verdict import Reason
from proxy.observe.ledger import Ledger
from proxy.policy.bounds import LimitsInUse
from proxy.runtime.timers import Timed

# Standings: the lower, the easier can a guest be spared. Of the same standing that one goes whose time is up first.
IDLE: Final = 0  # may ask, or not
BEGINNING: Final = 1  # its handshake or its head is on the way
DRIPPING: Final = 2  # its body comes more slowly than is borne
FRESH: Final = 3  # has only just come or been answered: to be spared by an address that has far fewer
BUSY: Final = 4  # can't be spared
# How many times as many that is. A flood at the rate of all places a second has fresh ones only.
FAR_MORE: Final = 2
# Seconds that everybody has for what comes next: who has only just come, or has only just been answered, is no idler.
GRACE: Final = 1.0
# So many are asked, and go to the end of the queue for it: the next question is asked of others. Those who came
# together stand together, so where none of them can be spared, more are asked.
LOOKED_AT: Final = 32
MOST_LOOKED_AT: Final = 256
# Of the handshakes begun first, so many: one that is nearly over should not fall to a flood from one place.
_HANDSHAKES_LOOKED_AT: Final = 8


class Guest(Timed):
    """One connection. `home` is what its address is counted as, empty for nobody's."""

    __slots__ = ("home",)

    def __init__(self) -> None:
        Timed.__init__(self)
        self.home = ""

    def standing(self, now: float) -> int:
        """How well it can be spared, see above."""
        raise NotImplementedError

    def make_way(self) -> None:
        """Go, with a word if one is due: its place is somebody else's already."""
        raise NotImplementedError

    def cut(self) -> None:
        """End at once, without a word."""
        raise NotImplementedError


class Room:
    """The places of one gateway. Memory is bounded by the guests: an address is known while one of it is here."""

    __slots__ = ("_homes", "_leaving", "_ledger", "_limits", "_shaking", "_staying")

    def __init__(self, limits: LimitsInUse, ledger: Ledger) -> None:
        self._limits = limits
        self._ledger = ledger
        self._staying: OrderedDict[Guest, str] = OrderedDict()  # and its home at that time
        self._homes: dict[str, OrderedDict[Guest, str]] = {}
        self._shaking: OrderedDict[Guest, None] = OrderedDict()  # in their TLS handshake, staying or leaving
        self._leaving: OrderedDict[Guest, None] = OrderedDict()

    def __len__(self) -> int:
        """All of them."""
        return len(self._staying) + len(self._leaving)

    def guests(self) -> list[Guest]:
        """All of them, as they are now."""
        return [*self._staying, *self._leaving]

    def enter(self, guest: Guest, now: float) -> Reason | None:
        """Give a newcomer a place, which somebody else may have to leave; or the reason why there is none. Then it
        has one until it is parted with, so that it can be told."""
        reason: Reason | None = None
        neighbours = self._neighbours(guest)
        if guest.home and neighbours >= self._limits.connections_per_ip:
            if not self._spare(self._homes[guest.home], 0, now):
                reason = Reason.CONNECTIONS_PER_IP
        elif len(self._staying) >= self._limits.connections:
            enough = FAR_MORE * (neighbours + 1) if guest.home else 0
            if not self._spare(self._staying, enough, now):
                reason = Reason.TOO_MANY_CONNECTIONS
        self.stay(guest)
        return reason

    def stay(self, guest: Guest) -> None:
        """A place without a question: it has had one before, under another name or in another room."""
        self._staying[guest] = guest.home
        if guest.home:
            home = self._homes.get(guest.home)
            if home is None:
                self._homes[guest.home] = home = OrderedDict()
            home[guest] = ""

    def shake_hands(self, guest: Guest) -> None:
        """Its TLS handshake begins. Beyond `limits.tls_handshakes` one that began earlier has to go."""
        if len(self._shaking) >= self._limits.tls_handshakes:
            oldest: Guest | None = None
            most = -1
            for number, other in enumerate(self._shaking):
                if number == _HANDSHAKES_LOOKED_AT:
                    break
                neighbours = self._neighbours(other)
                if neighbours > most:
                    oldest, most = other, neighbours
            if oldest is not None:
                self._shaking.pop(oldest)
                self.part(oldest)
                oldest.make_way()
        self._shaking[guest] = None

    def part(self, guest: Guest) -> None:
        """It has had its last answer: it no longer takes a place, but may stay to read. Of too many such ones the
        first has had the most time, and is cut."""
        if not self._take_place(guest):
            return
        self._leaving[guest] = None
        if len(self._leaving) > self._limits.lingering:
            oldest, _ = self._leaving.popitem(last=False)
            self._ledger.cut(Cut.LINGERING)
            oldest.cut()

    def leave(self, guest: Guest) -> bool:
        """It is gone; whether it had a place until now."""
        self._shaking.pop(guest, None)
        if self._take_place(guest):
            return True
        self._leaving.pop(guest, None)
        return False

    def hand_over(self, guest: Guest, other: Room) -> None:
        """It goes to another room, in the standing that it has here."""
        if guest in self._shaking:
            other._shaking[guest] = None
        if guest in self._leaving:
            other._leaving[guest] = None
        if self.leave(guest):
            other.stay(guest)

    def _neighbours(self, guest: Guest) -> int:
        home = self._homes.get(guest.home)
        return 0 if home is None else len(home)

    def _take_place(self, guest: Guest) -> bool:
        at = self._staying.pop(guest, None)
        if at is None:
            return False
        home = self._homes.get(at)
        if home is not None:
            home.pop(guest, None)
            if not home:
                del self._homes[at]
        return True

    def _spare(self, crowd: OrderedDict[Guest, str], enough: int, now: float) -> bool:
        """Have that one of a crowd go who can be spared best; False when nobody can who was looked at. Who is fresh
        can, if its address has more than `enough` connections."""
        best: Guest | None = None
        least = BUSY
        for looked in range(min(len(crowd), MOST_LOOKED_AT)):
            if looked >= LOOKED_AT and best is not None:
                break
            guest = next(iter(crowd))
            crowd.move_to_end(guest)
            standing = guest.standing(now)
            if standing == FRESH and not 0 < enough < self._neighbours(guest):
                continue
            if standing < least or (best is not None and standing == least and guest.deadline < best.deadline):
                best, least = guest, standing
        if best is None:
            return False
        self.part(best)
        best.make_way()
        return True
