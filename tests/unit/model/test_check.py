"""Proves that a check which breaks is told as such and takes no other with it."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.model.check import Check, never_raising


def test_what_was_found_before_it_broke_is_kept() -> None:
    def breaks() -> Iterator[Check]:
        yield Check("one", "ok", "fine")
        raise RuntimeError("out of order")

    first, second = never_raising("two", breaks)
    assert first == Check("one", "ok", "fine")
    assert (second.name, second.state) == ("two", "unknown")
    assert "RuntimeError: out of order" in second.what


def test_checks_that_do_not_break_are_handed_on() -> None:
    checks = [Check("one", "ok", "fine"), Check("two", "fail", "broken", "mend it")]
    assert list(never_raising("all", lambda: checks)) == checks
