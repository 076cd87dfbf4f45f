"""`python -m proxy.standin`: argv to one call. Must not know how anything is done."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from proxy.standin.behaviour import SEED
from proxy.standin.certificates import CERTIFICATES, CertificateError
from proxy.standin.records import RECORDS
from proxy.standin.server import DEFAULT_PLAIN, DEFAULT_TLS, Options, Place, serve

try:
    import uvloop
except ImportError:  # slower, otherwise the same
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop


def address(text: str) -> tuple[str, int]:
    """`host:port`, IPv6 in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def plain_place(text: str) -> Place:
    """`NAME=HOST:PORT`."""
    name, equals, where = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=HOST:PORT")
    return Place(name, *address(where))


def tls_place(text: str) -> Place:
    """`NAME=HOST:PORT[,certificate=NAME]`."""
    where, comma, option = text.partition(",")
    key, _, certificate = option.partition("=") if comma else ("certificate", "", "server")
    if key != "certificate" or not certificate:
        raise argparse.ArgumentTypeError(f"{option!r} is not certificate={'|'.join(CERTIFICATES)}")
    place = plain_place(where)
    return Place(place.name, place.host, place.port, certificate)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m proxy.standin", description="a stand-in vendor that misbehaves on command"
    )
    made.add_argument(
        "--listen", type=plain_place, action="append", metavar="NAME=HOST:PORT", help="a plain site; replaces us and eu"
    )
    made.add_argument(
        "--tls",
        type=tls_place,
        action="append",
        metavar="NAME=HOST:PORT[,certificate=…]",
        help="a TLS site; replaces us-tls and eu-tls",
    )
    made.add_argument("--no-tls", action="store_true", help="no TLS site at all, and no certificates")
    made.add_argument("--control", type=address, default=("127.0.0.1", 0), metavar="HOST:PORT", help="the control API")
    made.add_argument("--tls-dir", type=Path, metavar="DIR", help="use the certificates there, or make them")
    made.add_argument("--records", type=int, default=RECORDS, help="how many requests to remember (%(default)s)")
    made.add_argument("--seed", type=int, default=SEED, help="of the chances in rules")
    made.add_argument("--no-check", action="store_true", help="don't verify gzip bodies (for benchmarks)")
    made.add_argument("--quiet", action="store_true", help="no line per request on stderr")
    made.add_argument("--until-stdin-closes", action="store_true", help="end when stdin does")
    return made


def main() -> int:
    """Returns the exit code: 0 fine, 1 could not start, 2 wrong usage."""
    arguments = parser().parse_args()
    tls = () if arguments.no_tls else tuple(arguments.tls or DEFAULT_TLS)
    options = Options(
        places=tuple(arguments.listen or DEFAULT_PLAIN) + tls,
        control_host=arguments.control[0],
        control_port=arguments.control[1],
        tls_dir=arguments.tls_dir,
        records=arguments.records,
        seed=arguments.seed,
        check=not arguments.no_check,
        quiet=arguments.quiet,
        until_stdin_closes=arguments.until_stdin_closes,
    )
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(serve(options))
    except (OSError, CertificateError) as error:
        sys.stderr.write(f"standin: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
