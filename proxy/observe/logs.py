"""Log lines: set-up of the standard library's logging, and the access log.

One JSON object per line, or text on a terminal. Must not know how lines are written (`observe.lines`) nor what an
access line holds (`observe.access`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType

import orjson

from proxy.model.record import Record
from proxy.observe.access import is_error, json_line, text_line
from proxy.observe.lines import LineWriter
from proxy.observe.text import Stamps, printable
from proxy.observe.tracebacks import trace
from proxy.settings.schema import Log

STANDARD_ERROR = 2
OURS = "proxy"  # the loggers of this package are below it
REPEAT_SECONDS = 10.0  # an identical warning is written once in this time, then with the number of those left out
REPEAT_ENTRIES = 256  # different warnings remembered; when full, the one remembered longest is forgotten


class JsonFormatter(logging.Formatter):
    """One JSON object; a traceback is one of its strings. `process` says who speaks."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process
        self._stamps = Stamps()

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self._stamps.text(record.created),
            "level": record.levelname.lower(),
            "event": "log",
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        error = record.exc_info and record.exc_info[1]
        if error:
            line["error"] = trace(error)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """For a person at a terminal; control characters in a message are shown, not obeyed."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = f"{clock} {record.levelname.lower():7} {self._process}: {printable(record.getMessage())}"
        error = record.exc_info and record.exc_info[1]
        return f"{text}\n{trace(error)}" if error else text


class RepeatFilter(logging.Filter):
    """Lets an identical warning or error through once in REPEAT_SECONDS, by the records' own times."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        key = (record.name, record.getMessage())
        since, left_out = self._seen.get(key, (-REPEAT_SECONDS, 0))
        if record.created - since < REPEAT_SECONDS:
            self._seen[key] = (since, left_out + 1)
            return False
        self._seen[key] = (record.created, 0)
        self._seen.move_to_end(key)
        if len(self._seen) > REPEAT_ENTRIES:
            self._seen.popitem(last=False)
        if left_out:
            record.msg, record.args = f"{key[1]} (and {left_out} more like it)", ()
        return True


class LineHandler(logging.Handler):
    """The way from logging to the line writer; errors don't wait for the batch."""

    def __init__(self, lines: LineWriter) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode(errors="backslashreplace") + b"\n"
            self._lines.put_from_any_thread(line, at_once=record.levelno >= logging.ERROR)
        except Exception:
            self.handleError(record)


class Output:
    """Where a process's lines go, and how they look."""

    __slots__ = ("is_json", "lines", "wall")

    def __init__(self, lines: LineWriter, wall: Callable[[], float], *, is_json: bool) -> None:
        self.lines = lines
        self.wall = wall
        self.is_json = is_json


_output: Output | None = None  # the process has one standard error, as it has one root logger


def configure(log: Log, process: str, wall: Callable[[], float], on_drop: Callable[[int], None]) -> Output:
    """Send everything that is logged in this process to standard error, as `log` says, errors that nobody caught
    included; `process` is its name in the lines. May be called again: the last call counts.

    Below a warning only the gateway's own loggers speak: some libraries' write down what they sign and send."""
    global _output
    is_json = log.format == "json" or (log.format == "auto" and not os.isatty(STANDARD_ERROR))
    _output = Output(LineWriter(STANDARD_ERROR, on_drop), wall, is_json=is_json)
    handler = LineHandler(_output.lines)
    handler.setFormatter(JsonFormatter(process) if is_json else TextFormatter(process))
    handler.addFilter(RepeatFilter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = logging.getLevelNamesMapping()[log.level.upper()]
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger(OURS).setLevel(level)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    return _output


def _uncaught(kind: type[BaseException], error: BaseException, frames: TracebackType | None) -> None:
    if issubclass(kind, Exception):
        logging.getLogger(OURS).critical("nobody caught this error", exc_info=error)
    else:
        sys.__excepthook__(kind, error, frames)


def _uncaught_in_thread(lost: threading.ExceptHookArgs) -> None:
    if lost.exc_value is not None:
        _uncaught(lost.exc_type, lost.exc_value, lost.exc_traceback)


class AccessLog:
    """One line per finished request: for all, for those that went wrong, for these and one in so many of the others, or
    for none.

    `output` is the process's (see `configure`) unless given; without either, nothing is written.
    """

    __slots__ = ("_output", "_sample", "_stamps", "_unsampled", "record")

    def __init__(
        self, access: str, loop: asyncio.AbstractEventLoop, output: Output | None = None, sample: int = 1
    ) -> None:
        self._output = output or _output
        self._sample = sample
        self._unsampled = 0  # since the last one that was written
        self._stamps = Stamps()
        self.record: Callable[[Record], None] = _ignore
        if self._output is not None and access != "off":
            self._output.lines.attach(loop)
            ways = {"all": self._write, "sampled": self._write_sampled, "errors": self._write_errors}
            self.record = ways[access]

    def close(self) -> None:
        """Write what waits; lines that come later are written one by one."""
        if self._output is not None:
            self._output.lines.close()

    def _write_errors(self, record: Record) -> None:
        if is_error(record):
            self._write(record)

    def _write_sampled(self, record: Record) -> None:
        self._unsampled += 1
        if self._unsampled >= self._sample:
            self._unsampled = 0
            self._write(record)
        elif is_error(record):
            self._write(record)

    def _write(self, record: Record) -> None:
        output = self._output
        assert output is not None
        encode = json_line if output.is_json else text_line
        output.lines.put(encode(record, self._stamps.text(output.wall())))


def _ignore(record: Record) -> None:
    pass


def flush() -> None:
    """Write what waits in this process: the last thing before it ends."""
    if _output is not None:
        _output.lines.close()
