"""Starts the Ceph object gateway with a cluster of one: a monitor, a data daemon that keeps everything in memory, and
the gateway, which answers http and https.

Must not know who asks.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.gateway import free_port
from tests.s3.servers.fetch import ensure_ceph
from tests.s3.servers.processes import Processes
from tests.s3.servers.server import LISTED_AT_ONCE, START_SECONDS, S3Server, certificates, listens

OWNER = ("OWNERKEY", "owner-test-secret")
LIMITED = ("LIMITEDKEY", "limited-test-secret")
LIMITED_USER = "limited"  # as policies name it: arn:aws:iam:::user/limited
KMS_KEY = "testkey"  # a key that the gateway knows for aws:kms
FRONT = "radosgw"

# One copy of everything, no authentication within, small pools: what one machine needs for a minute. Nobody waits for
# others' proposals, with which a start would take 12 s in place of one.
_CONF = """[global]
fsid = {cluster}
mon host = [v2:127.0.0.1:{mon_port}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc secure
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd crush chooseleaf type = 0
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon max pg per osd = 1000
mon client hunt interval = 0.5
objecter tick interval = 0.5
paxos propose interval = 0.02
paxos min wait = 0.01
mon data avail warn = 1
mon data avail crit = 0
run dir = {folder}
admin socket = {folder}/$name.socket
log file = {folder}/$name.log
crash dir = {folder}
keyring = /dev/null
plugin dir = {libraries}/ceph
erasure code dir = {libraries}/ceph/erasure-code
osd client watch timeout = 2
osd class dir = {libraries}/rados-classes
osd class load list = *
osd class default list = *
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
[client.{front}]
rgw data = {folder}/{front}
rgw frontends = beast endpoint=127.0.0.1:{http} ssl_endpoint=127.0.0.1:{https} ssl_certificate={pem}
rgw dns name = localhost
rgw thread pool size = 32
rgw enable usage log = false
rgw max listing results = {listed}
rgw gc max objs = 4
rgw lc max objs = 4
rgw usage max shards = 4
rgw data log num shards = 4
rgw md log max shards = 4
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = {kms_key}=YXJjaGl2ZWFyY2hpdmVhcmNoaXZlYXJjaGl2ZTAwMDA=
"""


@contextmanager
def ceph() -> Iterator[S3Server]:
    """The gateway, ready, until the block is left. Raises ServerError when it does not start."""
    root = ensure_ceph()
    with Processes("ceph", _environment(root)) as processes:
        folder = processes.folder
        made = certificates(folder)
        http, https = free_port(), free_port()
        _configure(root, folder, http, https, made.both)
        _start_cluster(processes)

        def start_front(name: str = FRONT) -> None:
            processes.start(name, "radosgw", "-c", "ceph.conf", "-n", f"client.{FRONT}", "-f")
            processes.wait_for(lambda: listens(http) and listens(https), START_SECONDS)

        start_front()
        for user, (access_key, secret_key) in (("owner", OWNER), (LIMITED_USER, LIMITED)):
            keys = ("--access-key", access_key, "--secret-key", secret_key)
            create = ("user", "create", "--uid", user, "--display-name", user, *keys)
            processes.run("radosgw-admin", "-c", "ceph.conf", "-n", f"client.{FRONT}", *create)
        yield S3Server(
            name="ceph",
            http=f"http://127.0.0.1:{http}",
            https=f"https://127.0.0.1:{https}",
            ca_file=made.ca,
            access_key=OWNER[0],
            secret_key=OWNER[1],
            limited=LIMITED,
            pause=lambda _: processes.pause(FRONT),
            resume=lambda _: processes.resume(FRONT),
            kill=lambda _: processes.kill(FRONT),
            start_front=lambda _: start_front(),
        )


def _environment(root: Path) -> dict[str, str]:
    """Programs and libraries of the unpacked packages before those of the system."""
    libraries = _libraries(root)
    folders = (libraries, libraries / "ceph", root / "usr/lib/ceph", root / "lib" / libraries.name)
    return {
        "LD_LIBRARY_PATH": ":".join(map(str, folders)),
        "PATH": f"{root / 'usr/bin'}:{os.environ['PATH']}",
    }


def _libraries(root: Path) -> Path:
    """The folder of this machine's kind of processor."""
    return next((root / "usr/lib").glob("*-linux-gnu*"))


def _configure(root: Path, folder: Path, http: int, https: int, pem: Path) -> None:
    for each in ("mon", "osd", FRONT):
        (folder / each).mkdir()
    conf = _CONF.format(
        cluster=uuid.uuid4(),
        mon_port=free_port(),
        folder=folder,
        libraries=_libraries(root),
        front=FRONT,
        http=http,
        https=https,
        pem=pem,
        kms_key=KMS_KEY,
        listed=LISTED_AT_ONCE,
    )
    (folder / "ceph.conf").write_text(conf)


def _start_cluster(processes: Processes) -> None:
    """The monitor is born with a map in which the data daemon has its place, so nobody has to ask it for one."""
    lines = (processes.folder / "ceph.conf").read_text().splitlines()
    values = dict(line.split(" = ", 1) for line in lines if " = " in line)
    processes.run("monmaptool", "--create", "--fsid", values["fsid"], "--addv", "a", values["mon host"], "monmap")
    processes.run("osdmaptool", "--createsimple", "1", "osdmap")
    maps = ("--monmap", "monmap", "--osdmap", "osdmap")
    processes.run("ceph-mon", "-c", "ceph.conf", "-i", "a", "--mkfs", *maps)
    processes.start("mon", "ceph-mon", "-c", "ceph.conf", "-i", "a", "-f")
    osd = ("ceph-osd", "-c", "ceph.conf", "-i", "0")
    processes.run(*osd, "--mkfs", "--osd-uuid", str(uuid.uuid4()))
    processes.start("osd", *osd, "-f")
