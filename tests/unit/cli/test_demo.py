"""Proves `demo`: what it prints works as printed, and at its end neither process nor file is left, but the archive."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from proxy.cli import main
from proxy.cli.demo import API_KEY, demo_settings, instructions
from proxy.settings import Address
from proxy.settings.upstreams import BUILT_IN
from tests.gateway import eventually, free_port, is_alive

ROOT = Path(__file__).resolve().parents[3]
LAST_LINE = "Ctrl-C ends both.\n"
VENDOR = {"us-tls": "127.0.0.1:1", "eu-tls": "127.0.0.1:2", "ca_file": "/tmp/ca.pem"}


class Demo:
    """A running demo: its process, and what it printed until it was ready."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.text = ""
        for line in process.stdout:
            self.text += line
            if line == LAST_LINE:
                return
        raise AssertionError(f"it ended before it was ready, with exit code {process.wait()}")

    def descendants(self) -> list[int]:
        """The process ids of everything that it started."""
        found = [self.process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        return found[1:]


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo's process in a session of its own, with `folder` for temporary files."""
    ports = ["--port", str(free_port()), "--admin-port", str(free_port())]
    with (
        errors_of(folder).open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "proxy", "demo", *ports],
            cwd=archive_of(folder).parent,
            env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def archive_of(folder: Path) -> Path:
    """Where the demo archives."""
    return folder.parent / "archive"


def errors_of(folder: Path) -> Path:
    """What the demo wrote to standard error."""
    return folder.parent / "stderr"


@contextmanager
def running(folder: Path) -> Iterator[Demo]:
    """The same, once it is ready."""
    with started(folder) as process:
        yield Demo(process)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the demo puts its temporary files."""
    made = tmp_path / "temporary"
    made.mkdir()
    return made


def curl_lines(text: str) -> list[list[str]]:
    """The words of each curl command in the text."""
    joined = text.replace("\\\n", " ")
    return [shlex.split(line) for line in joined.splitlines() if line.strip().startswith("curl ")]


def carry_out(words: list[str]) -> HTTPResponse:
    """What a curl command with -X, -H, --data and -i does."""
    method, headers, data, url = "", {}, None, ""
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif word == "--data":
            data = next(rest)
        elif word != "-i":
            url = word
    parts = urlsplit(url)
    connection = HTTPConnection("127.0.0.1", parts.port or 80, timeout=30)
    connection.request(method or ("POST" if data else "GET"), f"{parts.path}?{parts.query}".rstrip("?"), data, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_what_is_printed_works_and_ctrl_c_leaves_nothing(folder: Path) -> None:
    with running(folder) as demo:
        commands = curl_lines(demo.text)
        assert [carry_out(words).status for words in commands] == [200, 200, 204]
        (admin,) = re.findall(r"Admin: (\S+)", demo.text)
        assert carry_out(["curl", f"{admin}/health/ready"]).status == 200
        below = demo.descendants()
        assert len(below) >= 2
        os.killpg(demo.process.pid, signal.SIGINT)
        assert demo.process.wait(30) == 0
        eventually(lambda: not any(map(is_alive, below)), 30, "every process ends")
        assert list(folder.iterdir()) == []


def archive_commands(text: str) -> list[str]:
    """The lines that call the archive's commands."""
    return [line.strip() for line in text.splitlines() if " archive " in line and "--config" in line]


def printed_by(command: str) -> subprocess.CompletedProcess[str]:
    """What a shell makes of a line of the instructions."""
    return subprocess.run(
        ["sh", "-c", command],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_upload_is_found_and_read_back_as_printed_and_stays(folder: Path) -> None:
    with running(folder) as demo:
        find, get, status = archive_commands(demo.text)
        assert carry_out(curl_lines(demo.text)[0]).status == 200
        eventually(lambda: "1 payload in 1 block" in printed_by(find).stderr, 60, "the upload is archived")
        told = printed_by(status)
        assert told.returncode == 0, told
        assert "sum             even\n" in told.stdout
        assert carry_out(curl_lines(demo.text)[0]).status == 200
        demo.process.terminate()
        assert demo.process.wait(30) == 0
    read = printed_by(get)
    assert (read.returncode, read.stderr.count("Traceback")) == (0, 0), read
    # The second is archived at the end, before its time.
    assert [json.loads(line)["body"] for line in read.stdout.splitlines()] == [{"version": 1, "events": []}] * 2
    assert {path.name for path in folder.parent.iterdir()} == {"archive", "stderr", "temporary"}


def test_a_folder_that_can_not_be_archived_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "archive").write_text("a file where the folder should be")
    result = CliRunner().invoke(main, ["demo", "--port", str(free_port()), "--admin-port", str(free_port())])
    assert result.exit_code == 1
    assert result.stderr.startswith("the demo archives below the folder in which it is started: ")
    assert str(tmp_path / "archive") in result.stderr


def test_what_was_archived_is_neither_committed_nor_cleaned_away_nor_sent_to_a_builder() -> None:
    folders = {"archive", "spool"}
    dry = subprocess.run(["make", "-n", "clean"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert folders & set(re.split(r"[\s/]+", dry.stdout)) == set()
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {f"/{name}/" for name in folders} <= set(ignored)
    first, *sent = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert first == "*"
    assert {f"!{name}" for name in folders} & set(sent) == set()


def test_sigterm_leaves_nothing(folder: Path) -> None:
    with running(folder) as demo:
        below = demo.descendants()
        demo.process.terminate()
        assert demo.process.wait(30) == 0
        eventually(lambda: not any(map(is_alive, below)), 30, "every process ends")
        assert list(folder.iterdir()) == []
    assert "Traceback" not in errors_of(folder).read_text()


def test_impatience_leaves_nothing(folder: Path) -> None:
    with running(folder) as demo:
        below = demo.descendants()

        def ended_by_another_ctrl_c() -> bool:
            demo.process.send_signal(signal.SIGINT)
            return demo.process.poll() is not None

        eventually(ended_by_another_ctrl_c, 60, "the demo ends")
        eventually(lambda: not any(map(is_alive, below)), 30, "every process ends")
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_it_is_ready_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    with started(folder) as process:
        eventually(lambda: list(folder.iterdir()), 30, "the temporary directory is there")
        process.send_signal(number)
        assert process.wait(30) == 0
        assert list(folder.iterdir()) == []
    assert "Traceback" not in errors_of(folder).read_text()


def test_a_kill_leaves_no_process(folder: Path) -> None:
    with running(folder) as demo:
        below = demo.descendants()
        demo.process.kill()
        demo.process.wait(30)
        eventually(lambda: not any(map(is_alive, below)), 30, "every process ends")


@pytest.mark.parametrize(("option", "setting"), [("--port", "listen[0].address"), ("--admin-port", "admin.address")])
def test_a_port_in_use_is_told(option: str, setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ports = {"--port": free_port(), "--admin-port": free_port()}
    with socket.create_server(("127.0.0.1", 0)) as busy:
        ports[option] = busy.getsockname()[1]
        arguments = [str(word) for pair in ports.items() for word in pair]
        result = CliRunner().invoke(main, ["demo", *arguments])
    assert result.exit_code == 2
    assert result.stderr.startswith("demo: 1 problem\n")
    assert f"{setting}: can't listen on " in result.stderr
    assert "already in use" in result.stderr


def test_one_port_for_both_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    port = str(free_port())
    result = CliRunner().invoke(main, ["demo", "--port", port, "--admin-port", port])
    assert result.exit_code == 2
    assert "admin.address: " in result.stderr


def test_the_vendors_names_are_kept_and_the_stand_in_is_dialled() -> None:
    settings = demo_settings(8080, 9090, VENDOR, Path("/srv"))
    for region, routes in BUILT_IN.items():
        for route, url in routes.items():
            upstream = getattr(settings.upstreams[region], route)
            assert (upstream.url, upstream.tls) == (url, True)
            assert upstream.ca_file == Path("/tmp/ca.pem")
    assert settings.upstreams["us"].track.connect == Address("127.0.0.1", 1)
    assert settings.upstreams["eu"].config.connect == Address("127.0.0.1", 2)
    assert settings.listen[0].address == Address("0.0.0.0", 8080)
    assert settings.admin is not None
    assert settings.admin.address == Address("127.0.0.1", 9090)


def test_the_instructions_hold_everything_a_site_needs() -> None:
    text = instructions(8081, 9091, Path("/srv"))
    assert 'trackServerUrl: "http://localhost:8081/sessions/v2/track"' in text
    assert 'configServerUrl: "http://localhost:8081/config"' in text
    assert "connect-src http://localhost:8081; worker-src blob:" in text
    assert "http://127.0.0.1:9091" in text
    assert API_KEY in text
    assert len(curl_lines(text)) == 3
    assert text.endswith(LAST_LINE)
    assert not re.search(r":(8080|9090)", text)
