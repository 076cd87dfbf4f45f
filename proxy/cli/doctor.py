"""`replay-gateway doctor`: the gateway looked over from inside, or any proxy from outside, and what to do."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import click

from proxy.cli import report
from proxy.cli.checks import show_checks
from proxy.cli.exit_codes import CONFIGURATION
from proxy.doctor.asking import Patience
from proxy.doctor.browser import INVENTED_KEY, ORIGIN, Sdk
from proxy.doctor.listeners import check_listeners
from proxy.doctor.machine import check_machine
from proxy.doctor.outside import Outing, check_outside
from proxy.doctor.upstreams import check_upstreams
from proxy.model.check import Check, never_raising
from proxy.settings import Settings, read
from proxy.settings.upstreams import split_url
from proxy.upstream.tls import client_context


class Proxy(NamedTuple):
    """What the command line says of a proxy that is to be looked at from outside."""

    url: str
    config_url: str | None
    origin: str | None
    api_key: str | None
    ca_file: Path | None
    standin: str | None


def examine_inside(config: Path | None, as_json: bool) -> int:
    """Prints each check. Returns the exit code: 0 without a failed one."""
    settings = read(config)
    if not isinstance(settings, Settings):
        report.show_problems(str(config), settings)
        return CONFIGURATION
    checks = chain(check_upstreams(settings), check_listeners(settings), check_machine(settings), _archive(settings))
    return show_checks(checks, as_json)


def _archive(settings: Settings) -> Iterator[Check]:
    if settings.archive is not None:
        from proxy.cli.archiving.doctor import checks_of  # here: it reaches for the archive's libraries

        yield from never_raising("archive", partial(checks_of, settings.archive, 0))


def examine_outside(config: Path | None, asked: Proxy, as_json: bool, patience: Patience | None = None) -> int:
    """The same for a proxy somewhere. Nothing is recorded in a real project unless a key of one is given."""
    settings = read(config)
    if not isinstance(settings, Settings):
        report.show_problems(str(config), settings)
        return CONFIGURATION
    problem = _problem(asked)
    if problem:
        click.echo(problem, err=True)
        return CONFIGURATION
    sdk = Sdk(
        asked.url,
        asked.config_url or config_url(asked.url, settings),
        asked.origin or page_origin(settings),
        asked.api_key or INVENTED_KEY,
    )
    ca_file = str(asked.ca_file) if asked.ca_file else None
    return show_checks(check_outside(Outing(sdk, patience or Patience(), ca_file, asked.standin or "")), as_json)


def config_url(url: str, settings: Settings) -> str:
    """Where the configuration is, by the address of uploads: by the settings' paths, on the same server."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{settings.paths.config[0]}"


def page_origin(settings: Settings) -> str:
    """The first origin that the settings allow by its name; a made-up one where all are allowed."""
    return next((origin for origin in settings.cors.allow_origins if "*" not in origin), ORIGIN)


def _problem(asked: Proxy) -> str:
    """What is wrong with the command line, "" if nothing is."""
    example = "https://replay.example.com/sessions/v2/track"
    for option, url in (("--url", asked.url), ("--config-url", asked.config_url), ("--standin", asked.standin)):
        if url is not None and split_url(url) is None:
            return f"{option}: {url!r} is no http or https address without user, query and fragment, such as {example}"
    if "/" in (asked.api_key or "") or not (asked.api_key or "-").isascii():
        return "--api-key: expected a key as the SDK is given it, without slashes"
    if asked.origin is not None and not _is_origin(asked.origin):
        return f"--origin: {asked.origin!r} is not what browsers send, such as https://app.example.com"
    try:
        client_context(str(asked.ca_file) if asked.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        return f"--ca-file: {asked.ca_file} can't be used ({error}); it must be PEM"
    return ""


def _is_origin(text: str) -> bool:
    parts = split_url(text)
    return parts is not None and not parts.path and not text.endswith("/")
