"""Proves what `replay-gateway reload` prints, and its exit codes, whatever answers at the admin address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from proxy.cli import main


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    """An admin server that gives this answer; its address, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(f"POST {self.path}")
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def reload(folder: Path, admin: str | None, *arguments: str) -> Result:
    file = folder / "gateway.yaml"
    file.write_text(json.dumps({"admin": admin and {"address": admin}}))
    return CliRunner().invoke(main, ["reload", "--config", str(file), *arguments])


@pytest.mark.parametrize(
    ("result", "status", "lines", "code", "printed"),
    [
        ("applied", 200, ["limits.body"], 0, "applied; changed:\n  limits.body\n"),
        ("applied", 200, [], 0, "applied; nothing had changed, certificates and files were read again\n"),
        ("problems", 422, ["a: b"], 2, "nothing was changed, the configuration is wrong:\n  a: b\n"),
        ("restart_needed", 409, ["workers"], 2, "nothing was changed; these need a restart:\n  workers\n"),
        ("failed", 500, ["why"], 1, "nothing was changed, because a worker could not take it over:\n  why\n"),
    ],
)
def test_what_came_of_it(tmp_path: Path, result: str, status: int, lines: list[str], code: int, printed: str) -> None:
    document = {"result": result, "lines": lines}
    with answering(status, json.dumps(document).encode()) as (admin, asked):
        plain, as_json = reload(tmp_path, admin), reload(tmp_path, admin, "--json")
    assert (plain.exit_code, plain.stdout) == (code, printed)
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (code, document)
    assert asked == ["POST /reload"] * 2


def test_nobody_there(tmp_path: Path) -> None:
    with answering(200, b"") as (admin, _):
        pass
    found = reload(tmp_path, admin)
    assert found.exit_code == 1
    assert f"no gateway can be asked at admin.address {admin}: Connection refused" in found.stderr


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"result": "odd", "lines": []}'])
def test_another_server(tmp_path: Path, body: bytes) -> None:
    with answering(404, body) as (admin, _):
        found = reload(tmp_path, admin)
    assert found.exit_code == 1
    assert "no gateway of this version: 404" in found.stderr


def test_without_an_admin_server_the_signal_is_told(tmp_path: Path) -> None:
    found = reload(tmp_path, None)
    assert found.exit_code == 2
    assert "SIGHUP" in found.stderr


def test_a_file_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("limits: {body: -1}")
    found = CliRunner().invoke(main, ["reload", "--config", str(file)])
    assert found.exit_code == 2
    assert "limits.body" in found.stderr
