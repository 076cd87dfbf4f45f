"""Listening sockets: taken by the supervisor before anything is started, handed to workers by number.

Each listener gets one socket per worker (SO_REUSEPORT: the kernel spreads connections over them). The supervisor
keeps them open, so the accept queue of a worker that died waits for its successor. Must not know what is spoken
on them.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Sequence
from itertools import chain

# Connections that finished their handshake and wait for accept(): the kernel cuts it to net.core.somaxconn, whose
# default has been 4096 since Linux 5.4. At 4,000 new connections per second it covers a second of a restart.
BACKLOG = 4096

_ADVICE = {
    errno.EADDRINUSE: "the address is already in use; stop what holds it (another gateway?) or choose another",
    errno.EACCES: "not allowed; ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher port or grant it",
    errno.EADDRNOTAVAIL: "this machine has no such address; use one of its own, or 0.0.0.0 for all",
}


class BindError(Exception):
    """An address can't be listened on. The text says which setting, which address, and what to do."""


def bind_each(
    listeners: Sequence[tuple[str, int]], copies: int, had: Sequence[Sequence[socket.socket]] = ()
) -> list[list[socket.socket]]:
    """Sockets that listen on every (host, port), `copies` times: `result[copy][listener]`. All or, with a
    BindError, none. `had[listener]` are those that there are already, see `fitting`: no more than `copies`."""
    bound: list[list[socket.socket]] = [[] for _ in range(copies)]
    try:
        for index, (host, port) in enumerate(listeners):
            both = _takes_both(host, port, listeners)
            there = list(had[index]) if had else []
            first = there.pop(0) if there else bind(f"listen[{index}].address", host, port, both_families=both)
            bound[0].append(first)
            for siblings in bound[1:]:
                siblings.append(there.pop(0) if there else _sibling(first, both_families=both))
    except BindError:
        close_all(chain(*bound, *had))
        raise
    return bound


def fitting(found: Iterable[socket.socket], listeners: Sequence[tuple[str, int]]) -> list[list[socket.socket]]:
    """Those of `found` that listen on a (host, port), by the listener. They are as `bind_each` makes them then, with
    the same bound on what waits."""
    left = [each for each in found if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]
    result = []
    for host, port in listeners:
        place = _place(host, port)
        both = _takes_both(host, port, listeners)
        these = [each for each in left if place and _listens_at(each, place, both_families=both)]
        for each in these:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            each.listen(BACKLOG)
        left = [each for each in left if each not in these]
        result.append(these)
    return result


def bind(setting: str, host: str, port: int, *, both_families: bool = False) -> socket.socket:
    """One socket that listens on an address which nobody else has, not even with SO_REUSEPORT. `both_families`
    lets an IPv6 wildcard take IPv4 connections as well. `setting` is the path that a BindError names."""
    try:
        family, address = _resolved(host, port)
        return _listening(family, address, reuse_port=False, both_families=both_families)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, error.strerror or str(error))
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise BindError(f"{setting}: can't listen on {shown}: {advice}") from None


def adopt(number: int) -> socket.socket:
    """The socket behind a file descriptor that this process was started with."""
    adopted = socket.socket(fileno=number)
    adopted.setblocking(False)
    os.set_inheritable(number, False)
    return adopted


def accepted(listening: socket.socket) -> list[socket.socket]:
    """Everything that waits in the accept queue now. The socket must be non-blocking."""
    found = []
    while True:
        try:
            found.append(listening.accept()[0])
        except ConnectionAbortedError:
            continue  # that client gave up while it waited; the next may not have
        except OSError:
            return found  # the queue is empty, or the process is out of descriptors and can take no more


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Close them; closing one twice is fine."""
    for each in sockets:
        each.close()


def _takes_both(host: str, port: int, listeners: Sequence[tuple[str, int]]) -> bool:
    """Whether it takes IPv4 connections as well: an IPv6 wildcard does, unless there is one for IPv4."""
    return host == "::" and ("0.0.0.0", port) not in listeners


def _resolved(host: str, port: int) -> tuple[int, tuple[object, ...]]:
    """Family and address. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return family, address


def _place(host: str, port: int) -> tuple[int, tuple[object, ...]] | None:
    try:
        return _resolved(host, port)
    except OSError:
        return None  # which is said when it is to be bound


def _listens_at(found: socket.socket, place: tuple[int, tuple[object, ...]], *, both_families: bool) -> bool:
    family, address = place
    if found.family != family or found.type != socket.SOCK_STREAM or found.getsockname()[:2] != address[:2]:
        return False
    return family != socket.AF_INET6 or bool(found.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)) != both_families


def _listening(family: int, address: object, *, reuse_port: bool, both_families: bool) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without it the port would stay taken for a minute by connections of the process before (TIME_WAIT).
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(reuse_port))
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not both_families))
        listening.bind(address)  # type: ignore[arg-type]
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _sibling(first: socket.socket, *, both_families: bool) -> socket.socket:
    # `first` took its port exclusively, so two gateways can't share one by accident; only now is it opened.
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        return _listening(first.family, first.getsockname(), reuse_port=True, both_families=both_families)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            # Only to sockets of the same user are others added (socket(7)). One that a service manager has made is
            # root's: then all workers take from its one queue.
            return first.dup()
        raise BindError(f"can't listen again on {first.getsockname()}: {error.strerror}") from None
