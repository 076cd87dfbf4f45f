"""The way to a server, step by step and timed: addresses, a connection, TLS with the wanted name and trust.

Bounded by time-outs. Must not know what is spoken over the connection.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from typing import Final, NamedTuple

from proxy.runtime.clock import monotonic, wall

_RESOLVE_SECONDS: Final = 5.0
_DAY: Final = 86400.0
# OpenSSL, x509_vfy.h.
_VERIFY: Final = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is signed by itself",
    19: "its chain ends in a certificate that is not trusted here",
    20: "whoever signed its certificate is not trusted here, or a certificate between is not sent along",
    21: "whoever signed its certificate is not trusted here, or a certificate between is not sent along",
    62: "its certificate is for other names",
    64: "its certificate is for other addresses",
}


class DialError(Exception):
    """One step failed: `step` is "resolve", "connect" or "tls". The text says how."""

    def __init__(self, step: str, why: str) -> None:
        super().__init__(why)
        self.step = step


class Line(NamedTuple):
    """A connection that stands. Seconds for each step; `days_left` of the certificate and `tls` (the version) are None
    without TLS."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    addresses: tuple[str, ...]
    resolve: float
    connect: float
    handshake: float
    tls: str | None
    days_left: float | None

    @property
    def seconds(self) -> float:
        """All steps together."""
        return self.resolve + self.connect + self.handshake

    def told(self) -> str:
        """For people, in one line."""
        steps = f"{', '.join(self.addresses)}; DNS {milliseconds(self.resolve)}, TCP {milliseconds(self.connect)}"
        if self.tls is None or self.days_left is None:
            return steps
        return f"{steps}, {self.tls} {milliseconds(self.handshake)}, certificate good for {self.days_left:.0f} days"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


async def dial(host: str, port: int, limit: float, tls: ssl.SSLContext | None, server_name: str) -> Line:
    """Connects to the first address that answers; `limit` is for the connection and TLS together, in seconds.

    With `tls` the certificate must be good for `server_name`. Raises DialError.
    """
    began = monotonic()
    addresses = await _resolved(host, port)
    resolved = monotonic()
    try:
        async with asyncio.timeout(limit):
            plain = await _connected(addresses, port)
            connected = monotonic()
            reader, writer = await _opened(plain, tls, server_name)
    except TimeoutError:
        raise DialError("connect", f"nothing within {limit:g} s from {', '.join(addresses)}") from None
    secured = writer.get_extra_info("ssl_object")
    return Line(
        reader,
        writer,
        addresses,
        resolved - began,
        connected - resolved,
        monotonic() - connected,
        secured.version() if secured else None,
        _days_left(secured) if secured else None,
    )


async def _resolved(host: str, port: int) -> tuple[str, ...]:
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise DialError("resolve", f"no name server answers for {host} within {_RESOLVE_SECONDS:g} s") from None
    except (OSError, UnicodeError) as error:
        raise DialError("resolve", f"{host} has no address ({_reason(error)})") from None
    return tuple(dict.fromkeys(str(each[4][0]) for each in found))


async def _connected(addresses: tuple[str, ...], port: int) -> socket.socket:
    refusals = []
    for address in addresses:
        plain = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        plain.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(plain, (address, port))
            return plain
        except OSError as error:
            plain.close()
            refusals.append(f"{address} port {port}: {_reason(error)}")
        except BaseException:
            plain.close()
            raise
    raise DialError("connect", "; ".join(refusals))


async def _opened(
    plain: socket.socket, tls: ssl.SSLContext | None, server_name: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_connection(sock=plain, ssl=tls, server_hostname=server_name if tls else None)
    except ssl.SSLCertVerificationError as error:
        raise DialError("tls", _VERIFY.get(error.verify_code, error.verify_message)) from None
    except ssl.SSLError as error:
        raise DialError("tls", f"the handshake failed ({error.reason or error})") from None
    except OSError as error:
        raise DialError("tls", f"the connection broke during the handshake ({_reason(error)})") from None
    except BaseException:
        plain.close()
        raise


def _reason(error: Exception) -> str:
    """An event loop puts address and port in place of the system's words; resolvers have numbers of their own."""
    if isinstance(error, OSError) and error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _days_left(secured: ssl.SSLObject) -> float:
    certificate = secured.getpeercert() or {}
    return (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - wall()) / _DAY
