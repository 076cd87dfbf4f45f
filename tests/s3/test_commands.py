"""Proves that the commands of the archive do over a real server what they say, and show no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxy.archive.bucket_documents import PERMISSIONS, BucketNames
from proxy.archive.naming import Codec
from proxy.archive.s3 import S3Store
from proxy.archive.s3_client import open_client
from proxy.archive.seal import seal
from proxy.cli import main
from proxy.spool.name import SegmentName
from tests.s3.servers.server import REGION, S3Server
from tests.s3.site import new_name, owner_options
from tests.unit.cli.archived import OPTIONS, SPAN, Sent, spooled
from tests.unit.spool.spooled import BOOT


class Commands:
    """`replay-gateway archive …` for buckets on a server, with the keys of who may do everything."""

    def __init__(self, folder: Path, server: S3Server, names: BucketNames, **changed: Any) -> None:
        self._secret = server.secret_key
        self._config = folder / "gateway.yaml"
        s3: dict[str, Any] = {
            "endpoint": server.endpoint("https"),
            "region": REGION,
            "accessKey": server.access_key,
            "secretKey": server.secret_key,
            "ca_file": str(server.ca_file),
            "recordingsBucket": names.recordings,
            "assetsBucket": names.assets,
            "sourcemapsBucket": names.sourcemaps,
            "tags": {},
        }
        spool = {"directory": str(folder / "spool"), "min_free_bytes": 0}
        self._config.write_text(json.dumps({"admin": None, "archive": {"s3": s3 | changed, "spool": spool}}))

    def run(self, command: str, *arguments: str) -> Result:
        """Nothing that it prints may be the secret."""
        result = CliRunner().invoke(main, ["archive", command, "--config", str(self._config), *arguments])
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert self._secret not in result.output
        return result

    def states(self, *arguments: str) -> tuple[int, dict[tuple[str, str], str]]:
        """What `setup` ends with, and what became of each step."""
        result = self.run("setup", "--json", *arguments)
        return result.exit_code, {(each["bucket"], each["step"]): each["state"] for each in json.loads(result.stdout)}

    def checks(self, *arguments: str) -> tuple[int, dict[str, str]]:
        """What `doctor` ends with, and each check's state."""
        result = self.run("doctor", "--json", *arguments)
        return result.exit_code, {each["name"]: each["state"] for each in json.loads(result.stdout)}


@pytest.fixture
def names() -> BucketNames:
    """Buckets that are not there yet."""
    return BucketNames(new_name(), new_name(), new_name())


def exists(server: S3Server, bucket: str) -> bool:
    listed = open_client(owner_options(server, "http", bucket)).list_buckets()["Buckets"]
    return bucket in [each["Name"] for each in listed]


def test_printing_touches_nothing(ceph: S3Server, names: BucketNames, tmp_path: Path) -> None:
    assert Commands(tmp_path, ceph, names).run("setup", "--print").exit_code == 0
    assert not any(exists(ceph, bucket) for bucket in names)


def test_buckets_are_made_and_the_second_time_found_so(ceph: S3Server, names: BucketNames, tmp_path: Path) -> None:
    commands = Commands(tmp_path, ceph, names)
    code, states = commands.states("--retention-days", "30")
    assert code == 0
    assert set(states.values()) <= {"done", "already", "unsupported"}
    assert states[names.recordings, "retention"] == "done"
    unsupported = {step for step, state in states.items() if state == "unsupported"}
    assert {name for _, name in unsupported} <= {"public access"}
    again, found = commands.states("--retention-days", "30")
    assert {step for step, state in found.items() if state != "already"} == unsupported
    assert again == 0


def test_people_are_told_step_by_step(ceph: S3Server, names: BucketNames, tmp_path: Path) -> None:
    lines = Commands(tmp_path, ceph, names).run("setup").stdout.splitlines()
    assert f"done         {names.recordings}, bucket: made" in lines
    assert f"done         {names.assets}, public reading: everybody may read its objects" in lines


def test_what_is_denied_is_told_with_the_remedy(ceph: S3Server, names: BucketNames, tmp_path: Path) -> None:
    access_key, secret_key = ceph.limited
    theirs = names._replace(assets="", sourcemaps="")
    open_client(owner_options(ceph, "http", theirs.recordings)).create_bucket(Bucket=theirs.recordings)
    commands = Commands(tmp_path, ceph, theirs, accessKey=access_key, secretKey=secret_key)
    result = commands.run("setup")
    assert result.exit_code == 1
    assert secret_key not in result.output
    assert result.stdout.startswith(f"denied       {theirs.recordings}, bucket: ")
    assert f"for {theirs.recordings}" in result.stdout


def test_a_server_that_knows_less_is_good_enough_for_recordings(
    swift: S3Server, names: BucketNames, tmp_path: Path
) -> None:
    code, states = Commands(tmp_path, swift, names._replace(assets="")).states()
    assert set(states.values()) == {"done", "unsupported"}
    assert code == 0


def test_assets_need_a_server_that_can_open_them(swift: S3Server, names: BucketNames, tmp_path: Path) -> None:
    result = Commands(tmp_path, swift, names).run("setup", "--json")
    assert result.exit_code == 1
    lacking = {(each["bucket"], each["step"]) for each in json.loads(result.stdout) if not each["is_enough"]}
    assert lacking == {(names.assets, "CORS"), (names.assets, "public reading")}


def test_recordings_that_nothing_removes_are_not_as_they_must_be(
    swift: S3Server, names: BucketNames, tmp_path: Path
) -> None:
    code, states = Commands(tmp_path, swift, names._replace(assets="")).states("--retention-days", "30")
    assert states[names.recordings, "retention"] == "unsupported"
    assert code == 1


def test_a_bucket_that_everybody_may_read_is_not_as_it_must_be(
    ceph: S3Server, names: BucketNames, tmp_path: Path
) -> None:
    """This server can't be told to block public access, so nothing but the policy says who may read."""
    client = open_client(owner_options(ceph, "http", names.recordings))
    client.create_bucket(Bucket=names.recordings)
    client.put_bucket_policy(Bucket=names.recordings, Policy=json.dumps(everybody_reads(names.recordings)))
    result = Commands(tmp_path, ceph, names._replace(assets="", sourcemaps="")).run("setup", "--json")
    lacking = [each["step"] for each in json.loads(result.stdout) if not each["is_enough"]]
    assert (result.exit_code, lacking) == (1, ["public access"])


def everybody_reads(bucket: str) -> dict[str, Any]:
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    return {"Version": "2012-10-17", "Statement": [allowed]}


def test_the_doctor_is_content_with_what_was_set_up(ceph: S3Server, names: BucketNames, tmp_path: Path) -> None:
    commands = Commands(tmp_path, ceph, names)
    commands.run("setup", "--retention-days", "30")
    code, checks = commands.checks("--retention-days", "30")
    assert code == 0
    assert {checks[each] for each in PERMISSIONS} == {"ok"}
    assert checks[f"retention of {names.recordings}"] == "ok"
    assert checks["spool nodes"] == "ok"


def test_the_doctor_fails_without_a_bucket(ceph: S3Server, names: BucketNames, tmp_path: Path) -> None:
    code, checks = Commands(tmp_path, ceph, names).checks()
    assert code == 1
    assert checks["s3:PutObject"] == "fail"


def test_sessions_are_found_read_and_looked_through(ceph: S3Server, names: BucketNames, tmp_path: Path) -> None:
    commands = Commands(tmp_path, ceph, names, prefix="replays/")
    commands.run("setup")
    path = spooled(tmp_path / "scratch", 1, [Sent(b'{"n":1}'), Sent(b'{"n":2}', 1000)])
    sealed = seal(path, SegmentName("node", BOOT, 1), OPTIONS, path.parent)
    store = S3Store(replace(owner_options(ceph, "http", names.recordings), prefix="replays/"))
    store.put(sealed.data_key, sealed.data)
    assert commands.run("verify", *SPAN).exit_code == 1
    assert commands.run("reindex", *SPAN).exit_code == 0
    assert commands.run("verify", *SPAN).exit_code == 0
    (row,) = map(json.loads, commands.run("find", *SPAN, "--json").stdout.splitlines())
    assert row["key"] == sealed.data_key
    lines = commands.run("get", "--session", "s1", *SPAN).stdout.splitlines()
    assert [json.loads(line)["body"]["n"] for line in lines] == [1, 2]


def spoiled(data: bytes) -> bytes:
    """The same but for one bit, in the first block."""
    return data[:20] + bytes([data[20] ^ 1]) + data[21:]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (spoiled, ["bad block"]),
        (lambda data: data[: len(data) // 2], ["wrong size", "bad block"]),
        (lambda data: data.replace(b"12345", b"12354"), ["hash mismatch"]),
    ],
    ids=["one-bit", "half", "other-words"],
)
def test_an_object_that_is_altered_in_the_bucket_is_found(
    ceph: S3Server, names: BucketNames, tmp_path: Path, spoil: Callable[[bytes], bytes], told: list[str]
) -> None:
    """The last case is uncompressed: nothing but the hash can tell."""
    commands = Commands(tmp_path, ceph, names)
    client = open_client(owner_options(ceph, "http", names.recordings))
    client.create_bucket(Bucket=names.recordings)
    path = spooled(tmp_path / "scratch", 1, [Sent(b'{"n":12345}'), Sent(b'{"n":2}', 1000)])
    options = OPTIONS if told != ["hash mismatch"] else replace(OPTIONS, codec=Codec.NONE)
    made = seal(path, SegmentName("node", BOOT, 1), options, path.parent)
    store = S3Store(owner_options(ceph, "http", names.recordings))
    store.put(made.data_key, made.data)
    store.put(made.index_key, made.index)
    assert commands.run("verify", *SPAN).exit_code == 0
    store.put(made.data_key, spoil(made.data.read_bytes()))
    result = commands.run("verify", *SPAN)
    assert result.exit_code == 1
    found = [line for line in result.stdout.splitlines() if made.data_key in line]
    assert any(line.startswith(kind) for line in found for kind in told), result.stdout
