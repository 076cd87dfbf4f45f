"""Which settings are secret, and how they are written unless the reader is the gateway itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from pydantic import SecretStr, SerializationInfo

from proxy.settings.section import Location

MASK = "********"
REVEAL = "reveal"

Value = TypeVar("Value")

# Every value at and below these places is secret.
SECRET_VALUES: tuple[Location, ...] = (
    ("headers", "upstream", "set"),
    ("keys", "allow"),
    ("jwt", "secret"),
    ("archive", "s3", "accessKey"),
    ("archive", "s3", "secretKey"),
)
# Here the names are the secret: of region.api_keys and keys.origins by design, of `keys` when someone forgot `allow`.
SECRET_NAMES: tuple[Location, ...] = (("region", "api_keys"), ("keys", "origins"), ("keys",))


def is_secret_value(location: Location) -> bool:
    """Whether a single value found here must not be shown: a secret, or one put a level too high."""
    above = any(secret[: len(location)] == location for secret in (*SECRET_VALUES, *SECRET_NAMES))
    return above or any(location[: len(secret)] == secret for secret in SECRET_VALUES)


def is_secret_name(location: Location) -> bool:
    """Whether the last step is a secret itself."""
    return location[:-1] in SECRET_NAMES and location not in SECRET_VALUES


def revealed(info: SerializationInfo) -> bool:
    """Whether secrets are to be written in full: only when settings are handed to another process of ours."""
    return bool(info.context and info.context.get(REVEAL))


def masked_text(secret: SecretStr, info: SerializationInfo) -> str:
    """The secret, or a mask; that there is none is no secret."""
    text = secret.get_secret_value()
    return text if revealed(info) or not text else MASK


def masked_list(values: Iterable[str], info: SerializationInfo) -> list[str]:
    """The values, or as many masks."""
    return [value if revealed(info) else MASK for value in values]


def masked_keys(table: dict[str, Value], info: SerializationInfo) -> dict[str, Value]:
    """The table, or one with numbered masks for its keys."""
    if revealed(info):
        return table
    return {f"{MASK} {number}": value for number, value in enumerate(table.values(), 1)}
