"""Proves that sockets are taken from whoever started this process and from nobody else, that each is kept once and by a
name of its own, and that a manager which does not listen stops nothing."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.runtime import service_manager
from proxy.runtime.service_manager import Kept, ServiceManager

# A process that was passed descriptors 3 to 5: a listening socket, a pipe, a second socket.
PASSED = """
import os, socket, sys
one, two = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
numbers = [each.fileno() for each in (one, two)]
high = [os.dup2(number, 100 + number) for number in numbers]
os.dup2(high[0], 3), os.dup2(os.pipe()[0], 4), os.dup2(high[1], 5)
from proxy.runtime.service_manager import ServiceManager
names = sys.argv[2] if len(sys.argv) > 2 else "a:b:c"
process = str(os.getpid()) if sys.argv[1] == "me" else sys.argv[1]
environ = {"LISTEN_PID": process, "LISTEN_FDS": "3", "LISTEN_FDNAMES": names}
manager = ServiceManager(environ)
print([(each.name, each.listening.fileno(), each.listening.get_inheritable()) for each in manager.kept], environ)
"""


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    """What a manager listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearing:
        hearing.bind(str(tmp_path / "notify"))
        hearing.settimeout(20.0)
        yield hearing


def speaking_to(heard: socket.socket) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": heard.getsockname()})


def message(heard: socket.socket) -> tuple[list[str], list[int]]:
    data, descriptors, _, _ = socket.recv_fds(heard, 4096, 8)
    return data.decode().split("\n"), descriptors


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def passed(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PASSED, *words], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_sockets_that_were_passed_are_taken_with_their_names_and_nothing_else() -> None:
    assert passed("me") == "[('a', 3, False), ('c', 5, False)] {}"


def test_names_may_be_missing() -> None:
    assert passed("me", "") == "[('', 3, False), ('', 5, False)] {}"


def test_what_was_passed_to_another_process_is_not_taken() -> None:
    assert passed("1") == "[] {}"


def test_without_a_manager_nothing_happens() -> None:
    with listening() as one:
        manager = ServiceManager({})
        manager.tell("READY=1")
        manager.keep([one])
        manager.give_back([])
        assert manager.sockets == []


def test_it_is_told_and_no_child_will_hear_of_it(heard: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": heard.getsockname(), "PATH": "/bin"}
    ServiceManager(environ).tell("READY=1", "STATUS=well")
    assert message(heard) == (["READY=1", "STATUS=well"], [])
    assert environ == {"PATH": "/bin"}


def test_its_address_may_be_of_no_file() -> None:
    name = f"replay-gateway-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearing:
        hearing.bind(f"\0{name}")
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).tell("READY=1")
        assert hearing.recv(100) == b"READY=1"


def test_one_that_does_not_listen_is_told_of_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).tell("READY=1")
    assert "can't tell the service manager READY=1: No such file" in caplog.text


def test_each_socket_is_kept_once_under_a_name_of_its_own(heard: socket.socket) -> None:
    with listening() as old, listening() as one, listening() as other:
        manager = speaking_to(heard)
        manager.kept = [Kept("old", old)]
        manager.keep([old, one, other])
        names = set()
        for each in (one, other):
            lines, (descriptor,) = message(heard)
            with socket.socket(fileno=descriptor) as kept:
                assert kept.getsockname() == each.getsockname()
            assert lines[0] == "FDSTORE=1"
            names.add(lines[1])
        assert len(names) == 2
        heard.setblocking(False)
        with pytest.raises(BlockingIOError):
            heard.recv(1)


def test_what_is_given_back_is_closed_here_and_there(heard: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_manager, "BARRIER_SECONDS", 0.01)
    with listening() as used, listening() as left:
        manager = speaking_to(heard)
        manager.kept = [Kept("used", used), Kept("left", left)]
        manager.give_back([used])
        assert (used.fileno() >= 0, left.fileno()) == (True, -1)
        assert manager.sockets == [used]
        assert message(heard) == (["FDSTOREREMOVE=1", "FDNAME=left"], [])
        lines, (barrier,) = message(heard)
        os.close(barrier)
        assert lines == ["BARRIER=1"]


def test_a_manager_that_is_hung_holds_up_the_start_for_a_while_only(
    heard: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(service_manager, "BARRIER_SECONDS", 0.01)
    manager = speaking_to(heard)
    manager.kept = [Kept("left", listening())]
    with caplog.at_level(logging.WARNING):
        manager.give_back([])
    assert "the service manager does not answer" in caplog.text
