"""Proves that frames arrive whole, in order and unaltered however the stream is cut, that nonsense ends the channel
instead of filling memory, and that the end of the other process is noticed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.runtime import control
from proxy.runtime.control import FRAME_BYTES, HEADER_BYTES, Channel, Decoder, Frame, FrameError, encoded

frames = st.tuples(st.sampled_from(Frame), st.binary(max_size=300))


def test_the_layout_of_a_frame() -> None:
    assert encoded(Frame.CONFIG, b"abc") == b"\0\0\0\x04\x05abc"
    assert len(encoded(Frame.READY)) == HEADER_BYTES


@given(st.lists(frames, max_size=20), st.lists(st.integers(1, 200), max_size=100))
def test_frames_survive_any_cutting(sent: list[tuple[Frame, bytes]], cuts: list[int]) -> None:
    stream = b"".join(encoded(kind, payload) for kind, payload in sent)
    decoder, got, at = Decoder(), [], 0
    for cut in [*cuts, len(stream)]:
        got += decoder.feed(stream[at : at + cut])
        at += cut
    assert got == sent


def test_an_incomplete_frame_is_not_delivered() -> None:
    decoder = Decoder()
    assert decoder.feed(encoded(Frame.SETTINGS, b"secret")[:-1]) == []
    assert decoder.feed(b"t") == [(Frame.SETTINGS, b"secret")]


@pytest.mark.parametrize("stream", [b"\0\0\0\x01\0", b"\0\0\0\x01\x09", b"\0\0\0\0\x01"])
def test_an_unknown_kind_or_an_impossible_length_is_refused(stream: bytes) -> None:
    with pytest.raises(FrameError):
        Decoder().feed(stream)


def test_an_excessive_length_is_refused_before_its_bytes_arrive() -> None:
    with pytest.raises(FrameError, match="the limit is"):
        Decoder().feed((FRAME_BYTES + 2).to_bytes(4, "big") + b"\x05")


def test_an_excessive_payload_is_not_sent() -> None:
    with pytest.raises(FrameError, match="exceeds the limit"):
        encoded(Frame.CONFIG, bytes(FRAME_BYTES + 1))


@given(st.binary(max_size=400))
def test_garbage_gives_frames_or_a_frame_error_and_nothing_else(garbage: bytes) -> None:
    try:
        for kind, payload in Decoder().feed(garbage):
            assert isinstance(kind, Frame)
            assert len(payload) <= len(garbage)
    except FrameError:
        pass


class End:
    """A channel that remembers what came, and can be waited on."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[tuple[Frame, bytes]] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.ends = 0

    def on_frame(self, kind: Frame, payload: bytes) -> None:
        self.frames.put_nowait((kind, payload))

    def on_end(self) -> None:
        self.ends += 1
        self.ended.set()


def with_a_pair(scenario: Callable[[Channel, End, socket.socket], Awaitable[None]]) -> None:
    """Run a scenario with an open channel and the raw socket at its other end."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        end = End()
        channel = await Channel.open(ours, end.on_frame, end.on_end)
        with theirs:
            async with asyncio.timeout(10):
                await scenario(channel, end, theirs)
            channel.close()
            await asyncio.sleep(0)

    asyncio.run(main())


def test_two_channels_speak_to_each_other() -> None:
    async def scenario(channel: Channel, end: End, other: socket.socket) -> None:
        far = End()
        answering = await Channel.open(other.dup(), far.on_frame, far.on_end)
        channel.send(Frame.SETTINGS, b"{}")
        assert await far.frames.get() == (Frame.SETTINGS, b"{}")
        answering.send(Frame.READY)
        assert answering.offer(Frame.CONFIG, bytes(1_000_000))
        assert await end.frames.get() == (Frame.READY, b"")
        assert await end.frames.get() == (Frame.CONFIG, bytes(1_000_000))
        answering.close()

    with_a_pair(scenario)


def test_the_end_of_the_other_process_is_told_once_and_sending_goes_nowhere() -> None:
    async def scenario(channel: Channel, end: End, other: socket.socket) -> None:
        other.close()
        await end.ended.wait()
        channel.send(Frame.READY)
        assert not channel.offer(Frame.CONFIG, b"x")
        channel.close()
        await asyncio.sleep(0)
        assert end.ends == 1

    with_a_pair(scenario)


def test_what_was_said_before_the_end_is_heard() -> None:
    async def scenario(channel: Channel, end: End, other: socket.socket) -> None:
        other.sendall(encoded(Frame.FAILED, b"no certificate"))
        other.close()
        await end.ended.wait()
        assert end.frames.get_nowait() == (Frame.FAILED, b"no certificate")

    with_a_pair(scenario)


def test_nonsense_from_the_other_end_closes_the_channel() -> None:
    async def scenario(channel: Channel, end: End, other: socket.socket) -> None:
        other.sendall(b"GET / HTTP/1.1\r\n\r\n")
        await end.ended.wait()
        assert end.frames.empty()

    with_a_pair(scenario)


def test_an_end_that_does_not_read_costs_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "BACKLOG_BYTES", 100_000)

    async def scenario(channel: Channel, end: End, other: socket.socket) -> None:
        taken = 0
        while channel.offer(Frame.CONFIG, bytes(50_000)):
            taken += 1
            assert taken < 1000
        assert channel._transport is not None
        assert channel._transport.get_write_buffer_size() < 100_000 + 60_000
        channel._transport.abort()

    with_a_pair(scenario)


def test_an_offer_too_large_for_a_frame_is_declined() -> None:
    async def scenario(channel: Channel, end: End, other: socket.socket) -> None:
        assert not channel.offer(Frame.CONFIG, bytes(FRAME_BYTES + 1))

    with_a_pair(scenario)
