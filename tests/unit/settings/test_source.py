"""Proves how a file becomes settings, and that everything that can be wrong with it is told together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.settings import Problem, Settings, read
from proxy.settings.source import FILE_MAX, from_text, read_text

from .told import only_problem, problems, settings

EVERYTHING_WRONG = """
listen: [{address: 80}]
listem: 1
limits: {body: 1MiB}
limits: {body: 12 parsecs, retry_body: 1MiB, bdy: 3, head: "${env:UNSET}"}
upstreams: {asia: {track: "ftp://x"}}
region: {default: mars, api_keys: {SECRET: moon}}
headers: {upstream: {set: {X-Token: "${file:/no/such/file}", X-B: "SECRET\\n"}}}
timeouts: {connect: 3, first_byte: 30s}
cors: {allow_origins: ["null"]}
log: {level: loud}
"""


def told(result: Settings | list[Problem]) -> list[str]:
    assert isinstance(result, list)
    return [str(problem) for problem in result]


def test_without_a_file_there_are_defaults() -> None:
    assert read(None) == Settings()


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("\ufeffworkers: 3 # é\n", encoding="utf-8")
    result = read(file)
    assert isinstance(result, Settings)
    assert result.workers == 3


def test_an_empty_file_has_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.touch()
    assert read(file) == Settings()


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    (line,) = told(read(tmp_path / "none.yaml"))
    assert line.startswith(f"{tmp_path}/none.yaml: found no readable file (No such file or directory); expected")


def test_a_directory_is_a_problem(tmp_path: Path) -> None:
    (line,) = told(read(tmp_path))
    assert "Is a directory" in line


def test_a_file_that_is_no_text_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"a: \xff\xfe")
    (line,) = told(read(file))
    assert line.endswith("expected a text file in UTF-8")


def test_a_file_that_is_too_large_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"#" * (FILE_MAX + 1))
    (line,) = told(read(file))
    assert f"at most {FILE_MAX} bytes" in line


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(ValueError, match="at most"):
        read_text(Path("/dev/zero"))


def test_a_mistake_in_yaml_is_told_with_file_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("workers: 3\nlisten: [\n")
    (line,) = told(read(file))
    assert line.startswith(f"{file}, line 3, column 1: found a mistake (")
    assert line.endswith("; expected valid YAML")


def test_too_many_levels_are_told_without_a_place() -> None:
    assert only_problem("[" * 5000) == "configuration: found a mistake (too many levels); expected valid YAML"


def test_everything_is_told_in_one_go() -> None:
    paths = [line.partition(": found ")[0] for line in problems(EVERYTHING_WRONG)]
    assert sorted(paths) == sorted(
        [
            "limits",
            "limits.head",
            "headers.upstream.set.X-Token",
            "listen[0].address",
            "listem",
            "limits.body",
            "limits.retry_body",
            "limits.bdy",
            "upstreams.asia.track.url",
            "upstreams.asia.config",
            "region.default",
            "region.api_keys[key 1]",
            "headers.upstream.set.X-B",
            "timeouts.connect",
            "timeouts.first_byte",
            "cors.allow_origins[0]",
            "log.level",
        ]
    )


def test_none_of_it_tells_a_secret() -> None:
    assert "SECRET" not in "".join(problems(EVERYTHING_WRONG))


def test_a_key_given_twice_is_a_problem_even_if_all_else_is_fine() -> None:
    assert (
        only_problem("workers: 3\nworkers: 3\n")
        == "workers: found the key a second time, in line 2; expected each key once"
    )


def test_an_api_key_given_twice_is_not_told() -> None:
    assert only_problem("region:\n  api_keys:\n    SECRET: us\n    SECRET: eu\n").startswith("region.api_keys[key 1]: ")


def test_a_placeholder_without_a_value_is_told_once() -> None:
    assert problems("limits: {body: '${env:UNSET}'}") == [
        "limits.body: found ${env:UNSET}; expected the environment variable UNSET to be set"
    ]


def test_placeholders_may_stand_for_any_value() -> None:
    environment = {"W": "4", "B": "1MiB", "S": "true", "P": "8081", "L": "off"}
    text = """
    workers: ${env:W}
    limits: {body: "${env:B}", fields: "${env:W}0"}
    region: {strict: "${env:S}"}
    listen: {address: ":${env:P}"}
    log: {access: "${env:L}"}
    """
    given = settings(text, environment)
    assert (given.workers, given.limits.body, given.limits.fields, given.region.strict) == (4, 1024**2, 40, True)
    assert (given.listen[0].address.port, given.log.access) == (8081, "off")


def test_a_secret_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc def\n")
    given = settings(f"headers: {{upstream: {{set: {{X-Token: '${{file:{tmp_path}/token}}'}}}}}}")
    assert given.headers.upstream.set["X-Token"].get_secret_value() == "abc def"


@pytest.mark.parametrize(("content", "hint"), [(b"\xff", "UTF-8"), (b"x" * (FILE_MAX + 1), "at most")])
def test_a_secret_from_an_unfit_file_is_a_problem(tmp_path: Path, content: bytes, hint: str) -> None:
    (tmp_path / "token").write_bytes(content)
    line = only_problem(f"headers: {{upstream: {{set: {{X-Token: '${{file:{tmp_path}/token}}'}}}}}}")
    assert line.startswith("headers.upstream.set.X-Token: found ${file:")
    assert hint in line


def test_the_process_environment_is_used_for_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("workers: ${env:GATEWAY_TEST_WORKERS}\n")
    monkeypatch.setenv("GATEWAY_TEST_WORKERS", "7")
    result = read(file)
    assert isinstance(result, Settings)
    assert result.workers == 7
    assert isinstance(read(file, {}), list)
    assert "GATEWAY_TEST_WORKERS" in os.environ


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(EVERYTHING_WRONG)
    assert read(file, {}) == read(file, {})
    assert from_text("workers: 2", {}) == from_text("workers: 2", {})
