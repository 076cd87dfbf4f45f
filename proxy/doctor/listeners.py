"""Whether the gateway can listen where the settings say, or does so already, and whether its certificates are good.

Asks what answers at those addresses, on this machine. Must not know how findings are shown.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from functools import partial
from typing import Final

from proxy.doctor.asking import Answer, Asker, GivenUpError, NoAnswerError, Patience
from proxy.doctor.browser import UNKNOWN, Request
from proxy.doctor.finding import fine
from proxy.doctor.inside_findings import Inside
from proxy.model.check import Check, never_raising
from proxy.runtime.certificates import days_left, is_good_for, names
from proxy.runtime.clock import wall
from proxy.runtime.sockets import BindError, bind
from proxy.runtime.tls import CertificateError, server_context
from proxy.settings import Address, ListenerTls, Settings
from proxy.settings.network import bracketed

EXPIRY_NOTICE_DAYS: Final = 21
_PATIENCE: Final = Patience(connect=2.0, answer=3.0, total=10.0)
_NOWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # what listens everywhere is also here


def check_listeners(settings: Settings) -> Iterator[Check]:
    """Certificates, then addresses. Raises nothing."""
    any_ipv4 = {listener.address.port for listener in settings.listen if listener.address.host == "0.0.0.0"}
    for number, listener in enumerate(settings.listen):
        path, address = f"listen[{number}]", listener.address
        if listener.tls is not None:
            where = f"{path}.tls"
            yield from never_raising(where, partial(_certificate, where, listener.tls))
        both = address.host == "::" and address.port not in any_ipv4
        where = f"{path}.address"
        yield from never_raising(where, partial(_listener, where, address, both, listener.tls is not None))
    yield from never_raising("region.hosts", partial(_host_names, settings))
    if settings.admin is not None:
        yield from never_raising("admin.address", partial(_admin, "admin.address", settings.admin.address))


def _certificate(where: str, tls: ListenerTls) -> Iterator[Check]:
    try:
        context = server_context(where, tls)
    except CertificateError as error:
        yield Inside.CERTIFICATE_UNUSABLE.at(where, why=str(error).removeprefix(f"{where}: "))
        return
    left = days_left(context, tls.certificate, wall())
    if left is not None and left <= 0:
        yield Inside.CERTIFICATE_EXPIRED.at(where, file=tls.certificate)
        return
    if left is not None and left < EXPIRY_NOTICE_DAYS:
        yield Inside.CERTIFICATE_EXPIRES.at(where, file=tls.certificate, days=f"{left:.0f}")
        return
    listed = ", ".join(names(context, tls.certificate))
    days = "" if left is None else f", for {left:.0f} more days"
    yield fine("certificate", where, f"{tls.certificate} is good for {listed}{days}")


def _host_names(settings: Settings) -> Iterator[Check]:
    """Each host name of the rules must be in some listener's certificate, unless TLS is ended elsewhere."""
    all_tls = [listener.tls for listener in settings.listen if listener.tls is not None]
    listed = [name for tls in all_tls for name in names(_loaded(tls), tls.certificate)]
    for host in settings.region.hosts if listed else ():
        if not is_good_for(host, listed):
            yield Inside.CERTIFICATE_NAME.at("region.hosts", host=host, names=", ".join(listed))


def _loaded(tls: ListenerTls) -> ssl.SSLContext:
    """Without the certificate, if that can't be used: then it has no names."""
    try:
        return server_context("listen", tls)
    except CertificateError:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def _listener(where: str, address: Address, both_families: bool, tls: bool) -> Iterator[Check]:
    """Free, or a gateway's: a 404 of its own says so."""
    try:
        with bind(where, address.host, address.port, both_families=both_families):
            yield fine("address", where, f"{address} is free")
            return
    except BindError as error:
        why = str(error).removeprefix(f"{where}: ")
    answer = _asked(address, f"/{UNKNOWN}", "https" if tls else "http")
    if isinstance(answer, Answer) and answer.values("x-gateway-reason"):
        yield fine("address", where, f"a gateway answers at {address}")
    else:
        yield _refused(where, why)


def _admin(where: str, address: Address) -> Iterator[Check]:
    try:
        with bind(where, address.host, address.port):
            yield fine("address", where, f"{address} is free")
            return
    except BindError as error:
        why = str(error).removeprefix(f"{where}: ")
    answer = _asked(address, "/health/ready", "http")
    if not isinstance(answer, Answer):
        yield _refused(where, why) if "in use" not in why else Inside.ADMIN_TAKEN.at(where, what=answer)
    elif answer.text("server") != "replay-gateway":
        yield Inside.ADMIN_TAKEN.at(where, what=f"{answer.status} {answer.text('server')}".strip())
    elif answer.status == 200:
        yield fine("address", where, f"a gateway answers at {address}, and is ready")
    else:
        yield Inside.NOT_READY.at(where, why=answer.body.decode("utf-8", "replace").strip()[:200])


def _refused(where: str, why: str) -> Check:
    return (Inside.ADDRESS_TAKEN if "in use" in why else Inside.ADDRESS_UNUSABLE).at(where, why=why)


def _asked(address: Address, path: str, scheme: str) -> Answer | str:
    """What is answered there, or why nothing is."""
    host = bracketed(_NOWHERE.get(address.host, address.host))
    request = Request("address", "GET", f"{scheme}://{host}:{address.port}{path}", ())

    async def ask() -> Answer | str:
        async with Asker(_PATIENCE, _anybody()) as asker:
            try:
                return await asker.ask(request)
            except (NoAnswerError, GivenUpError) as error:
                return str(error)

    return asyncio.run(ask())


def _anybody() -> ssl.SSLContext:
    """Trusts whoever answers on this machine: nothing secret is sent, and the certificate is looked at elsewhere."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
