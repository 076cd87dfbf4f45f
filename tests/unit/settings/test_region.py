"""Proves how region rules are given, and that every region they name must exist."""

from __future__ import annotations

import pytest

from proxy.settings import RegionHeader, RegionRules, Settings
from proxy.settings.region import fields_of, named_regions

from .told import only_problem, problems, settings


def test_without_rules_everything_is_us() -> None:
    assert settings("").region == RegionRules()
    assert settings("").region.default == "us"


def test_all_rules() -> None:
    region = settings(
        """
        region:
          default: eu
          hosts: {Replay-US.Example.com: us}
          api_keys: {0123: eu, 45e6: us}
          header: {name: CloudFront-Viewer-Country, values: {NO: eu, US: us}}
          strict: true
        """
    ).region
    assert region.hosts == {"replay-us.example.com": "us"}
    assert region.api_keys == {"0123": "eu", "45e6": "us"}
    assert region.header == RegionHeader(name="CloudFront-Viewer-Country", values={"NO": "eu", "US": "us"})
    assert (region.default, region.strict) == ("eu", True)


def test_norway_is_not_false() -> None:
    header = settings("region: {header: {name: C, values: {NO: eu, no: eu}}}").region.header
    assert header is not None
    assert list(header.values) == ["NO", "no"]


def test_a_region_of_ones_own_may_be_named() -> None:
    text = "{upstreams: {asia: {track: 'https://a/t', config: 'https://a/c'}}, region: {default: asia}}"
    assert settings(text).region.default == "asia"


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ("{default: mars}", "region.default"),
        ("{hosts: {a.example: mars}}", 'region.hosts["a.example"]'),
        ("{api_keys: {k: us, l: mars}}", "region.api_keys[key 2]"),
        ("{header: {name: C, values: {DE: mars}}}", "region.header.values.DE"),
    ],
)
def test_a_region_that_does_not_exist_is_refused(rules: str, path: str) -> None:
    assert only_problem(f"region: {rules}") == f'{path}: found "mars"; expected a region that exists: us, eu'


def test_a_region_whose_upstreams_are_broken_still_exists() -> None:
    told = problems("{region: {default: asia, hosts: {a: mars}}, upstreams: {asia: {track: x, config: 'https://a'}}}")
    assert [line.partition(":")[0] for line in told] == ["upstreams.asia.track.url", "region.hosts.a"]


def test_unknown_regions_are_told_beside_other_faults_of_the_rules() -> None:
    told = problems("region: {default: mars, strict: maybe}")
    assert [line.partition(":")[0] for line in told] == ["region.strict", "region.default"]


def test_the_same_host_in_two_spellings_is_refused() -> None:
    told = only_problem("region: {hosts: {a.example: us, A.Example: eu}}")
    assert told == 'region.hosts["A.Example"]: found the same host in another spelling; expected each host once'


@pytest.mark.parametrize("host", ["'a:80'", "'https://a'", "a/b", "'*.a'"])
def test_a_host_with_more_than_a_name_is_refused(host: str) -> None:
    assert "without scheme, port and path" in only_problem(f"region: {{hosts: {{{host}: us}}}}")


def test_an_api_key_is_never_told() -> None:
    told = problems("region: {api_keys: {SECRET: mars, 'SECRET ALSO': us, SECRET3: 5}}")
    assert [line.partition(": ")[0] for line in told] == [
        "region.api_keys[key 2]",
        "region.api_keys[key 3]",
        "region.api_keys[key 1]",
    ]
    assert "SECRET" not in "".join(told)


@pytest.mark.parametrize(
    "header", ["{name: C}", "{name: C, values: {}}", "{values: {DE: eu}}", "{name: 'a b', values: {DE: eu}}", "C"]
)
def test_an_incomplete_header_rule_is_refused(header: str) -> None:
    assert only_problem(f"region: {{header: {header}}}").startswith("region.header")


def test_api_keys_are_not_in_the_representation() -> None:
    assert "SECRET" not in repr(settings("region: {api_keys: {SECRET: eu}}"))


def test_named_regions_reads_sections_and_mappings_alike() -> None:
    written = {"default": "a", "hosts": {"h": "b"}, "header": {"name": "C", "values": {"DE": "c"}}}
    expected = {(("default",), "a"), (("hosts", "h"), "b"), (("header", "values", "DE"), "c")}
    assert set(named_regions(written)) == expected
    assert set(named_regions(RegionRules.model_validate(written))) == expected


def test_what_is_no_rule_names_no_region() -> None:
    assert list(named_regions({"default": 3, "hosts": ["a"], "header": "C"})) == []
    assert list(named_regions("x")) == []
    assert fields_of(None) == {}


def test_rules_built_without_a_file_are_checked_too() -> None:
    with pytest.raises(ValueError, match="a region that exists"):
        Settings(region=RegionRules(default="mars"))
