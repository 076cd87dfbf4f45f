"""Proves that options become the client that they ask for, that wrong ones are refused at once, and that no secret
shows."""

from __future__ import annotations

import builtins
import http.server
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.archive.s3 import S3Store
from proxy.archive.s3_client import S3Options, addressing_style, is_aws, is_loopback, open_client, url_of
from proxy.archive.store import StoreError

KEYS: dict[str, Any] = {"access_key": "AKIDEXAMPLE", "secret_key": "wJalrXUtnFEMI"}


@pytest.fixture(autouse=True)
def no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("endpoint", "bucket", "style"),
    [
        ("https://s3.eu-central-1.amazonaws.com", "recordings", "virtual"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "recordings", "virtual"),
        ("https://s3.eu-central-1.amazonaws.com", "with.dots", "path"),
        ("http://127.0.0.1:9000", "recordings", "path"),
        ("http://[::1]:9000", "recordings", "path"),
        ("http://localhost:9000", "recordings", "path"),
        ("https://minio.example.com", "recordings", "path"),
        ("https://storage.googleapis.com", "recordings", "path"),
        ("https://amazonaws.com.evil.example", "recordings", "path"),
        ("", "recordings", "auto"),
    ],
)
def test_auto_is_virtual_for_aws_and_path_for_all_others(endpoint: str, bucket: str, style: str) -> None:
    assert addressing_style(S3Options(bucket, endpoint)) == style
    assert addressing_style(S3Options(bucket, endpoint, addressing="path")) == "path"
    assert addressing_style(S3Options(bucket, endpoint, addressing="virtual")) == "virtual"


@pytest.mark.parametrize(
    ("options", "url"),
    [
        (S3Options("bucket", region="eu-west-1", **KEYS), "https://bucket.s3.eu-west-1.amazonaws.com/k"),
        (S3Options("a.bucket", region="eu-west-1", **KEYS), "https://s3.eu-west-1.amazonaws.com/a.bucket/k"),
        (
            S3Options("bucket", "https://s3.eu-west-1.amazonaws.com", "eu-west-1", **KEYS),
            "https://bucket.s3.eu-west-1.amazonaws.com/k",
        ),
        (S3Options("bucket", "https://minio.example.com", **KEYS), "https://minio.example.com/bucket/k"),
        (
            S3Options("bucket", "https://minio.example.com", addressing="virtual", **KEYS),
            "https://bucket.minio.example.com/k",
        ),
    ],
)
def test_the_bucket_is_where_the_style_puts_it(options: S3Options, url: str) -> None:
    assert url_of(options, "k") == url


def test_an_endpoint_of_the_environment_is_used_with_the_bucket_in_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://minio.example.com")
    assert url_of(S3Options("bucket", **KEYS), "k") == "https://minio.example.com/bucket/k"


def test_the_client_signs_bodies_and_sends_no_checksums_behind_them() -> None:
    config = open_client(S3Options("b", connect_timeout=1.5, read_timeout=2.5, **KEYS)).meta.config
    assert config.signature_version == "s3v4"
    assert config.s3["payload_signing_enabled"] is True
    assert config.request_checksum_calculation == config.response_checksum_validation == "when_required"
    assert (config.connect_timeout, config.read_timeout) == (1.5, 2.5)
    assert config.retries == {"mode": "standard", "total_max_attempts": 2}


def test_the_region_is_that_of_the_options_then_of_the_machine_then_the_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_client(S3Options("b", **KEYS)).meta.region_name == "us-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert open_client(S3Options("b", **KEYS)).meta.region_name == "eu-west-3"
    assert open_client(S3Options("b", region="eu-west-1", **KEYS)).meta.region_name == "eu-west-1"


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"access_key": "a"}, "go together"),
        ({"secret_key": "s3cr3t"}, "go together"),
        ({"endpoint": "s3.example.com"}, "URL such as"),
        ({"endpoint": "ftp://s3.example.com"}, "URL such as"),
        ({"endpoint": "https://"}, "URL such as"),
        ({"endpoint": "https://user:s3cr3t@s3.example.com"}, "user name"),
    ],
)
def test_options_that_do_not_go_together_are_refused(given: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as raised:
        S3Options("b", **given)
    assert "s3cr3t" not in str(raised.value)


def test_no_secret_shows_in_options() -> None:
    shown = repr(S3Options("b", **KEYS))
    assert [value for value in KEYS.values() if value in shown] == []


@pytest.mark.parametrize(("prefix", "folder"), [("", ""), ("/", ""), ("a", "a/"), ("/a/b/", "a/b/")])
def test_a_prefix_ends_with_one_slash(prefix: str, folder: str) -> None:
    assert S3Options("b", prefix=prefix).folder == folder


def test_loopback_and_aws_are_recognised() -> None:
    assert all(map(is_loopback, ("http://127.0.0.2:1", "http://[::1]", "http://localhost")))
    assert not is_loopback("http://10.0.0.1")
    assert is_aws("")
    assert not is_loopback("")
    assert not is_aws("https://notamazonaws.com")


def test_a_file_of_authorities_is_looked_at_before_anything_is_sent(tmp_path: Path) -> None:
    missing, empty = tmp_path / "none.pem", tmp_path / "empty.pem"
    empty.write_text("")
    for file, told in ((missing, "can't read"), (empty, "holds no certificate")):
        with pytest.raises(StoreError, match=told) as raised:
            S3Store(S3Options("b", ca_file=file, **KEYS))
        assert str(file) in str(raised.value)


def test_without_boto3_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The import is made to fail, as in an environment without it."""
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] in ("boto3", "botocore"):
            raise ImportError(name)
        return real(name, *rest, **more)

    for name in [name for name in sys.modules if name.partition(".")[0] in ("boto3", "botocore")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(StoreError, match=r"pip install 'replay-gateway\[s3\]'"):
        S3Store(S3Options("b"))


def test_an_object_that_is_too_large_for_one_request_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sparse"
    with file.open("wb") as sparse:
        sparse.truncate(5 * 1024**3 + 1)
    with pytest.raises(StoreError, match=r"lower archive\.rotate\.bytes") as raised:
        S3Store(S3Options("b", "http://127.0.0.1:9", **KEYS)).put("large", file)
    assert (raised.value.code, raised.value.is_transient) == ("TooLarge", False)


# -- what is logged of failures

SECRET = "SECRETcafe0123"


class Repeating(http.server.BaseHTTPRequestHandler):
    """A server that refuses, and repeats what it was sent."""

    def do_GET(self) -> None:
        sent = self.headers["Authorization"]
        body = f"<Error><Code>InvalidAccessKeyId</Code><Message>no such key: {sent}</Message></Error>".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def repeating() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Repeating) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def failure(options: S3Options) -> str:
    """All that could be logged when an object can't be read."""
    with pytest.raises(StoreError) as raised:
        S3Store(options).read("k")
    return "".join(traceback.format_exception(raised.value))


def test_a_server_that_repeats_the_signature_is_not_repeated(repeating: str) -> None:
    text = failure(S3Options("bucket", repeating, "us-east-1", SECRET, SECRET))
    assert "(403 InvalidAccessKeyId: no such key: …)" in text
    assert SECRET not in text


def test_credentials_that_no_header_can_hold_are_told_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", SECRET), ("SESSION_TOKEN", f"{SECRET}\n")):
        monkeypatch.setenv(f"AWS_{name}", value)
    text = failure(S3Options("bucket", "http://127.0.0.1:9", "us-east-1"))
    assert "those found hold a line break" in text
    assert SECRET not in text
