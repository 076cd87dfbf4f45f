"""Proves that every fault is told in our own words, at its place in the file, without what is secret there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from proxy.settings import Problem, Settings
from proxy.settings.placeholders import Substituted
from proxy.settings.translation import problems_of, shown_path

from .told import only_problem, problems

INNER = [
    "address",
    "tls",
    "certificate",
    "key",
    "url",
    "connect",
    "track",
    "config",
    "us",
    "eu",
    "allow",
    "set",
    "values",
    "s3",
    "accessKey",
    "spool",
    "tags",
]
WORDS = st.sampled_from([*Settings.model_fields, *INNER, "SECRET"])
SIMPLE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["10s", "1MiB", ":1"])
)
TREES = st.recursive(
    SIMPLE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=12
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limits: {body: 12 parsecs}", 'limits.body: found "12 parsecs"; expected a size such as 16MiB, 512KiB or 1GB'),
        ("limits: 3", "limits: found 3; expected a mapping (key: value)"),
        ("paths: {track: /t}", 'paths.track: found "/t"; expected a list'),
        ("region: {hosts: [a]}", "region.hosts: found a list; expected a mapping (key: value)"),
        ("listen: [" + "{address: ':0'}, " * 65 + "]", "listen: found a list; expected at most 64 entries"),
    ],
)
def test_a_fault_in_our_words(text: str, told: str) -> None:
    assert only_problem(text) == told


@pytest.mark.parametrize(
    ("text", "path", "meant"),
    [
        ("limits: {bdy: 1}", "limits.bdy", "body"),
        ("listem: []", "listem", "listen"),
        ("listen: [{address: ':1', tsl: 1}]", "listen[0].tsl", "tls"),
        ("headers: {upstream: {sett: 1}}", "headers.upstream.sett", "set"),
        ("limits: {per_ip: {rat: 1}}", "limits.per_ip.rat", "rate"),
        ("region: {header: {nam: x, name: y, values: {a: us}}}", "region.header.nam", "name"),
        ("upstreams: {us: {track: {uri: x, url: 'https://a'}}}", "upstreams.us.track.uri", "url"),
        ("upstreams: {us: {trak: 'https://a'}}", "upstreams.us.trak", "track"),
    ],
)
def test_an_unknown_key_is_told_with_the_one_that_is_meant(text: str, path: str, meant: str) -> None:
    assert only_problem(text) == f"{path}: found an unknown key; expected {meant} (did you mean that?)"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("keys: {zzz: 1}", "keys[key 1]: found an unknown key; expected one of allow, origins"),
        ("client_ip: {zzz: 1}", "client_ip.zzz: found an unknown key; expected one of forward, trusted_proxies"),
    ],
)
def test_an_unknown_key_that_resembles_none_is_told_with_all(text: str, told: str) -> None:
    assert only_problem(text) == told


def test_a_number_where_text_belongs_is_told_with_a_hint() -> None:
    told = only_problem("region: {header: {name: 3, values: {a: us}}}")
    assert told.endswith("a header name such as CloudFront-Viewer-Country (text: put it in quotes)")


def test_a_placeholder_is_told_as_it_is_written() -> None:
    told = problems(
        "limits: {body: '${env:S}', head: 'x${env:S}'}\nregion: {hosts: {'${env:S}': mars}}", {"S": "SECRET"}
    )
    assert told[0].startswith('limits.body: found "${env:S}"; expected')
    assert told[1].startswith('limits.head: found "x${env:S}"; expected')
    assert told[2].startswith('region.hosts["${env:S}"]: found ')
    assert "SECRET" not in "".join(told)


def test_a_contradiction_of_placeholders_is_told_as_they_are_written() -> None:
    told = only_problem("limits: {target: '${env:S}'}", {"S": "1000000B"})
    assert told.startswith('limits.target: found "${env:S}"; expected at most limits.head')


def test_a_path_through_something_else_than_mappings_and_lists() -> None:
    assert shown_path(("listen", 0, "address"), {"listen": {"address": 1}}) == "listen[0].address"
    assert (
        shown_path(("upstreams", "us", "track", "url"), {"upstreams": {"us": {"track": 3}}}) == "upstreams.us.track.url"
    )
    assert shown_path(("a", "b"), None) == "a.b"
    assert shown_path(("b",), {Substituted("b", "${env:B}"): 1}) == '["${env:B}"]'
    assert shown_path((), {}) == "(top level)"


@given(TREES)
def test_any_document_is_settings_or_problems(document: Any) -> None:
    try:
        Settings.model_validate(document)
    except ValidationError as error:
        told = list(problems_of(error, document))
        assert told
        for problem in told:
            assert isinstance(problem, Problem)
            assert problem.path
            assert problem.found
            assert problem.expected


@given(st.sampled_from(["keys", "headers"]), TREES)
def test_no_problem_with_a_secret_section_shows_a_value(name: str, tree: Any) -> None:
    document = {name: _with_secrets(tree)}
    try:
        Settings.model_validate(document)
    except ValidationError as error:
        found = [problem.found for problem in problems_of(error, document) if "forward_cookies" not in problem.path]
        assert "TOPSECRET" not in "".join(found)


def _with_secrets(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_with_secrets(item) for item in tree]
    if isinstance(tree, dict):
        return {key: _with_secrets(item) for key, item in tree.items()}
    return "TOPSECRET é" if isinstance(tree, str) else tree
