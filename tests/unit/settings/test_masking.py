"""Proves which places of a configuration are held to be secret, one level too high included."""

from __future__ import annotations

import pytest

from proxy.settings.masking import is_secret_name, is_secret_value
from proxy.settings.section import Location


@pytest.mark.parametrize(
    "location",
    [
        ("headers", "upstream", "set", "X-A"),
        ("headers", "upstream", "set"),
        ("headers", "upstream"),
        ("headers",),
        ("keys", "allow", 0),
        ("keys", "allow"),
        ("keys",),
        ("region", "api_keys"),
        ("region",),
        ("archive", "s3", "accessKey"),
        ("archive", "s3", "secretKey"),
        ("archive", "s3"),
        ("archive",),
        (),
    ],
)
def test_a_value_here_may_be_a_secret(location: Location) -> None:
    assert is_secret_value(location)


@pytest.mark.parametrize(
    "location",
    [
        ("limits", "body"),
        ("headers", "upstream", "remove", 0),
        ("headers", "forward_cookies"),
        ("region", "default"),
        ("region", "api_keys", "k"),
        ("keysx",),
        ("archive", "s3", "endpoint"),
        ("archive", "spool", "directory"),
    ],
)
def test_a_value_here_may_be_shown(location: Location) -> None:
    assert not is_secret_value(location)


def test_names_of_api_keys_are_secret() -> None:
    assert is_secret_name(("region", "api_keys", "k"))
    assert is_secret_name(("keys", "origins", "k"))
    assert is_secret_name(("keys", "k"))


@pytest.mark.parametrize(
    "location",
    [("keys", "allow"), ("region", "hosts", "h"), ("region", "api_keys"), ("headers", "upstream", "set", "X")],
)
def test_other_names_are_not(location: Location) -> None:
    assert not is_secret_name(location)
