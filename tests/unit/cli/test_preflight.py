"""Proves that files and ports are tried before the gateway starts, and that each fault is told at its setting."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from proxy.cli.preflight import files, ports
from proxy.settings import Advice, Problem, Settings


@pytest.fixture
def busy() -> Iterator[socket.socket]:
    """A socket that listens on a loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({"admin": None, "listen": {"address": "127.0.0.1:0"}, **sections})


def with_tls(folder: Path, leaf: trustme.LeafCert, **changes: str) -> Settings:
    (folder / "a.pem").write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(folder / "a.key"))
    tls = {"certificate": str(folder / "a.pem"), "key": str(folder / "a.key"), **changes}
    return settings(listen=[{"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0", "tls": tls}])


def told(found: Iterator[Problem | Advice]) -> list[str]:
    return [str(item) for item in found if isinstance(item, Problem)]


def test_free_ports_are_fine() -> None:
    assert (
        ports(Settings.model_validate({"listen": {"address": "127.0.0.1:0"}, "admin": {"address": "127.0.0.1:0"}}))
        == []
    )


def test_a_port_in_use_is_told(busy: socket.socket) -> None:
    port = busy.getsockname()[1]
    (problem,) = ports(settings(listen=[{"address": "127.0.0.1:0"}, {"address": f"127.0.0.1:{port}"}]))
    assert str(problem).startswith(
        f"listen[1].address: can't listen on 127.0.0.1:{port}: the address is already in use"
    )


def test_all_ports_in_use_are_told(busy: socket.socket) -> None:
    port = busy.getsockname()[1]
    found = ports(
        settings(
            listen=[{"address": f"127.0.0.1:{port}"}, {"address": f"0.0.0.0:{port}"}],
            admin={"address": f"[::ffff:127.0.0.1]:{port}"},
        )
    )
    assert [problem.path for problem in found] == ["listen[0].address", "listen[1].address", "admin.address"]


def test_a_port_that_another_shares_with_so_reuseport_is_in_use() -> None:
    with socket.socket() as shared:
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(("127.0.0.1", 0))
        shared.listen()
        assert len(ports(settings(listen={"address": f"127.0.0.1:{shared.getsockname()[1]}"}))) == 1


def test_listeners_that_exclude_each_other_are_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    found = ports(settings(listen=[{"address": f"127.0.0.1:{port}"}, {"address": f"0.0.0.0:{port}"}]))
    assert [problem.path for problem in found] == ["listen[1].address"]


def test_both_wildcards_may_share_a_port() -> None:
    with socket.create_server(("0.0.0.0", 0)) as probe:
        port = probe.getsockname()[1]
    assert ports(settings(listen=[{"address": f"[::]:{port}"}, {"address": f"0.0.0.0:{port}"}])) == []


def test_an_address_of_another_machine_is_told() -> None:
    (problem,) = ports(settings(listen={"address": "192.0.2.1:0"}))
    assert "this machine has no such address" in str(problem)


def test_a_name_that_means_nothing_is_told() -> None:
    (problem,) = ports(settings(listen={"address": "nowhere.invalid:0"}))
    assert problem.path == "listen[0].address"


def test_trying_ports_leaves_them_free(busy: socket.socket) -> None:
    port = busy.getsockname()[1]
    busy.close()
    given = settings(listen={"address": f"127.0.0.1:{port}"})
    assert ports(given) == ports(given) == []


def test_a_good_certificate_is_fine(tmp_path: Path, authority: trustme.CA) -> None:
    leaf = authority.issue_cert("a.example", not_after=datetime.now(UTC) + timedelta(days=30))
    assert list(files(with_tls(tmp_path, leaf))) == []


def test_a_certificate_that_is_about_to_expire_is_a_warning(tmp_path: Path, authority: trustme.CA) -> None:
    leaf = authority.issue_cert("a.example", not_after=datetime.now(UTC) + timedelta(days=5, hours=1))
    (advice,) = files(with_tls(tmp_path, leaf))
    assert isinstance(advice, Advice)
    assert str(advice) == f"listen[1].tls.certificate: {tmp_path}/a.pem expires in 5 days; renew it"


def test_an_expired_certificate_is_told(tmp_path: Path, authority: trustme.CA) -> None:
    now = datetime.now(UTC)
    leaf = authority.issue_cert("a.example", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))
    (line,) = told(files(with_tls(tmp_path, leaf)))
    assert line.startswith("listen[1].tls.certificate: ")
    assert "has expired" in line


def test_missing_files_are_all_told(tmp_path: Path, authority: trustme.CA) -> None:
    given = with_tls(tmp_path, authority.issue_cert("a"), certificate=str(tmp_path / "x"), key=str(tmp_path / "y"))
    assert told(files(given)) == [
        f"listen[1].tls.certificate: can't read {tmp_path}/x: No such file or directory",
        f"listen[1].tls.key: can't read {tmp_path}/y: No such file or directory",
    ]


def test_a_relative_path_is_told_in_full(authority: trustme.CA, tmp_path: Path) -> None:
    lines = told(files(with_tls(tmp_path, authority.issue_cert("a"), certificate="nowhere.pem")))
    assert lines == [f"listen[1].tls.certificate: can't read {os.getcwd()}/nowhere.pem: No such file or directory"]


def test_a_directory_in_place_of_a_key_is_told(tmp_path: Path, authority: trustme.CA) -> None:
    (line,) = told(files(with_tls(tmp_path, authority.issue_cert("a"), key=str(tmp_path))))
    assert line == f"listen[1].tls.key: can't read {tmp_path}: Is a directory"


def test_a_key_of_another_certificate_is_told(tmp_path: Path, authority: trustme.CA) -> None:
    other = tmp_path / "other.key"
    authority.issue_cert("b").private_key_pem.write_to_path(str(other))
    (line,) = told(files(with_tls(tmp_path, authority.issue_cert("a"), key=str(other))))
    assert line.startswith("listen[1].tls: ")
    assert "belong together" in line


@pytest.mark.parametrize("which", ["certificate", "key"])
def test_a_file_that_is_no_pem_is_told(tmp_path: Path, authority: trustme.CA, which: str) -> None:
    (tmp_path / "text").write_text("hello")
    (line,) = told(files(with_tls(tmp_path, authority.issue_cert("a"), **{which: str(tmp_path / "text")})))
    assert line.startswith("listen[1].tls: ")


def test_trust_anchors_that_work_are_fine(tmp_path: Path, authority: trustme.CA) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    upstreams = {"us": {"track": {"url": "https://a", "ca_file": str(tmp_path / "ca.pem")}}}
    assert list(files(settings(upstreams=upstreams))) == []


def test_trust_anchors_that_are_missing_or_empty_are_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    upstreams = {
        "us": {"track": {"url": "https://a", "ca_file": str(tmp_path / "none")}},
        "eu": {"config": {"url": "https://a", "ca_file": str(tmp_path / "text")}},
    }
    archive = {"s3": {"region": "r", "recordingsBucket": "abc", "ca_file": str(tmp_path / "text")}}
    assert told(files(settings(upstreams=upstreams, archive=archive))) == [
        f"upstreams.us.track.ca_file: can't read {tmp_path}/none: No such file or directory",
        f"upstreams.eu.config.ca_file: {tmp_path}/text holds no certificate; it must be PEM",
        f"archive.s3.ca_file: {tmp_path}/text holds no certificate; it must be PEM",
    ]


def test_tokens_need_a_library_and_keys_that_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    good = settings(jwt={"algorithms": ["HS256"], "secret": "s" * 32})
    assert list(files(good)) == []
    (told,) = files(settings(jwt={"jwks": '{"keys": []}'}))
    assert isinstance(told, Problem)
    assert (told.path, told.found) == ("jwt.jwks", "no key in it can be used for RS256")
    monkeypatch.setitem(sys.modules, "jwt", None)
    (told,) = files(good)
    assert isinstance(told, Problem)
    assert "pip install 'replay-gateway[jwt]'" in told.found


def test_the_authorities_of_a_set_of_keys_are_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "absent.pem"):
        told = [*files(settings(jwt={"jwks_url": "https://id.example/k", "ca_file": str(tmp_path / name)}))]
        assert [each.path for each in told] == ["jwt.ca_file"]
