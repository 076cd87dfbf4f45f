"""Composes the stand-in: sites, certificates, control API; says where it serves; serves until told to stop.

Must not know how a request is read or answered.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from proxy.standin import certificates
from proxy.standin.behaviour import SEED, Behaviour
from proxy.standin.control import Control
from proxy.standin.listener import Listener
from proxy.standin.records import RECORDS, Log, Record
from proxy.standin.site import Site, Vendor

GC_THRESHOLD = 50_000  # records are many and hold no cycles: looking for some costs more than it finds


@dataclass(frozen=True, slots=True)
class Place:
    """A site to open. `certificate` is empty for plain HTTP."""

    name: str
    host: str
    port: int
    certificate: str = ""


DEFAULT_PLAIN = (Place("us", "127.0.0.1", 0), Place("eu", "127.0.0.1", 0))
DEFAULT_TLS = (Place("us-tls", "127.0.0.1", 0, "server"), Place("eu-tls", "127.0.0.1", 0, "server"))


@dataclass(frozen=True, slots=True)
class Options:
    """All that the command line may say. Without `tls_dir` a temporary one is used."""

    places: tuple[Place, ...] = DEFAULT_PLAIN + DEFAULT_TLS
    control_host: str = "127.0.0.1"
    control_port: int = 0
    tls_dir: Path | None = None
    records: int = RECORDS
    seed: int = SEED
    check: bool = True
    quiet: bool = False
    until_stdin_closes: bool = False


def narrate(record: Record) -> None:
    """One line for people per exchange; the path without its query, which may hold a key."""
    head = record.head
    path = head.target.partition(b"?")[0].decode("latin-1")
    ended = f"{record.status or 'no answer'}" + ("" if record.complete else ", incomplete")
    sys.stderr.write(
        f"{record.peer.site} #{record.seq} {head.method.decode('latin-1')} {path}"
        f" {record.length} bytes: {ended}{''.join('; ' + violation for violation in record.violations)}\n"
    )


def open_sites(options: Options, vendor: Vendor, directory: Path) -> list[tuple[str, Listener]]:
    """Opens all listeners; none accepts yet. Raises OSError and CertificateError."""
    listeners: list[tuple[str, Listener]] = []
    for place in options.places:
        tls = certificates.server_context(directory, place.certificate) if place.certificate else None
        listeners.append((place.name, Listener(Site(place.name, vendor, tls), place.host, place.port)))
    return listeners


async def serve(options: Options) -> None:
    """Serves until SIGTERM or SIGINT, or the end of stdin if asked for."""
    with tempfile.TemporaryDirectory(prefix="standin-") as temporary:
        directory = options.tls_dir or Path(temporary)
        ca = certificates.prepare(directory) if any(place.certificate for place in options.places) else None
        log = Log(tuple(place.name for place in options.places), options.records)
        vendor = Vendor(log, Behaviour(options.seed), options.check, None if options.quiet else narrate)
        listeners = open_sites(options, vendor, directory)
        runner = web.AppRunner(Control(vendor).application(), access_log=None, handle_signals=False)
        await runner.setup()
        control = web.TCPSite(runner, options.control_host, options.control_port)
        await control.start()
        stop = stop_event(options.until_stdin_closes)
        vendor.departures.start()
        for _, listener in listeners:
            listener.start()
        host, port = runner.addresses[0][:2]
        announce({"control": f"http://{host}:{port}"} | {name: one.address for name, one in listeners}, ca)
        settle()
        await stop.wait()
        for _, listener in listeners:
            listener.stop()
        await runner.cleanup()


def announce(places: dict[str, str], ca: Path | None) -> None:
    """The one line on stdout: from now on it serves."""
    extra = {"ca_file": str(ca.absolute())} if ca else {}
    sys.stdout.write(json.dumps({**places, **extra, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()


def settle() -> None:
    """Takes everything made so far out of the garbage collector's sight, and calls it rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)


def stop_event(until_stdin_closes: bool) -> asyncio.Event:
    """Set when the process is to end."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if until_stdin_closes:

        def watch() -> None:
            sys.stdin.buffer.read()
            loop.call_soon_threadsafe(stop.set)

        threading.Thread(target=watch, daemon=True).start()
    return stop
