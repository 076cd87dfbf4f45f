"""Proves `run`: exit code 2 and every problem before anything starts; else a gateway that serves and ends with 0."""

from __future__ import annotations

import socket
from pathlib import Path

from click.testing import CliRunner, Result

from proxy.cli import main
from tests.gateway import Gateway


def run_text(folder: Path, text: str) -> Result:
    file = folder / "gateway.yaml"
    file.write_text(text)
    return CliRunner().invoke(main, ["run", "--config", str(file)])


def test_a_bad_file_is_told_and_nothing_starts(tmp_path: Path) -> None:
    result = run_text(tmp_path, "workers: 0\nnonsense: 1\n")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{tmp_path}/gateway.yaml: 2 problems\n")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["run", "--config", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "no readable file" in result.stderr


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        result = run_text(
            tmp_path, f"listen: {{address: '127.0.0.1:{port}'}}\nadmin: {{address: '127.0.0.1:{port}'}}\n"
        )
        assert result.exit_code == 2  # the same address twice
        result = run_text(tmp_path, f"listen: {{address: '127.0.0.1:0'}}\nadmin: {{address: '127.0.0.1:{port}'}}\n")
    assert result.exit_code == 2
    assert f"admin.address: can't listen on 127.0.0.1:{port}: the address is already in use" in result.stderr


def test_files_and_ports_are_told_together(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        text = f"listen: {{address: '{address}', tls: {{certificate: /none, key: /none}}}}\nadmin: null\n"
        result = run_text(tmp_path, text)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{tmp_path}/gateway.yaml: 3 problems\n")


def test_a_gateway_serves_and_ends_with_0() -> None:
    with Gateway() as gateway:
        assert gateway.health("ready")[0] == 200
        assert gateway.stop() == 0


def test_warnings_do_not_keep_it_from_starting() -> None:
    with Gateway({"timeouts": {"config_total": "5s"}}) as gateway:
        assert "warning  timeouts.config_total: " in gateway.log_text()
