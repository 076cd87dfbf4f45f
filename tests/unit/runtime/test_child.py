"""Proves what the supervisor sees of a process: ready, its frames, its end and the reason for it. Real processes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from proxy.runtime.child import Child
from proxy.runtime.control import Frame

PROGRAM = "tests.unit.runtime.program"
PATIENCE = 30.0  # seconds; a loaded machine is no failure


class Watched:
    """A child and what it said."""

    def __init__(self) -> None:
        self.ready = 0
        self.configs: asyncio.Queue[bytes] = asyncio.Queue()
        self.child: Child

    async def start(self, order: str, descriptors: tuple[int, ...] = (), *, inherits: bool = False) -> Child:
        self.child = await Child.start(PROGRAM, 7, descriptors, self._on_ready, self._on_frame, inherits=inherits)
        self.child.send(Frame.SETTINGS, order.encode())
        return self.child

    def _on_frame(self, kind: Frame, payload: bytes) -> None:
        assert kind is Frame.CONFIG
        self.configs.put_nowait(payload)

    def _on_ready(self) -> None:
        self.ready += 1


def run(scenario: Callable[[Watched], Awaitable[None]]) -> None:
    async def main() -> None:
        watched = Watched()
        async with asyncio.timeout(PATIENCE):
            await scenario(watched)

    asyncio.run(main())


def test_a_child_becomes_ready_serves_and_drains() -> None:
    async def scenario(watched: Watched) -> None:
        child = await watched.start("serve")
        ready = [child.is_ready, await child.become_ready(PATIENCE), child.is_ready]
        assert ready == [False, True, True]
        assert watched.ready == 1
        child.drain(1.0)
        assert await child.end() == ""
        assert not child.is_ready

    run(scenario)


def test_it_gets_its_row_and_its_descriptors(tmp_path: Path) -> None:
    (tmp_path / "three").write_bytes(b"abc")
    number = os.open(tmp_path / "three", os.O_RDONLY)

    async def scenario(watched: Watched) -> None:
        child = await watched.start("serve", (number,))
        assert await watched.configs.get() == b"7 [3]"
        child.drain(0)
        await child.end()

    run(scenario)
    os.close(number)


def test_frames_go_both_ways() -> None:
    async def scenario(watched: Watched) -> None:
        child = await watched.start("serve")
        await watched.configs.get()
        child.offer(Frame.CONFIG, b"learnt")
        assert await watched.configs.get() == b"echo learnt"
        child.drain(0)
        await child.end()

    run(scenario)


def test_settings_are_not_on_the_command_line_nor_in_the_environment() -> None:
    async def scenario(watched: Watched) -> None:
        child = await watched.start("serve s3cret")
        await child.become_ready(PATIENCE)
        for file in ("cmdline", "environ"):
            assert b"s3cret" not in Path(f"/proc/{child.pid}/{file}").read_bytes()
        child.drain(0)
        await child.end()

    run(scenario)


@pytest.mark.parametrize("inherits", [False, True])
def test_it_gets_of_the_environment_what_it_may_have(inherits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("AWS_SECRET_ACCESS_KEY", "S3_SECRET", "REPLAY_JWT_SECRET", "minio_secret_key", "SSLKEYLOGFILE")
    for name in (*secrets, "SSL_CERT_FILE", "TZ", "LC_ALL"):
        monkeypatch.setenv(name, f"of {name}")

    async def scenario(watched: Watched) -> None:
        child = await watched.start("serve", inherits=inherits)
        await child.become_ready(PATIENCE)
        pairs = (each.partition(b"=") for each in Path(f"/proc/{child.pid}/environ").read_bytes().split(b"\0"))
        given = {name.decode(): value.decode() for name, _, value in pairs}
        assert [given.get(name) for name in secrets] == [f"of {name}" if inherits else None for name in secrets]
        assert [given[name] for name in ("SSL_CERT_FILE", "TZ", "LC_ALL")] == ["of SSL_CERT_FILE", "of TZ", "of LC_ALL"]
        assert given["PATH"] == os.environ["PATH"]
        child.drain(0)
        await child.end()

    run(scenario)


def test_a_folder_of_our_name_in_the_working_directory_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proxy").mkdir()
    (tmp_path / "proxy" / "__init__.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)

    async def scenario(watched: Watched) -> None:
        child = await watched.start("serve")
        assert await child.become_ready(PATIENCE)
        child.drain(0)
        assert await child.end() == ""

    run(scenario)


def test_ctrl_c_at_the_terminal_does_not_reach_it() -> None:
    async def scenario(watched: Watched) -> None:
        child = await watched.start("serve")
        await child.become_ready(PATIENCE)
        assert os.getpgid(child.pid) != os.getpgid(0)
        child.drain(0)
        await child.end()

    run(scenario)


def test_the_reason_of_a_failed_start_is_its_own_words() -> None:
    async def scenario(watched: Watched) -> None:
        child = await watched.start("fail no certificate")
        assert not await child.become_ready(PATIENCE)
        assert await child.end() == "no certificate"

    run(scenario)


def test_the_reason_of_a_silent_end_is_its_exit_code() -> None:
    async def scenario(watched: Watched) -> None:
        child = await watched.start("exit 3")
        assert not await child.become_ready(PATIENCE)
        assert await child.end() == "it ended with exit code 3"

    run(scenario)


def test_the_reason_of_a_kill_is_the_signal() -> None:
    async def scenario(watched: Watched) -> None:
        child = await watched.start("serve")
        await child.become_ready(PATIENCE)
        assert child.kill()
        assert await child.end() == "it was killed by SIGKILL"
        assert not child.is_ready

    run(scenario)


def test_the_reason_of_an_unnamed_signal_is_its_number() -> None:
    async def scenario(watched: Watched) -> None:
        child = await watched.start("serve")
        await child.become_ready(PATIENCE)
        os.kill(child.pid, signal.SIGRTMIN + 3)
        assert await child.end() == f"it was killed by signal {signal.SIGRTMIN + 3}"

    run(scenario)


def test_one_that_is_never_ready_is_not_waited_for_forever() -> None:
    async def scenario(watched: Watched) -> None:
        child = await watched.start("silent")
        assert not await child.become_ready(0.05)
        assert child.kill()
        await child.end()

    run(scenario)


def test_orders_to_a_dead_child_are_harmless() -> None:
    async def scenario(watched: Watched) -> None:
        child = await watched.start("exit 0")
        assert await child.end() == ""
        child.drain(0)
        child.offer(Frame.CONFIG, b"x")
        assert not child.kill()

    run(scenario)


def test_no_room_for_another_process_is_an_os_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "gone"))

    async def scenario(watched: Watched) -> None:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match="No such file"):
            await watched.start("serve")
        assert len(os.listdir("/proc/self/fd")) == before

    run(scenario)
