"""Proves when a variable of the environment stands in for a key of the store, and that its value is never told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from proxy.settings import S3, Settings, read
from proxy.settings.aliases import ALIASES, with_aliases

from .told import only_problem, settings

EVERY_KEY = {
    "AWS_ENDPOINT": "https://storage.googleapis.com",
    "AWS_REGION": "eu-central-1",
    "minio_access_key": "SECRET1",
    "minio_secret_key": "SECRET2",
    "S3_BUCKET_WEB": "some-recordings",
    "S3_BUCKET_ASSETS": "some-assets",
    "sourcemaps_bucket": "some-sourcemaps",
}


def store(text: str, environment: dict[str, str]) -> S3:
    """The store in a text that must have one."""
    archive = settings(text, environment).archive
    assert archive is not None
    assert archive.s3 is not None
    return archive.s3


def test_every_key_can_come_from_the_older_names() -> None:
    s3 = store("archive: {s3: {}}", EVERY_KEY)
    assert (s3.endpoint, s3.region) == ("https://storage.googleapis.com", "eu-central-1")
    assert (s3.accessKey.get_secret_value(), s3.secretKey.get_secret_value()) == ("SECRET1", "SECRET2")
    assert s3.recordingsBucket == "some-recordings"
    assert (s3.assetsBucket, s3.sourcemapsBucket) == ("some-assets", "some-sourcemaps")


def test_only_keys_of_the_store_have_aliases() -> None:
    assert set(ALIASES) <= set(S3.model_fields)


@pytest.mark.parametrize(("key", "name"), [(key, name) for key, names in ALIASES.items() for name in names])
def test_each_name_stands_in_for_its_key_alone(key: str, name: str) -> None:
    assert with_aliases({"archive": {"s3": {}}}, {name: "x"}) == {"archive": {"s3": {key: f"${{env:{name}}}"}}}


@pytest.mark.parametrize("names", [names for names in ALIASES.values() if len(names) > 1])
def test_the_first_name_that_is_set_and_not_empty_counts(names: tuple[str, ...]) -> None:
    both = with_aliases({"archive": {"s3": {}}}, {names[0]: "x", names[1]: "y"})
    assert list(both["archive"]["s3"].values()) == [f"${{env:{names[0]}}}"]
    second = with_aliases({"archive": {"s3": {}}}, {names[0]: "", names[1]: "y"})
    assert list(second["archive"]["s3"].values()) == [f"${{env:{names[1]}}}"]


def test_what_the_file_says_goes_before_the_environment() -> None:
    s3 = store("archive: {s3: {recordingsBucket: mine, region: '', endpoint: 'https://a'}}", EVERY_KEY)
    assert (s3.recordingsBucket, s3.region, s3.endpoint) == ("mine", "", "https://a")
    assert s3.assetsBucket == "some-assets"


@pytest.mark.parametrize("text", ["", "archive: null", "archive: {s3: null}", "archive: {store: directory}"])
def test_without_the_section_the_environment_says_nothing(text: str) -> None:
    assert settings(text, EVERY_KEY) == settings(text)


def test_nothing_else_of_the_document_changes() -> None:
    document = {"workers": 2, "archive": {"codec": "gzip", "s3": {"prefix": "a"}}}
    changed = with_aliases(document, {"AWS_REGION": "x"})
    assert changed == {"workers": 2, "archive": {"codec": "gzip", "s3": {"prefix": "a", "region": "${env:AWS_REGION}"}}}
    assert document == {"workers": 2, "archive": {"codec": "gzip", "s3": {"prefix": "a"}}}


@pytest.mark.parametrize(
    "document", [None, 3, [], "x", {}, {"archive": None}, {"archive": 3}, {"archive": {"s3": [1]}}]
)
def test_any_other_document_is_left_as_it_came(document: Any) -> None:
    assert with_aliases(document, EVERY_KEY) is document


def test_a_variable_with_a_bad_value_is_told_by_its_name() -> None:
    told = only_problem("archive: {s3: {}}", {**EVERY_KEY, "S3_BUCKET_WEB": "A_B"})
    assert told.startswith('archive.s3.recordingsBucket: found "${env:S3_BUCKET_WEB}"; expected a bucket\'s name')
    told = only_problem("archive: {s3: {}}", {**EVERY_KEY, "minio_secret_key": "SECRET\n"})
    assert told.startswith('archive.s3.secretKey: found "${env:minio_secret_key}"; expected printable ASCII')


def test_half_a_credential_in_the_environment_is_told_without_it() -> None:
    environment = {name: value for name, value in EVERY_KEY.items() if name != "minio_access_key"}
    told = only_problem("archive: {s3: {}}", environment)
    assert told.startswith("archive.s3.accessKey: found nothing; expected a value that goes with archive.s3.secretKey")
    assert "SECRET" not in told


def test_the_process_environment_counts_for_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("archive: {s3: {region: r}}\n")
    monkeypatch.setenv("S3_BUCKET_WEB", "some-recordings")
    result = read(file)
    assert isinstance(result, Settings)
    assert result == settings("archive: {s3: {region: r, recordingsBucket: some-recordings}}")
    assert isinstance(read(file, {}), list)


def test_the_page_about_configuration_names_the_same_variables() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "configuration.md").read_text()
    listed = re.findall(r"^  \| `(\w+)` \| (.*) \|$", page, re.M)
    assert {key: tuple(re.findall(r"`(\w+)`", names)) for key, names in listed} == dict(ALIASES)
