"""Options that several commands have. Must stay light: it is loaded for every command's help."""

from __future__ import annotations

from pathlib import Path

import click

CONFIG = click.option(
    "--config", "-c", type=click.Path(path_type=Path), metavar="FILE", help="The configuration; without it, defaults."
)
