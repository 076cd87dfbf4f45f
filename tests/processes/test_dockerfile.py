"""Replays the Dockerfile without Docker, in a temporary folder that stands for the image's root: the build context that
.dockerignore leaves, every COPY, every RUN that is Python's business (wheels from the lock files by hash, the project's
own wheel, a virtual environment), then the entry point, the health check and the stop signal.

What this does not prove: that the base images can be had, that apt-get and useradd do in them what they should, that
the wheels fit the image's C library, that the unprivileged user may read what it needs, and how Docker itself reads the
file. Only a build proves that. Nor is the data path compiled once more: `make` did that with the same locked tools. It
is shown that the image's build has those tools and every source.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.gateway import eventually, free_port

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
# What only an image has; everything else of a RUN is done here.
SYSTEM = {"apt-get", "install", "rm", "useradd"}
BASE = "python:3.11-slim-bookworm"
BUILD_SECONDS = 300  # a few when pip has the wheels already

pytestmark = pytest.mark.timeout(2 * BUILD_SECONDS)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One of the Dockerfile, its continued lines joined."""

    name: str
    value: str


def instructions() -> list[Instruction]:
    """The whole file in order."""
    lines = "\n".join(line for line in TEXT.splitlines() if not line.startswith("#"))
    joined = lines.replace("\\\n", " ").splitlines()
    return [Instruction(*line.split(maxsplit=1)) for line in joined if line.strip()]


def last(name: str) -> str:
    """The value of the last instruction of this name."""
    return [each.value for each in instructions() if each.name == name][-1]


def words(name: str) -> list[str]:
    """The words of the last instruction of this name that is a command."""
    command: list[str] = json.loads(re.sub(r"^.*? CMD ", "", last(name)))
    return command


@dataclass
class Replay:
    """The build so far. `root` stands for the root of the stage in hand; a stage that is done is moved away, so that
    the next one has nothing but what it copies."""

    folder: Path
    root: Path = field(init=False)
    context: Path = field(init=False)
    workdir: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    stages: dict[str, Path] = field(default_factory=dict)
    stage: str = ""

    def __post_init__(self) -> None:
        self.root = self.folder / "root"
        self.context = self.folder / "context"
        lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
        assert lines[0] == "*", "everything is left out but what is listed"
        for kept in (line[1:] for line in lines if line.startswith("!")):
            copied(ROOT / kept, self.context / kept)
        venv.create(self.folder / "image", with_pip=True, symlinks=True)

    def perform(self, each: Instruction) -> None:
        """One instruction; those that only describe the image change nothing here."""
        match each.name:
            case "FROM":
                image, _, stage = each.value.partition(" AS ")
                assert image == BASE
                if self.stage:
                    self.stages[self.stage] = self.root.rename(self.folder / f"stage-{self.stage}")
                self.root.mkdir()
                self.stage, self.workdir, self.environment = stage or "image", "/", {}
            case "WORKDIR":
                self.workdir = each.value
                self.at(each.value).mkdir(parents=True, exist_ok=True)
            case "ENV":
                self.environment |= dict(pair.split("=", 1) for pair in each.value.split())
            case "COPY":
                self.copy(each.value)
            case "RUN":
                self.run(each.value)
            case "LABEL" | "USER" | "EXPOSE" | "HEALTHCHECK" | "STOPSIGNAL" | "ENTRYPOINT" | "CMD":
                pass
            case _:
                pytest.fail(f"the replay does not know {each.name}")

    def at(self, path: str) -> Path:
        """Where a path of the image is here."""
        return self.root / os.path.join(self.workdir, path).lstrip("/")

    def translated(self, text: str) -> str:
        """A command or a value with the image's own folders replaced by ours."""
        return re.sub(r"(?<![\w.])/(opt|etc)/replay-gateway", rf"{self.root}/\1/replay-gateway", text)

    def copy(self, value: str) -> None:
        source_root = self.context
        if value.startswith("--from="):
            stage, value = value.removeprefix("--from=").split(maxsplit=1)
            source_root = self.stages[stage]
        *sources, target = value.split()
        for source in sources:
            name = Path(source).name if target.endswith("/") else ""
            copied(source_root / source.lstrip("/"), self.at(target) / name)

    def run(self, value: str) -> None:
        programs = {part.split()[0] for part in value.split("&&")}
        if programs <= SYSTEM:
            return
        assert not programs & SYSTEM, f"a RUN that can be replayed in part only: {value}"
        done = subprocess.run(
            ["sh", "-e", "-c", self.translated(value)],
            cwd=self.at("."),
            env={
                **quiet_environment(),
                "PATH": f"{self.folder}/image/bin:/usr/bin:/bin",
                "REPLAY_GATEWAY_PURE": "1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{value}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"

    def image_environment(self) -> dict[str, str]:
        """What a process in the image has."""
        path = self.translated(self.environment["PATH"]).replace("$PATH", f"{self.folder}/image/bin:/usr/bin:/bin")
        return {**quiet_environment(), **self.environment, "PATH": path}


def quiet_environment() -> dict[str, str]:
    """This process's environment without its own Python's traces. The build's PIP_NO_CACHE_DIR is left out, so that
    what was downloaded for this checkout is not downloaded again."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def copied(source: Path, target: Path) -> None:
    """A file or a folder, without compiled Python and with symbolic links as they are."""
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """The last stage, as far as it can be had without Docker."""
    replay = Replay(tmp_path_factory.mktemp("image"))
    for each in instructions():
        replay.perform(each)
    return replay


def ask(image: Replay, *command: str) -> subprocess.CompletedProcess[str]:
    """Run something as the image would."""
    return subprocess.run(
        command, cwd=image.root, env=image.image_environment(), capture_output=True, text=True, timeout=60, check=False
    )


def test_the_image_has_the_gateway_and_neither_pip_nor_setuptools(image: Replay) -> None:
    done = ask(image, *words("ENTRYPOINT"), "--version")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"replay-gateway, version \d+\.\d+\.\d+ \(plain Python\)\n", done.stdout)
    installed = [path.name.lower() for path in image.root.rglob("*.dist-info")]
    assert any(name.startswith("replay_gateway-") for name in installed)
    assert [name for name in installed if name.startswith(("pip-", "setuptools-"))] == []


def test_the_build_has_every_source_and_what_compiles_it(image: Replay) -> None:
    built = image.stages["build"]
    ours = [path.relative_to(ROOT) for path in sorted((ROOT / "proxy").rglob("*.py"))]
    assert len(ours) > 100
    for name in (Path("setup.py"), Path("pyproject.toml"), *ours):
        assert (built / "src" / name).read_bytes() == (ROOT / name).read_bytes(), name
    installed = [path.name.lower().partition("-")[0] for path in (image.folder / "image").rglob("*.dist-info")]
    assert {"mypy", "setuptools"} <= set(installed)
    assert "gcc libc6-dev" in TEXT.partition("\nFROM " + BASE + "\n")[0]


def test_nothing_of_the_source_tree_is_needed(image: Replay) -> None:
    done = ask(image, "python", "-c", "import proxy, sys; print(proxy.__file__)")
    assert done.stdout.startswith(str(image.root / "opt")), done.stderr
    assert not (image.root / "src").exists()


def test_the_configuration_in_the_image_has_no_problem(image: Replay) -> None:
    config = image.translated(words("CMD")[-1])
    done = ask(image, *words("ENTRYPOINT"), "check", "--config", config)
    assert done.returncode == 0, done.stderr


def test_it_gets_healthy_stops_on_the_stop_signal_and_is_not_healthy_any_more(image: Replay, tmp_path: Path) -> None:
    """The image's own command, with loopback ports of the test in its configuration."""
    port, admin = free_port(), free_port()
    *command, config = [*words("ENTRYPOINT"), *words("CMD")]
    text = Path(image.translated(config)).read_text().replace("0.0.0.0:8080", f"127.0.0.1:{port}")
    ours = tmp_path / "gateway.yaml"
    ours.write_text(f"{text}\nadmin: {{address: 127.0.0.1:{admin}}}\n")
    check = [word.replace(":9090/", f":{admin}/") for word in words("HEALTHCHECK")]
    log = tmp_path / "log"
    with log.open("wb") as output:
        gateway = subprocess.Popen(
            [*command, str(ours)], cwd=image.root, env=image.image_environment(), stdout=output, stderr=output
        )
    try:
        eventually(lambda: gateway.poll() is not None or ask(image, *check).returncode == 0, 60.0, "it is healthy")
        assert gateway.poll() is None, log.read_text()
        gateway.send_signal(signal.Signals[last("STOPSIGNAL")])
        assert gateway.wait(30) == 0, log.read_text()
    finally:
        gateway.kill()
        gateway.wait()
    assert ask(image, *check).returncode != 0


def test_it_does_not_run_as_root() -> None:
    user, _, group = last("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert instructions()[-1].name == "CMD"


def test_nothing_is_installed_that_is_not_locked() -> None:
    pip = [
        part for each in instructions() if each.name == "RUN" for part in each.value.split("&&") if " install " in part
    ]
    from_index = [part for part in pip if "apt-get" not in part and "--no-index" not in part]
    assert len(from_index) == 2
    assert [part for part in from_index if "--require-hashes" not in part] == []


def test_the_image_has_the_python_that_the_lock_files_were_resolved_for() -> None:
    resolved_for = re.search(r"with Python (\d+\.\d+)", (ROOT / "requirements.lock").read_text())
    assert resolved_for
    assert BASE.startswith(f"python:{resolved_for[1]}-")
    assert TEXT.count(f"FROM {BASE}") == TEXT.count("\nFROM ")
    assert sys.version_info >= (3, 11)
