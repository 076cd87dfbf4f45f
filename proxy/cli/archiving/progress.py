"""A line on standard error that says how far a long command is, if that is a terminal. Must not know the command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

import click

from proxy.runtime.clock import monotonic

_EACH: Final = 0.1  # seconds between two of them


class Progress:
    """`is_wanted`: whether the line may be there at all, as it may not where the output goes to the terminal, too."""

    def __init__(self, is_wanted: bool = True) -> None:
        self._is_shown = is_wanted and sys.stderr.isatty()
        self._next = 0.0
        self._is_there = False

    def show(self, text: Callable[[], str]) -> None:
        """Say how far it is, unless that was said just now."""
        if not self._is_shown or monotonic() < self._next:
            return
        self._next = monotonic() + _EACH
        self._is_there = True
        click.echo(f"\r{text()}\x1b[K", err=True, nl=False)

    def clear(self) -> None:
        """Take the line away, so that something else can be written."""
        if self._is_there:
            self._is_there = False
            click.echo("\r\x1b[K", err=True, nl=False)

    def tell(self, text: str, *, err: bool = False) -> None:
        """Write a line that stays."""
        self.clear()
        click.echo(text, err=err)
