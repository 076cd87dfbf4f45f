"""Where the gateway can be reached: its listeners, their certificates, and the admin server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from proxy.settings.network import Address, listen_address
from proxy.settings.section import Section
from proxy.settings.spelling import file_path
from proxy.settings.units import choice


class ListenerTls(Section):
    """A listener's certificate chain and private key, PEM files both."""

    certificate: Annotated[Path, file_path()]
    key: Annotated[Path, file_path()]
    min_version: Annotated[Literal["1.2", "1.3"], choice("1.2", "1.3")] = "1.2"


class Listener(Section):
    """One address that clients connect to; without `tls` it speaks plain HTTP."""

    address: Annotated[Address, listen_address()]
    tls: ListenerTls | None = None


class Admin(Section):
    """The admin server: health, metrics, dashboard. It has no password, hence the loopback default."""

    address: Annotated[Address, listen_address()] = Address("127.0.0.1", 9090)
