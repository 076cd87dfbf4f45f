"""Proves the archive's section: its defaults, which store it means, what contradicts what, and that its keys stay
secret."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from proxy.settings import S3, Archive, Limits, Rotate, Settings, Spool, Upload, masked
from proxy.settings.archive import KEPT, NEVER_KEPT
from proxy.settings.editor import json_schema
from proxy.settings.masking import MASK
from proxy.settings.units import GIB, KIB, MIB

from .told import only_problem, problems, settings

BUCKET = "region: r, recordingsBucket: abc"


def archive(inside: str) -> Archive:
    """The archive of a section with these keys."""
    found = settings(f"archive: {{{inside}}}").archive
    assert found is not None
    return found


def store(inside: str) -> S3:
    """The store of a section `s3` with these keys."""
    found = archive(f"s3: {{{inside}}}").s3
    assert found is not None
    return found


def refused(inside: str) -> str:
    """The one problem with an archive of these keys, without `archive.` before its path."""
    told = only_problem(f"archive: {{{inside}}}")
    assert told.startswith("archive.")
    return told.removeprefix("archive.")


# -- defaults


@pytest.mark.parametrize("text", ["", "archive: null", "archive:"])
def test_there_is_no_archive_unless_there_is_a_section(text: str) -> None:
    assert settings(text).archive is None


def test_the_default_archive_is_a_folder() -> None:
    found = archive("")
    assert found == Archive()
    assert (found.store, found.directory, found.s3, found.node) == ("directory", Path("archive"), None, "")
    assert (found.codec, found.level, found.body, found.inflate_max) == ("zstd", 3, "decoded", 48 * MIB)
    assert (found.client_ip, found.headers) == ("off", KEPT)


def test_the_default_spool_rotation_and_upload() -> None:
    found = archive("")
    spool = found.spool
    assert (spool.directory, spool.max_bytes, spool.min_free_bytes) == (Path("spool"), GIB, 512 * MIB)
    assert (spool.queue_bytes, spool.sync, spool.sync_interval) == (32 * MIB, "interval", 1.0)
    assert (spool.answer_wait, spool.on_full) == (2.0, "drop-newest")
    assert (found.rotate.bytes, found.rotate.seconds) == (64 * MIB, 300.0)
    assert (found.upload.parallel, found.upload.backoff, found.upload.backoff_max) == (2, 1.0, 300.0)
    assert found.upload.timeout == 60.0


def test_the_default_store() -> None:
    s3 = store(BUCKET)
    assert (s3.endpoint, s3.region, s3.recordingsBucket) == ("", "r", "abc")
    assert (s3.assetsBucket, s3.sourcemapsBucket, s3.prefix, s3.addressing) == ("", "", "", "auto")
    assert (s3.ca_file, s3.sse, s3.kms_key_id, s3.tags) == (None, "none", "", {"retention": "default"})
    assert not s3.has_keys
    assert (s3.accessKey.get_secret_value(), s3.secretKey.get_secret_value()) == ("", "")


def test_nothing_is_kept_that_may_not_be_kept() -> None:
    assert not NEVER_KEPT & set(KEPT)


# -- as given


def test_a_store_as_given() -> None:
    s3 = store(
        "endpoint: 'https://S3.example.com/', accessKey: AK, secretKey: 'a/b+c=', recordingsBucket: rec, "
        "assetsBucket: ass, sourcemapsBucket: src, prefix: replays/x, addressing: path, ca_file: ca.pem, "
        "sse: 'aws:kms', kms_key_id: alias/k, tags: {retention: 30d, team: ''}"
    )
    assert (s3.endpoint, s3.region, s3.signing_region) == ("https://s3.example.com", "", "us-east-1")
    assert s3.has_keys
    assert (s3.accessKey.get_secret_value(), s3.secretKey.get_secret_value()) == ("AK", "a/b+c=")
    assert (s3.recordingsBucket, s3.assetsBucket, s3.sourcemapsBucket) == ("rec", "ass", "src")
    assert (s3.prefix, s3.addressing, s3.ca_file) == ("replays/x/", "path", Path("ca.pem"))
    assert (s3.sse, s3.kms_key_id, s3.tags) == ("aws:kms", "alias/k", {"retention": "30d", "team": ""})


def test_an_archive_as_given() -> None:
    found = archive(
        "directory: /a, codec: none, level: 22, body: wire, inflate_max: 1KiB, node: gw-1.a_b, client_ip: truncate, "
        "headers: [X-Client-Version, Content-Type], rotate: {bytes: 1MiB, seconds: 1.5}, "
        "spool: {directory: /s, max_bytes: 2MiB, min_free_bytes: 0, sync: durable, sync_interval: 10ms, "
        "answer_wait: 20ms, on_full: drop-oldest}, "
        "upload: {parallel: 1, backoff: 100ms, backoff_max: 100ms, timeout: 5s}"
    )
    assert (found.directory, found.codec, found.level, found.body) == (Path("/a"), "none", 22, "wire")
    assert (found.inflate_max, found.node, found.client_ip) == (KIB, "gw-1.a_b", "truncate")
    assert found.headers == ("x-client-version", "content-type")
    assert (found.rotate.bytes, found.rotate.seconds) == (MIB, 1.5)
    assert (found.spool.directory, found.spool.max_bytes, found.spool.min_free_bytes) == (Path("/s"), 2 * MIB, 0)
    assert (found.spool.sync, found.spool.sync_interval, found.spool.on_full) == ("durable", 0.01, "drop-oldest")
    assert found.spool.answer_wait == 0.02
    assert (found.upload.parallel, found.upload.backoff, found.upload.timeout) == (1, 0.1, 5.0)


def test_a_given_region_is_the_one_that_is_signed_for() -> None:
    assert store("region: eu-central-1, recordingsBucket: abc").signing_region == "eu-central-1"


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        ("", "directory"),
        ("directory: /a", "directory"),
        ("s3: null", "directory"),
        (f"s3: {{{BUCKET}}}", "s3"),
        (f"store: s3, s3: {{{BUCKET}}}", "s3"),
        (f"store: directory, s3: {{{BUCKET}}}", "directory"),
    ],
)
def test_the_store_is_the_one_that_is_described_unless_it_is_said(inside: str, kind: str) -> None:
    assert archive(inside).store == kind


@pytest.mark.parametrize(
    ("endpoint", "exposed"),
    [
        ("", False),
        ("https://minio:9000", False),
        ("http://minio:9000", True),
        ("http://10.0.0.1", True),
        ("http://localhost:9000", False),
        ("http://127.0.0.1", False),
        ("http://[::1]:9000", False),
    ],
)
def test_plain_http_is_exposed_unless_it_stays_here(endpoint: str, exposed: bool) -> None:
    assert store(f"{BUCKET}, endpoint: '{endpoint}'").is_exposed is exposed


def test_sections_can_be_built_without_a_file() -> None:
    s3 = S3(region="r", recordingsBucket="abc")
    assert Settings(archive=Archive(s3=s3)) == settings(f"archive: {{s3: {{{BUCKET}}}}}")
    assert Archive(s3=s3).store == "s3"
    with pytest.raises(ValidationError, match="required"):
        S3.model_validate({"region": "r"})
    with pytest.raises(ValidationError, match="at most"):
        Archive(rotate=Rotate(bytes=MIB), spool=Spool(max_bytes=MIB))


def test_an_archive_is_frozen_and_can_be_pickled() -> None:
    found = archive(f"s3: {{{BUCKET}, accessKey: a, secretKey: b}}")
    with pytest.raises(ValidationError, match="frozen"):
        found.rotate.bytes = 3
    copy = pickle.loads(pickle.dumps(found))
    assert copy == found
    assert copy.s3.secretKey.get_secret_value() == "b"


# -- contradictions


def test_the_store_s3_needs_its_section() -> None:
    expected = "expected a mapping with recordingsBucket at least, since archive.store is s3"
    assert refused("store: s3") == f"s3: found nothing; {expected}"
    assert refused("store: s3, s3: null") == f"s3: found nothing; {expected}"


def test_the_bucket_is_required() -> None:
    told = "s3.recordingsBucket: found nothing; expected a value: this key is required"
    assert refused("s3: {region: r}") == told
    assert refused("store: s3, s3: {region: r}") == told


def test_an_empty_name_of_the_bucket_is_no_name() -> None:
    told = refused("s3: {region: r, recordingsBucket: ''}")
    assert told.startswith('s3.recordingsBucket: found ""; expected a bucket\'s name: 3 to 63 ')


@pytest.mark.parametrize("region", ["", ", region: ''"])
def test_without_an_endpoint_the_region_is_needed(region: str) -> None:
    expected = "the bucket's region, such as us-east-1; only with archive.s3.endpoint may it be left out"
    assert refused(f"s3: {{recordingsBucket: abc{region}}}") == f"s3.region: found nothing; expected {expected}"


def test_half_a_credential_is_refused() -> None:
    rest = ", or neither: then the SDK looks for credentials"
    assert (
        refused(f"s3: {{{BUCKET}, accessKey: SECRET}}")
        == f"s3.secretKey: found nothing; expected a value that goes with archive.s3.accessKey{rest}"
    )
    assert (
        refused(f"s3: {{{BUCKET}, secretKey: SECRET, accessKey: ''}}")
        == f"s3.accessKey: found nothing; expected a value that goes with archive.s3.secretKey{rest}"
    )


def test_an_empty_variable_in_place_of_a_secret_is_told_by_its_name() -> None:
    told = only_problem(f"archive: {{s3: {{{BUCKET}, accessKey: a, secretKey: '${{env:S}}'}}}}", {"S": ""})
    assert told.startswith('archive.s3.secretKey: found "${env:S}"; expected a value that goes with')


@pytest.mark.parametrize("sse", ["none", "AES256"])
def test_a_kms_key_needs_kms(sse: str) -> None:
    told = refused(f"s3: {{{BUCKET}, sse: {sse}, kms_key_id: alias/k}}")
    assert told == 's3.kms_key_id: found "alias/k"; expected none unless archive.s3.sse is aws:kms'


def test_kms_needs_no_key() -> None:
    assert store(f"{BUCKET}, sse: 'aws:kms'").kms_key_id == ""


@pytest.mark.parametrize("other", ["recordingsBucket", "sourcemapsBucket"])
def test_the_public_bucket_is_none_of_the_others(other: str) -> None:
    keys = {"region": "r", "recordingsBucket": "rec", "assetsBucket": "same"} | {other: "same"}
    told = only_problem(yaml.safe_dump({"archive": {"s3": keys}}))
    expected = f"another bucket than archive.s3.{other}: that of the assets is public"
    assert told == f'archive.s3.assetsBucket: found "same"; expected {expected}'


def test_the_private_buckets_may_be_one() -> None:
    assert store(f"{BUCKET}, sourcemapsBucket: abc").sourcemapsBucket == "abc"


def test_a_segment_is_at_most_half_of_the_spool() -> None:
    told = refused("rotate: {bytes: 64MiB}, spool: {max_bytes: 127MiB}")
    assert told == "rotate.bytes: found 64MiB; expected at most 65024KiB: half of archive.spool.max_bytes"
    assert archive("rotate: {bytes: 64MiB}, spool: {max_bytes: 128MiB}").rotate.bytes == 64 * MIB
    assert refused("spool: {max_bytes: 100MiB}").startswith("rotate.bytes: found 64MiB; expected at most 50MiB: ")


def test_an_upload_must_fit_into_the_queue() -> None:
    told = refused("spool: {queue_bytes: 8MiB}")
    assert told == "spool.queue_bytes: found 8MiB; expected at least limits.body, 16MiB: an upload must fit"
    text = "{limits: {body: 64MiB}, archive: {}}"
    assert only_problem(text).startswith("archive.spool.queue_bytes: found 32MiB; expected at least limits.body, 64MiB")
    assert settings("limits: {body: 64MiB}").archive is None
    assert settings("{limits: {body: 8MiB}, archive: {spool: {queue_bytes: 8MiB}}}").limits == Limits(body=8 * MIB)


def test_a_pause_is_not_longer_than_the_longest() -> None:
    told = refused("upload: {backoff: 10m}")
    assert told == "upload.backoff: found 600s; expected at most archive.upload.backoff_max, 300s"
    assert archive("upload: {backoff: 5m}").upload.backoff == 300.0


def test_gzip_knows_nine_levels() -> None:
    assert refused("codec: gzip, level: 10") == "level: found 10; expected at most 9, gzip's highest"
    assert archive("codec: gzip, level: 9").level == 9
    assert archive("level: 10").level == 10


@pytest.mark.parametrize(
    ("folder", "spool"),
    [("a", "a"), ("./a", "b/../a/"), ("/a", "/a/spool"), ("/a/b", "/a"), ("archive", "archive/x/y"), (".", "spool")],
)
def test_the_spool_is_apart_from_the_archive(folder: str, spool: str) -> None:
    told = refused(f"directory: {folder}, spool: {{directory: {spool}}}")
    found, there = str(Path(spool)), str(Path(folder))
    assert told == f'spool.directory: found "{found}"; expected a folder apart from archive.directory, "{there}"'


@pytest.mark.parametrize(("folder", "spool"), [("a", "ab"), ("/x/a", "/x/b"), ("a/../b", "a")])
def test_folders_side_by_side_are_apart(folder: str, spool: str) -> None:
    assert archive(f"directory: {folder}, spool: {{directory: {spool}}}").spool.directory == Path(spool)


def test_a_folder_that_is_not_used_is_in_nobodys_way() -> None:
    assert archive(f"s3: {{{BUCKET}}}, spool: {{directory: archive/spool}}").store == "s3"


def test_contradictions_are_told_together() -> None:
    told = problems(
        "archive: {codec: gzip, level: 12, node: a b, rotate: {bytes: 512MiB}, spool: {max_bytes: 1MiB},"
        " upload: {backoff: 1h, timeout: 0}, s3: {accessKey: a, kms_key_id: k, recordingsBucket: abc}}"
    )
    assert {line.partition(": found ")[0] for line in told} == {
        "archive.level",
        "archive.node",
        "archive.rotate.bytes",
        "archive.upload.backoff",
        "archive.upload.timeout",
        "archive.s3.region",
        "archive.s3.secretKey",
        "archive.s3.kms_key_id",
    }


@pytest.mark.parametrize(
    ("inside", "path"),
    [
        ("store: s3, s3: {recordingsBucket: A_B, region: r}", "s3.recordingsBucket"),
        ("s3: {recordingsBucket: A_B, region: r}, spool: {directory: archive}", "s3.recordingsBucket"),
        (f"s3: {{{BUCKET}, accessKey: ' ', secretKey: b}}", "s3.accessKey"),
        ("codec: bz2, level: 12", "codec"),
        ("spool: {max_bytes: little}", "spool.max_bytes"),
        ("spool: {queue_bytes: little}", "spool.queue_bytes"),
        ("spool: {max_bytes: 100MiB}, rotate: {bytes: many}", "rotate.bytes"),
        ("upload: {backoff: 1h, backoff_max: long}", "upload.backoff_max"),
    ],
)
def test_nothing_is_compared_with_a_value_that_could_not_be_read(inside: str, path: str) -> None:
    assert refused(inside).startswith(f"{path}: found ")


def test_the_queue_is_not_compared_with_a_limit_that_could_not_be_read() -> None:
    text = "{limits: {body: much}, archive: {spool: {queue_bytes: 1MiB}}}"
    assert only_problem(text).startswith("limits.body: found ")


# -- single values


@pytest.mark.parametrize(
    ("inside", "path"),
    [
        ("store: swift", "store"),
        ("store: null", "store"),
        ("directory: ''", "directory"),
        ("codec: null", "codec"),
        ("level: 0", "level"),
        ("level: 23", "level"),
        ("body: raw", "body"),
        ("inflate_max: 0", "inflate_max"),
        ("inflate_max: 2GiB", "inflate_max"),
        ("node: a/b", "node"),
        (f"node: {'x' * 65}", "node"),
        ("client_ip: none", "client_ip"),
        ("client_ip: false", "client_ip"),
        ("headers: content-type", "headers"),
        ("headers: [a b]", "headers[0]"),
        ("spool: 3", "spool"),
        ("spool: {directory: null}", "spool.directory"),
        ("spool: {max_bytes: 0}", "spool.max_bytes"),
        ("spool: {min_free_bytes: -1}", "spool.min_free_bytes"),
        ("spool: {sync: always}", "spool.sync"),
        ("spool: {sync_interval: 0}", "spool.sync_interval"),
        ("spool: {sync_interval: 1}", "spool.sync_interval"),
        ("spool: {answer_wait: 0}", "spool.answer_wait"),
        ("spool: {on_full: block}", "spool.on_full"),
        ("rotate: {bytes: 0}", "rotate.bytes"),
        ("rotate: {bytes: 513MiB}, spool: {max_bytes: 10GiB}", "rotate.bytes"),
        ("rotate: {seconds: 0}", "rotate.seconds"),
        ("rotate: {seconds: -1}", "rotate.seconds"),
        ("upload: {parallel: 0}", "upload.parallel"),
        ("upload: {backoff: 0}", "upload.backoff"),
        ("upload: {timeout: 0}", "upload.timeout"),
        (f"s3: {{{BUCKET}, addressing: dns}}", "s3.addressing"),
        (f"s3: {{{BUCKET}, sse: AES128}}", "s3.sse"),
        (f"s3: {{{BUCKET}, prefix: ../a}}", "s3.prefix"),
        (f"s3: {{{BUCKET}, ca_file: ''}}", "s3.ca_file"),
        (f"s3: {{{BUCKET}, assetsBucket: a}}", "s3.assetsBucket"),
        (f"s3: {{{BUCKET}, sourcemapsBucket: A_B}}", "s3.sourcemapsBucket"),
        (f"s3: {{{BUCKET}, endpoint: 'https://a/b'}}", "s3.endpoint"),
        ("s3: {recordingsBucket: abc, region: a b}", "s3.region"),
        (f"s3: {{{BUCKET}, tags: {{a&b: x}}}}", 's3.tags["a&b"]'),
        (f"s3: {{{BUCKET}, tags: {{a: 3}}}}", "s3.tags.a"),
        (f"s3: {{{BUCKET}, tags: [a]}}", "s3.tags"),
    ],
)
def test_a_bad_value_is_refused_at_its_place(inside: str, path: str) -> None:
    assert refused(inside).startswith(f"{path}: found ")


def test_at_most_ten_tags() -> None:
    ten = ", ".join(f"t{number}: x" for number in range(10))
    assert len(store(f"{BUCKET}, tags: {{{ten}}}").tags) == 10
    told = refused(f"s3: {{{BUCKET}, tags: {{{ten}, t10: x}}}}")
    assert told == "s3.tags: found a mapping; expected at most 10 entries"
    assert store(f"{BUCKET}, tags: {{}}").tags == {}


@pytest.mark.parametrize("name", sorted(NEVER_KEPT))
def test_credentials_and_addresses_are_not_kept(name: str) -> None:
    told = refused(f"headers: [{name.title()}]")
    expected = "a header without credentials and client addresses (those: archive.client_ip)"
    assert told == f'headers[0]: found "{name.title()}"; expected {expected}'


@pytest.mark.parametrize(
    ("inside", "path", "meant"),
    [
        ("derectory: a", "derectory", "directory"),
        ("s3: {region: r, recordingsBucket: abc, accesskey: a}", "s3.accesskey", "accessKey"),
        ("spool: {max_byte: 1}", "spool.max_byte", "max_bytes"),
        ("upload: {paralel: 1}", "upload.paralel", "parallel"),
    ],
)
def test_an_unknown_key_is_told_with_the_one_that_is_meant(inside: str, path: str, meant: str) -> None:
    assert refused(inside) == f"{path}: found an unknown key; expected {meant} (did you mean that?)"


# -- secrets

KEYS = "accessKey: SECRET1, secretKey: SECRET2"


def test_keys_are_masked_wherever_they_are_shown() -> None:
    given = settings(f"archive: {{s3: {{{BUCKET}, {KEYS}}}}}")
    assert "SECRET" not in f"{given!r} {given} {masked(given)} {given.model_dump()} {given.model_dump_json()}"
    shown = masked(given)["archive"]["s3"]
    assert (shown["accessKey"], shown["secretKey"], shown["recordingsBucket"]) == (MASK, MASK, "abc")


def test_that_there_are_no_keys_is_shown() -> None:
    shown = masked(settings(f"archive: {{s3: {{{BUCKET}}}}}"))["archive"]["s3"]
    assert (shown["accessKey"], shown["secretKey"]) == ("", "")


def test_what_is_shown_is_a_valid_file_where_nothing_is_secret() -> None:
    for inside in ("", f"s3: {{{BUCKET}, prefix: a, tags: {{a: b}}}}, node: n, rotate: {{seconds: 0.25}}"):
        given = settings(f"archive: {{{inside}}}")
        assert settings(yaml.safe_dump(masked(given))) == given


def test_a_store_without_its_keys_is_otherwise_the_same() -> None:
    s3 = store(f"{BUCKET}, prefix: a, {KEYS}")
    assert s3.without_keys() == store(f"{BUCKET}, prefix: a")
    assert s3.secretKey.get_secret_value() == "SECRET2"


def test_the_schema_holds_no_key() -> None:
    properties: dict[str, Any] = json_schema()["$defs"]["S3"]["properties"]
    assert properties["accessKey"]["default"] == properties["secretKey"]["default"] == ""


@pytest.mark.parametrize(
    "inside",
    [
        "'SECRET'",
        "[SECRET]",
        "{s3: SECRET}",
        "{s3: [SECRET]}",
        f"{{s3: {{{BUCKET}, accessKey: ' SECRET', secretKey: b}}}}",
        f"{{s3: {{{BUCKET}, accessKey: a, secretKey: 'SECRET '}}}}",
        f"{{s3: {{{BUCKET}, accessKey: a, secretKey: [SECRET]}}}}",
        f"{{s3: {{{BUCKET}, accessKey: a, secretKey: {{SECRET: 1}}}}}}",
        f"{{s3: {{{BUCKET}, accessKey: SECRET}}}}",
        f"{{s3: {{{BUCKET}, secretKey: SECRET}}}}",
        f"{{s3: {{{BUCKET}, secret_key: SECRET}}}}",
        "{secretKey: SECRET}",
        f"{{s3: {{{BUCKET}, endpoint: 'https://SECRET:SECRET@a'}}}}",
    ],
)
def test_a_bad_key_is_not_told(inside: str) -> None:
    assert "SECRET" not in only_problem(f"archive: {inside}")


def test_a_number_in_place_of_a_key_is_not_told_either() -> None:
    told = problems(f"archive: {{s3: {{{BUCKET}, accessKey: 12345, secretKey: 67890}}}}")
    assert [line.partition(";")[0] for line in told] == [
        "archive.s3.accessKey: found a value that is not shown",
        "archive.s3.secretKey: found a value that is not shown",
    ]


def test_a_secret_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a/b+c\n")
    s3 = store(f"{BUCKET}, accessKey: a, secretKey: '${{file:{tmp_path}/secret}}'")
    assert s3.secretKey.get_secret_value() == "a/b+c"


def test_no_section_of_the_archive_is_without_a_default_but_the_bucket() -> None:
    required = [
        (kind.__name__, name)
        for kind in (Archive, S3, Spool, Rotate, Upload)
        for name, field in kind.model_fields.items()
        if field.is_required()
    ]
    assert required == [("S3", "recordingsBucket")]
