"""Whether the world outside is as the settings need it: certificates, trust anchors, free ports.

Separate from the settings' own checks, which touch nothing. Changes nothing either, and can be asked twice.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from proxy.policy.tokens import KeySetError, TokenPolicy
from proxy.runtime.certificates import days_left
from proxy.runtime.clock import wall
from proxy.runtime.sockets import BindError, bind
from proxy.runtime.tls import CertificateError, server_context
from proxy.settings import Address, Advice, Jwt, ListenerTls, Problem, Settings
from proxy.upstream.tls import client_context

# Renewal is usually automatic and a month early: two weeks left mean that it does not work.
EXPIRY_NOTICE_DAYS = 14


def files(settings: Settings) -> Iterator[Problem | Advice]:
    """What is wrong with the files that the settings name."""
    for number, listener in enumerate(settings.listen):
        if listener.tls is not None:
            yield from _certificate(f"listen[{number}].tls", listener.tls)
    for region, upstreams in settings.upstreams.items():
        for route, upstream in (("track", upstreams.track), ("config", upstreams.config)):
            if upstream.ca_file is not None:
                yield from _trust_anchors(f"upstreams.{region}.{route}.ca_file", upstream.ca_file)
    if settings.jwt is not None:
        yield from _tokens(settings.jwt)
    s3 = settings.archive and settings.archive.s3
    if s3 and s3.ca_file is not None:
        yield from _trust_anchors("archive.s3.ca_file", s3.ca_file)


def _tokens(jwt: Jwt) -> Iterator[Problem]:
    if jwt.ca_file is not None:
        yield from _trust_anchors("jwt.ca_file", jwt.ca_file)
    try:
        TokenPolicy(jwt)
    except ImportError:
        yield Problem("jwt", "PyJWT with cryptography is needed for this: pip install 'replay-gateway[jwt]'", "")
    except KeySetError as problem:
        yield Problem("jwt.jwks", f"{problem}", "a JWKS with a public key for each algorithm")


def ports(settings: Settings) -> list[Problem]:
    """Every address that can't be listened on, because somebody else does or the machine refuses."""
    problems = []
    with ExitStack() as stack:
        for path, address, both_families in _addresses(settings):
            try:
                stack.enter_context(bind(path, address.host, address.port, both_families=both_families))
            except BindError as error:
                problems.append(_problem(path, error))
    return problems


def _addresses(settings: Settings) -> Iterator[tuple[str, Address, bool]]:
    """Path, address, and whether an IPv6 wildcard takes IPv4 as well, which it does where no IPv4 wildcard does."""
    any_ipv4 = {listener.address.port for listener in settings.listen if listener.address.host == "0.0.0.0"}
    for number, listener in enumerate(settings.listen):
        address = listener.address
        yield f"listen[{number}].address", address, address.host == "::" and address.port not in any_ipv4
    if settings.admin is not None:
        yield "admin.address", settings.admin.address, False


def _certificate(path: str, tls: ListenerTls) -> Iterator[Problem | Advice]:
    unreadable = [*_unreadable(f"{path}.certificate", tls.certificate), *_unreadable(f"{path}.key", tls.key)]
    if unreadable:
        yield from unreadable
        return
    try:
        context = server_context(path, tls)
    except CertificateError as error:
        yield _problem(path, error)
        return
    left = days_left(context, tls.certificate, wall())
    if left is not None and left <= 0:
        yield Problem(f"{path}.certificate", f"{tls.certificate} has expired, or is not valid yet; renew it", "")
    elif left is not None and left < EXPIRY_NOTICE_DAYS:
        yield Advice(f"{path}.certificate", f"{tls.certificate} expires in {left:.0f} days; renew it")


def _unreadable(path: str, file: Path) -> Iterator[Problem]:
    try:
        file.read_bytes()
    except OSError as error:
        yield Problem(path, f"can't read {file.absolute()}: {error.strerror}", "")


def _trust_anchors(path: str, file: Path) -> Iterator[Problem]:
    unreadable = list(_unreadable(path, file))
    yield from unreadable
    try:
        if not unreadable:
            client_context(str(file))
    except ssl.SSLError:
        yield Problem(path, f"{file.absolute()} holds no certificate; it must be PEM", "")


def _problem(path: str, error: Exception) -> Problem:
    return Problem(path, str(error).removeprefix(f"{path}: "), "")
