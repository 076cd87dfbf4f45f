"""Proves that a traceback says where and why, as Python's own does, and quotes no value."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from proxy.observe.tracebacks import trace

SECRET = "s3cr3t"
EMPTY: dict[str, str] = {}


def raised(act: Callable[[], object]) -> BaseException:
    try:
        act()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def chained() -> None:
    try:
        int(SECRET)
    except ValueError as error:
        raise RuntimeError("not a number") from error


def in_passing() -> None:
    try:
        EMPTY[SECRET]
    except KeyError:
        raise OSError(2, "No such file", "/spool") from None


def while_handling() -> None:
    try:
        raise TypeError("bytes wanted")
    except TypeError:
        b"\xff".decode()


@pytest.mark.parametrize(
    "act",
    [
        lambda: 1 / 0,
        lambda: in_passing(),
        lambda: open("/nowhere/at/all"),  # noqa: SIM115
        lambda: len(1),  # type: ignore[arg-type]
    ],
)
def test_an_error_that_quotes_nothing_is_told_as_python_does(act: Callable[[], object]) -> None:
    error = raised(act)
    assert trace(error) == "".join(traceback.format_exception(error)).rstrip("\n")


@pytest.mark.parametrize(
    "act",
    [
        lambda: int(SECRET),
        lambda: EMPTY[SECRET],
        lambda: float(SECRET.encode()),
        lambda: (SECRET + "\ud800").encode(),
        lambda: chained(),
        lambda: [].index(SECRET),  # type: ignore[arg-type]
    ],
)
def test_a_value_that_was_met_is_not_quoted(act: Callable[[], object]) -> None:
    text = trace(raised(act))
    assert SECRET not in text
    assert "test_tracebacks.py" in text
    assert "(left out, it may quote what was received)" in text


def test_what_led_to_an_error_comes_first() -> None:
    text = trace(raised(chained))
    assert text.index("ValueError: (left out") < text.index("direct cause") < text.index("RuntimeError: not a number")
    text = trace(raised(while_handling))
    assert text.index("TypeError: bytes wanted") < text.index("During handling") < text.index("UnicodeDecodeError")


def test_errors_that_name_each_other_come_to_an_end() -> None:
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one
    assert trace(one).count("RuntimeError: ") == 2


def test_each_error_of_a_group_is_told() -> None:
    text = trace(ExceptionGroup("two at once", [OSError("disk"), ValueError(SECRET)]))
    assert "ExceptionGroup: two at once (2 sub-exceptions)" in text
    assert "OSError: disk" in text
    assert "ValueError: (left out" in text
    assert SECRET not in text


def test_an_error_without_a_text_is_its_name() -> None:
    assert trace(ValueError()) == "ValueError"
    assert trace(TimeoutError()) == "TimeoutError"
