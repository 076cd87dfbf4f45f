"""Starts OpenStack Swift with its S3 interface: four servers, one copy of everything, a folder for the disk.

Two proxies answer, one for each scheme. Must not know who asks.
"""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.gateway import free_port
from tests.s3.servers.fetch import CACHE, ensure_swift
from tests.s3.servers.processes import Processes
from tests.s3.servers.server import (
    LISTED_AT_ONCE,
    REGION,
    START_SECONDS,
    Certificates,
    S3Server,
    certificates,
    folder_with_attributes,
    listens,
)

USER = "test:tester"
SECRET = "swift-test-secret"
STORAGE = ("account", "container", "object")
FRONTS = ("http", "https")

_SHARED = """[swift-hash]
swift_hash_path_prefix = {prefix}
swift_hash_path_suffix = {suffix}
[storage-policy:0]
name = one
default = yes
"""
_DEFAULT = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}
devices = {folder}/disks
mount_check = false
disable_fallocate = true
workers = 0
log_level = WARNING
{more}
"""
_STORAGE = """[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
replication_server = false
"""
# Only what single requests of S3 need: no parts, versions or links.
_PROXY = f"""[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats s3api tempauth proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = {REGION}
s3_acl = false
check_bucket_owner = false
allow_multipart_uploads = false
max_bucket_listing = {LISTED_AT_ONCE}
[filter:tempauth]
use = egg:swift#tempauth
user_{USER.replace(":", "_")} = {SECRET} .admin
"""


# Which server has which data: there is one for each kind. Arguments: kind and port, as often as need be. In Swift's own
# environment; its program for this takes 6 s for what is 0.5 s in one process.
_RINGS = """
import sys
from swift.common.ring import RingBuilder
for kind, port in zip(sys.argv[1::2], sys.argv[2::2]):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "one", "weight": 1.0,
                     "replication_ip": "127.0.0.1", "replication_port": int(port), "meta": ""})
    builder.rebalance()
    builder.get_ring().save(f"{kind}.ring.gz")
"""


@contextmanager
def swift() -> Iterator[S3Server]:
    """Swift, ready, until the block is left. Raises ServerError when it does not start."""
    programs = ensure_swift()
    with Processes("swift", {}, folder_with_attributes(CACHE)) as processes:
        made = certificates(processes.folder)
        ports = {name: free_port() for name in (*STORAGE, *FRONTS)}
        _prepare(processes, programs, ports, made)

        def start(name: str) -> None:
            program = f"swift-{'proxy' if name in FRONTS else name}-server"
            processes.start(name, str(programs / program), str(processes.folder / f"{name}.conf"))

        def start_front(scheme: str) -> None:
            start(scheme)
            processes.wait_for(lambda: listens(ports[scheme]), START_SECONDS)

        for name in ports:
            start(name)
        processes.wait_for(lambda: all(map(listens, ports.values())), START_SECONDS)
        yield S3Server(
            name="swift",
            http=f"http://127.0.0.1:{ports['http']}",
            https=f"https://127.0.0.1:{ports['https']}",
            ca_file=made.ca,
            access_key=USER,
            secret_key=SECRET,
            limited=("", ""),
            pause=processes.pause,
            resume=processes.resume,
            kill=processes.kill,
            start_front=start_front,
        )


def _prepare(processes: Processes, programs: Path, ports: Mapping[str, int], made: Certificates) -> None:
    """Everything that the servers read when they start."""
    folder = processes.folder
    (folder / "disks" / "one").mkdir(parents=True)
    (folder / "swift.conf").write_text(_SHARED.format(prefix=secrets.token_hex(8), suffix=secrets.token_hex(8)))
    storage = [word for kind in STORAGE for word in (kind, str(ports[kind]))]
    processes.run(str(programs / "python"), "-c", _RINGS, *storage)
    for kind in STORAGE:
        _configure(folder, kind, ports[kind], _STORAGE.format(kind=kind))
    _configure(folder, "http", ports["http"], _PROXY)
    tls = f"cert_file = {made.chain}\nkey_file = {made.key}"
    _configure(folder, "https", ports["https"], _PROXY, tls)


def _configure(folder: Path, name: str, port: int, rest: str, more: str = "") -> None:
    default = _DEFAULT.format(port=port, user=pwd.getpwuid(os.getuid()).pw_name, folder=folder, more=more)
    (folder / f"{name}.conf").write_text(default + rest)
