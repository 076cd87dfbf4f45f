"""Proves that log lines are JSON or readable text as set, that a storm of warnings becomes a few lines, that the access
log writes what was asked for, and that logging can't fail a request."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from proxy.model.failure import FailureKind
from proxy.model.record import Outcome
from proxy.observe.lines import LineWriter
from proxy.observe.logs import (
    REPEAT_ENTRIES,
    REPEAT_SECONDS,
    AccessLog,
    JsonFormatter,
    LineHandler,
    Output,
    RepeatFilter,
    TextFormatter,
)
from tests.unit.observe.records import record

FAILED = {"outcome": Outcome.FAILED, "failure": FailureKind.TLS, "status": 502}


def logged(
    message: str, *args: object, level: int = logging.WARNING, at: float = 1_700_000_000.25
) -> logging.LogRecord:
    made = logging.LogRecord("proxy.test", level, __file__, 1, message, args, None)
    made.created = at
    return made


def with_traceback(message: str) -> logging.LogRecord:
    try:
        raise RuntimeError("no good")
    except RuntimeError:
        return logging.LogRecord("proxy.test", logging.ERROR, __file__, 1, message, (), sys.exc_info())


class Sink:
    """An output to a pipe, and the lines that came through it."""

    def __init__(self, *, is_json: bool = True) -> None:
        self.reader, self.number = os.pipe()
        self.output = Output(LineWriter(self.number, lambda lost: None), lambda: 1_700_000_000.25, is_json=is_json)

    def text(self) -> str:
        self.output.lines.close()
        os.set_blocking(self.reader, False)
        try:
            return os.read(self.reader, 1 << 16).decode()
        except BlockingIOError:
            return ""

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.number)


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def test_a_json_line() -> None:
    line = JsonFormatter("worker 1").format(logged("%s is down", "us"))
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "event": "log",
        "process": "worker 1",
        "logger": "proxy.test",
        "message": "us is down",
    }


def test_a_traceback_stays_on_the_line_of_its_json() -> None:
    line = JsonFormatter("worker 1").format(with_traceback("broken"))
    assert "\n" not in line
    assert "RuntimeError: no good" in json.loads(line)["error"]


def test_a_text_line() -> None:
    text = TextFormatter("worker 1").format(logged("%s is down", "us"))
    assert text.endswith(" warning worker 1: us is down")


def test_a_traceback_follows_a_text_line() -> None:
    text = TextFormatter("worker 1").format(with_traceback("broken"))
    assert "worker 1: broken\nTraceback" in text


def test_a_message_cannot_forge_a_text_line() -> None:
    text = TextFormatter("worker 1").format(logged("header %s", "x\n00:00:00 info all is well"))
    assert len(text.splitlines()) == 1


def test_a_repeated_warning_is_written_once_and_then_counted() -> None:
    repeats = RepeatFilter()
    passed = [repeats.filter(logged("%s is down", "us", at=100.0 + second / 100)) for second in range(50)]
    assert passed == [True] + [False] * 49
    again = logged("%s is down", "us", at=100.0 + REPEAT_SECONDS)
    assert repeats.filter(again)
    assert again.getMessage() == "us is down (and 49 more like it)"


def test_after_a_pause_it_starts_anew() -> None:
    repeats = RepeatFilter()
    repeats.filter(logged("down", at=100.0))
    later = logged("down", at=100.0 + REPEAT_SECONDS)
    assert repeats.filter(later)
    assert later.getMessage() == "down"


def test_different_warnings_do_not_hide_each_other() -> None:
    repeats = RepeatFilter()
    assert all(repeats.filter(logged("%s is down", region)) for region in ("us", "eu"))


def test_information_is_never_held_back() -> None:
    repeats = RepeatFilter()
    assert all(repeats.filter(logged("started", level=logging.INFO)) for _ in range(3))


def test_a_storm_of_different_warnings_costs_bounded_memory() -> None:
    repeats = RepeatFilter()
    assert all(repeats.filter(logged("header %d", number)) for number in range(10 * REPEAT_ENTRIES))
    assert len(repeats._seen) == REPEAT_ENTRIES


def test_an_error_is_written_at_once_and_a_warning_with_the_next_batch(sink: Sink) -> None:
    handler = LineHandler(sink.output.lines)
    handler.setFormatter(JsonFormatter("worker 1"))

    async def main() -> bytes:
        sink.output.lines.attach(asyncio.get_running_loop())
        os.set_blocking(sink.reader, False)
        handler.emit(logged("a warning"))
        with pytest.raises(BlockingIOError):
            os.read(sink.reader, 1000)
        handler.emit(logged("an error", level=logging.ERROR))
        return os.read(sink.reader, 1000)

    assert [json.loads(line)["message"] for line in asyncio.run(main()).splitlines()] == ["a warning", "an error"]


def test_a_message_that_cannot_be_formatted_does_not_raise(sink: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    handler = LineHandler(sink.output.lines)
    handler.setFormatter(JsonFormatter("worker 1"))
    handler.emit(logged("%d", "not a number"))
    assert sink.text() == ""
    assert "not a number" in capsys.readouterr().err


def in_a_loop(action: Callable[[asyncio.AbstractEventLoop], None]) -> None:
    async def main() -> None:
        action(asyncio.get_running_loop())

    asyncio.run(main())


@pytest.mark.parametrize(("access", "statuses"), [("all", [200, 502]), ("errors", [502]), ("off", [])])
def test_the_access_log_writes_what_was_asked_for(sink: Sink, access: str, statuses: list[int]) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> None:
        log = AccessLog(access, loop, sink.output)
        log.record(record())
        log.record(record(**FAILED))
        log.close()

    in_a_loop(scenario)
    assert [line["status"] for line in sink.lines()] == statuses


def test_a_sample_has_every_error_and_one_in_so_many_of_all(sink: Sink) -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> None:
        log = AccessLog("sampled", loop, sink.output, sample=3)
        for outcome in ({}, {}, {}, FAILED, {}, FAILED, {}, {}):
            log.record(record(**outcome))
        log.close()

    in_a_loop(scenario)
    assert [line["status"] for line in sink.lines()] == [200, 502, 502]


def test_the_access_log_writes_text_for_people() -> None:
    sink = Sink(is_json=False)

    def scenario(loop: asyncio.AbstractEventLoop) -> None:
        log = AccessLog("all", loop, sink.output)
        log.record(record())
        log.close()

    in_a_loop(scenario)
    assert sink.text().startswith("22:13:20 info    POST track 200 delivered 123.0 ms")
    sink.close()


def test_without_an_output_the_access_log_is_silent() -> None:
    def scenario(loop: asyncio.AbstractEventLoop) -> None:
        log = AccessLog("all", loop)
        log.record(record())
        log.close()

    in_a_loop(scenario)


def run(log: str, program: str) -> subprocess.CompletedProcess[str]:
    """`program` in a process of its own whose logging is set up by `log`; its standard error is a pipe."""
    begin = (
        "import logging; from proxy.observe import logs; from proxy.settings.schema import Log\n"
        f"logs.configure(Log.model_validate({log}), 'tester', lambda: 0.0, lambda lost: None)\n"
    )
    return subprocess.run([sys.executable, "-c", begin + program], capture_output=True, text=True, check=True)


def test_auto_is_json_when_standard_error_is_no_terminal() -> None:
    ended = run("{}", "logging.getLogger('proxy.x').info('hello')")
    assert ended.stdout == ""
    line = json.loads(ended.stderr)
    assert (line["process"], line["logger"], line["message"]) == ("tester", "proxy.x", "hello")


def test_text_can_be_asked_for() -> None:
    ended = run("{'format': 'text'}", "logging.getLogger('proxy.x').info('hello')")
    assert ended.stderr.endswith(" info    tester: hello\n")


def test_the_level_is_respected() -> None:
    ended = run("{'level': 'error'}", "log = logging.getLogger('x'); log.warning('quiet'); log.error('loud')")
    assert [json.loads(line)["message"] for line in ended.stderr.splitlines()] == ["loud"]


def test_libraries_log_the_same_way() -> None:
    ended = run("{}", "logging.getLogger('asyncio').error('lost'); logging.getLogger('aiohttp.server').error('too')")
    assert [json.loads(line)["logger"] for line in ended.stderr.splitlines()] == ["asyncio", "aiohttp.server"]


@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_what_libraries_say_below_a_warning_is_not_written(level: str) -> None:
    """botocore's own lines at this level are signatures and the names of credentials."""
    program = (
        "for name in ('botocore.auth', 'urllib3.connectionpool', 'aiohttp.access', 'asyncio'):\n"
        "    log = logging.getLogger(name); log.debug('secret'); log.info('secret'); log.warning('told')\n"
        "logging.getLogger('proxy.x').debug('ours')"
    )
    ended = run(f"{{'level': '{level}'}}", program)
    lines = [json.loads(line)["message"] for line in ended.stderr.splitlines()]
    assert lines == ["told"] * 4 + ["ours"] * (level == "debug")


@pytest.mark.parametrize(
    "program",
    [
        "int('s3cr3t')",
        "{}['s3cr3t']",
        "from threading import Thread\none = Thread(target=int, args=['s3cr3t']); one.start(); one.join(); 1 / 0",
    ],
)
def test_an_error_that_nobody_caught_is_a_line_too_and_quotes_nothing(program: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as ended:
        run("{'format': 'json'}", f"# s3c\n{program}")
    lines = [json.loads(line) for line in ended.value.stderr.splitlines()]
    assert {(line["level"], line["message"]) for line in lines} == {("critical", "nobody caught this error")}
    assert "Error" in lines[0]["error"]
    assert "s3cr3t" not in ended.value.stderr


def test_a_second_configuration_replaces_the_first() -> None:
    again = "logs.configure(Log(), 'again', lambda: 0.0, lambda lost: None); logging.getLogger('proxy').info('hello')"
    ended = run("{}", again)
    assert [json.loads(line)["process"] for line in ended.stderr.splitlines()] == ["again"]


def test_flush_writes_the_last_lines_of_a_process() -> None:
    program = (
        "import asyncio; from proxy.observe.logs import AccessLog; from tests.unit.observe.records import record\n"
        "async def main():\n"
        "    AccessLog('all', asyncio.get_running_loop()).record(record())\n"
        "asyncio.run(main()); logs.flush()"
    )
    assert json.loads(run("{}", program).stderr)["event"] == "request"
