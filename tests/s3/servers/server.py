"""What tests need to know of a server that runs, whichever it is."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.s3.servers.processes import ServerError

START_SECONDS = 90.0  # on two loaded cores; a start takes 1 (Ceph) or 2 (Swift) when there is room
START_ATTEMPTS = 3
REGION = "us-east-1"
LISTED_AT_ONCE = 100  # the most that the servers are told to list in one answer; usual is 1000


@dataclass(frozen=True)
class S3Server:
    """`http` and `https` are endpoints; the certificate is good by `ca_file` only. The keys are those of a user who may
    do everything; `limited` is a second user's pair, if there is one, who may do nothing until a policy says so.
    `front` names the process that answers an endpoint; `pause`, `resume`, `kill` and `start_front` take that name."""

    name: str
    http: str
    https: str
    ca_file: Path
    access_key: str
    secret_key: str
    limited: tuple[str, str]
    pause: Callable[[str], None]
    resume: Callable[[str], None]
    kill: Callable[[str], None]
    start_front: Callable[[str], None]

    def endpoint(self, scheme: str) -> str:
        """By "http" or "https"."""
        return self.https if scheme == "https" else self.http


@dataclass(frozen=True)
class Certificates:
    """PEM files: the authority's certificate, and the server's with its key, apart and all in one."""

    ca: Path
    chain: Path
    key: Path
    both: Path


def certificates(folder: Path) -> Certificates:
    """A private authority and a certificate of it for localhost."""
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key", folder / "both.pem")
    authority.cert_pem.write_to_path(os.fspath(made.ca))
    leaf.private_key_pem.write_to_path(os.fspath(made.key))
    made.chain.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    made.both.write_bytes(made.key.read_bytes() + made.chain.read_bytes())
    return made


@contextmanager
def started(start: Callable[[], AbstractContextManager[S3Server]]) -> Iterator[S3Server]:
    """The server, until the block is left. It is tried again when it does not start: somebody may have taken one of its
    ports meanwhile."""
    with ExitStack() as stack:
        for left in reversed(range(START_ATTEMPTS)):
            try:
                server = stack.enter_context(start())
                break
            except ServerError:
                if not left:
                    raise
        yield server


def listens(port: int) -> bool:
    """Whether somebody does on this port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def folder_with_attributes(spare: Path) -> Path:
    """A folder for temporary files whose file system takes user attributes, as Swift keeps its own with each file:
    the machine's, or else `spare`."""
    for folder in (Path(tempfile.gettempdir()), spare):
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            try:
                os.setxattr(file.name, "user.swift.metadata", b"x" * 1000)
            except OSError:
                continue
            return folder
    raise AssertionError(f"Swift needs user attributes (xattr), which neither {tempfile.gettempdir()} nor {spare} has")
