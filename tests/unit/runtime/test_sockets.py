"""Proves that addresses are taken exclusively and all or none, that one that can't be had is told in plain words, and
that the sockets do what the design asks of them. Real sockets on loopback ports that the kernel picks."""

from __future__ import annotations

import os
import socket

import pytest

from proxy.runtime import sockets
from proxy.runtime.sockets import BACKLOG, BindError, accepted, adopt, bind, bind_each, close_all, fitting
from tests.gateway import free_port

LOOPBACK = "127.0.0.1"


def port_of(listening: socket.socket) -> int:
    port: int = listening.getsockname()[1]
    return port


def queued(listening: list[socket.socket]) -> list[int]:
    """How many connections each socket's queue held."""
    counts = []
    for each in listening:
        each.setblocking(False)
        waiting = accepted(each)
        counts.append(len(waiting))
        close_all(waiting)
    return counts


def test_a_socket_listens_and_speaks_without_delay() -> None:
    with bind("admin.address", LOOPBACK, 0) as listening, socket.create_connection(listening.getsockname()):
        taken, _ = listening.accept()
        with taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_every_worker_gets_a_socket_for_every_listener() -> None:
    rows = bind_each([(LOOPBACK, 0), (LOOPBACK, 0)], 3)
    assert [len(row) for row in rows] == [2, 2, 2]
    assert len({port_of(row[0]) for row in rows}) == 1
    assert len({port_of(row[1]) for row in rows}) == 1
    assert port_of(rows[0][0]) != port_of(rows[0][1])
    close_all(socket for row in rows for socket in row)


def test_the_kernel_spreads_connections_over_the_copies() -> None:
    rows = bind_each([(LOOPBACK, 0)], 2)
    clients = [socket.create_connection(rows[0][0].getsockname()) for _ in range(64)]
    counts = queued([row[0] for row in rows])
    assert sum(counts) == 64
    assert min(counts) > 0
    close_all([*clients, *(row[0] for row in rows)])


def test_a_queue_survives_the_closing_of_one_of_its_descriptors() -> None:
    with bind("listen[0].address", LOOPBACK, 0) as ours:
        theirs = ours.dup()
        client = socket.create_connection(ours.getsockname())
        theirs.close()
        assert queued([ours]) == [1]
        client.close()


def test_a_taken_port_is_refused_with_the_setting_the_address_and_advice() -> None:
    with bind("listen[0].address", LOOPBACK, 0) as first:
        with pytest.raises(BindError) as problem:
            bind("listen[1].address", LOOPBACK, port_of(first))
        text = str(problem.value)
        assert text.startswith(f"listen[1].address: can't listen on 127.0.0.1:{port_of(first)}: ")
    assert "already in use" in text
    assert "another gateway" in text


def test_a_second_gateway_on_the_same_port_is_refused_though_the_first_shares_it_among_its_workers() -> None:
    rows = bind_each([(LOOPBACK, 0)], 2)
    with pytest.raises(BindError, match="already in use"):
        bind_each([(LOOPBACK, port_of(rows[0][0]))], 2)
    close_all(row[0] for row in rows)


def test_a_wildcard_does_not_slip_over_a_loopback_listener() -> None:
    with bind("listen[0].address", LOOPBACK, 0) as first, pytest.raises(BindError, match="already in use"):
        bind("listen[0].address", "0.0.0.0", port_of(first))


def test_what_listens_at_an_address_already_is_used_for_it() -> None:
    first = bind_each([(LOOPBACK, 0), (LOOPBACK, 0)], 2)
    listeners = [(LOOPBACK, port_of(each)) for each in first[0]]
    had = fitting([*first[0], *first[1]], listeners)
    assert had == [[row[number] for row in first] for number in (0, 1)]
    second = bind_each(listeners, 3, had)
    assert second[:2] == first
    assert [port_of(each) for each in second[2]] == [port for _, port in listeners]
    close_all(socket for row in second for socket in row)


def test_workers_share_a_socket_that_another_user_has_made() -> None:
    os.seteuid(65_534)
    try:
        first = bind("listen[0].address", LOOPBACK, 0)
    finally:
        os.seteuid(0)
    rows = bind_each([(LOOPBACK, port_of(first))], 2, [[first]])
    clients = [socket.create_connection(first.getsockname()) for _ in range(3)]
    assert queued([rows[1][0]]) == [3]
    close_all([*clients, *(row[0] for row in rows)])


def test_what_listens_elsewhere_or_not_at_all_is_used_for_nothing() -> None:
    with bind("listen[0].address", LOOPBACK, 0) as found, socket.socket() as mute:
        mute.bind((LOOPBACK, 0))
        port = port_of(found)
        assert fitting([found, mute], [(LOOPBACK, port_of(mute)), ("0.0.0.0", port), ("::1", port)]) == [[], [], []]
        assert fitting([found], [("no.such.host.invalid", port)]) == [[]]


def test_an_ipv6_wildcard_is_used_for_one_that_takes_the_same_families() -> None:
    with bind("listen[0].address", "::", 0, both_families=True) as both:
        port = port_of(both)
        assert fitting([both], [("::", port)]) == [[both]]
        assert fitting([both], [("::", port), ("0.0.0.0", port)]) == [[], []]


def test_all_or_none_is_kept() -> None:
    with bind("listen[0].address", LOOPBACK, 0) as taken:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(BindError):
            bind_each([(LOOPBACK, 0), (LOOPBACK, port_of(taken))], 4)
        assert len(os.listdir("/proc/self/fd")) == before


def test_an_address_of_another_machine_is_refused_with_advice() -> None:
    with pytest.raises(BindError, match=r"192\.0\.2\.1:8080: this machine has no such address"):
        bind("listen[0].address", "192.0.2.1", 8080)


def test_a_name_that_means_nothing_is_refused() -> None:
    with pytest.raises(BindError, match=r"admin\.address: can't listen on gateway\.invalid:9090"):
        bind("admin.address", "gateway.invalid", 9090)


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    with pytest.raises(BindError, match=r"\[2001:db8::1\]:8080"):
        bind("listen[0].address", "2001:db8::1", 8080)


def test_a_port_can_be_taken_again_at_once_after_it_was_used() -> None:
    listening = bind("listen[0].address", LOOPBACK, 0)
    port = port_of(listening)
    client = socket.create_connection(listening.getsockname())
    served, _ = listening.accept()
    close_all((served, client, listening))  # our end closes first: it stays in TIME_WAIT
    bind("listen[0].address", LOOPBACK, port).close()


def test_an_ipv6_wildcard_takes_ipv4_too_when_nobody_else_does() -> None:
    rows = bind_each([("::", 0)], 1)
    assert rows[0][0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0
    socket.create_connection((LOOPBACK, port_of(rows[0][0]))).close()
    close_all(rows[0])


def test_an_ipv6_wildcard_leaves_ipv4_to_a_wildcard_of_its_own() -> None:
    port = free_port("0.0.0.0")
    rows = bind_each([("0.0.0.0", port), ("::", port)], 2)
    assert [row[1].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) for row in rows] == [1, 1]
    close_all(socket for row in rows for socket in row)


def test_a_sibling_that_cannot_be_had_closes_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(self: socket.socket, backlog: int) -> None:
        if self.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
            raise OSError(24, "Too many open files")
        plain_listen(self, backlog)

    plain_listen = socket.socket.listen
    monkeypatch.setattr(socket.socket, "listen", no_room)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BindError, match="Too many open files"):
        bind_each([(LOOPBACK, 0)], 2)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_adopted_socket_is_the_same_one_non_blocking_and_not_passed_on() -> None:
    with bind("listen[0].address", LOOPBACK, 0) as listening:
        number = os.dup(listening.fileno())
        os.set_inheritable(number, True)
        with adopt(number) as adopted:
            assert adopted.getsockname() == listening.getsockname()
            assert not adopted.getblocking()
            assert not os.get_inheritable(number)


def test_a_client_that_gave_up_in_the_queue_does_not_hide_those_behind_it() -> None:
    with bind("listen[0].address", LOOPBACK, 0) as listening:
        gone = socket.create_connection(listening.getsockname())
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.close()
        with socket.create_connection(listening.getsockname()):
            assert queued([listening])[0] >= 1


class Queue:
    """Stands for a listening socket whose accept() gives what the kernel may give."""

    def __init__(self, *results: object) -> None:
        self._results = list(results)

    def accept(self) -> tuple[object, None]:
        result = self._results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result, None


@pytest.mark.parametrize("last", [BlockingIOError(), OSError(24, "Too many open files")])
def test_the_queue_is_emptied_until_it_gives_no_more(last: OSError) -> None:
    queue = Queue("a", ConnectionAbortedError(), "b", last, "never asked for")
    assert accepted(queue) == ["a", "b"]  # type: ignore[arg-type, comparison-overlap]


def test_the_backlog_is_what_the_kernel_allows_by_default() -> None:
    assert sockets.BACKLOG == BACKLOG == 4096
