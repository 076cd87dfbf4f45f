"""`replay-gateway archive setup`: the buckets made as they must be, or the documents for who does it by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click

from proxy.archive.bucket_documents import BucketNames, Document, Retention, printed
from proxy.archive.buckets import StepResult, setup
from proxy.archive.open_store import s3_options
from proxy.archive.s3_client import S3Options
from proxy.cli.archiving.opening import with_archive
from proxy.cli.exit_codes import CONFIGURATION, FAILURE, FINE
from proxy.settings import S3, Archive, Settings

NO_BUCKETS: Final = "the archive is in a folder, which needs no setting up; this is for archive.s3"
_COLOURS: Final = {"done": "green", "already": "green", "unsupported": "yellow", "denied": "red", "failed": "red"}


def set_up_buckets(config: Path | None, retention_days: int, as_json: bool) -> int:
    """Does each step, and prints what became of it. Returns the exit code: 0 when all is as it must be, as far as
    the server can."""

    def act(settings: Settings, archive: Archive) -> int:
        options = s3_options(archive)
        if options is None or archive.s3 is None:
            return _not_for_folders()
        results = setup(options, bucket_names(archive.s3), retention_days)
        _show_results(results, as_json)
        return FINE if all(each.is_enough for each in results) else FAILURE

    return with_archive(config, act)


def print_documents(config: Path | None, retention_days: int, as_json: bool) -> int:
    """Prints the documents and where they go. Returns the exit code."""

    def act(settings: Settings, archive: Archive) -> int:
        options = s3_options(archive)
        if options is None or archive.s3 is None:
            return _not_for_folders()
        _show_documents(_documents(options, archive.s3, retention_days), as_json)
        return FINE

    return with_archive(config, act)


def bucket_names(s3: S3) -> BucketNames:
    """The buckets that the settings name."""
    return BucketNames(s3.recordingsBucket, s3.assetsBucket, s3.sourcemapsBucket)


def _not_for_folders() -> int:
    click.echo(NO_BUCKETS, err=True)
    return CONFIGURATION


def _documents(options: S3Options, s3: S3, retention_days: int) -> list[Document]:
    retention = Retention(retention_days, options.folder, options.tags)
    return printed(bucket_names(s3), options.region, retention)


def _show_results(results: list[StepResult], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([each._asdict() for each in results], indent=2, ensure_ascii=False))
        return
    for each in results:
        state = click.style(f"{each.state:<11}", fg=_COLOURS[each.state])
        click.echo(f"{state}  {each.bucket}, {each.step}: {each.text}")


def _show_documents(documents: list[Document], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([each._asdict() for each in documents], indent=2, ensure_ascii=False))
        return
    for number, each in enumerate(documents):
        of = f"bucket {each.bucket}, " if each.bucket else ""
        if number:
            click.echo()
        click.echo(f"# {of}{each.title}\n# {each.where}\n{each.text()}")
