"""The texts by which a store of objects is named and told what to do: endpoint, region, bucket, prefix, key, tags.

Every function returns a `Parsed`. Must not know which setting uses it, nor speak to a store.
"""

from __future__ import annotations

import re

from proxy.settings.spelling import matching
from proxy.settings.units import Parsed, UnreadableError, text_of
from proxy.settings.upstreams import split_url

# An object's name has at most 1024 bytes; what the archive puts behind the prefix needs less than 200 of them.
PREFIX_MAX = 512

# The rules of S3 for new buckets.
_BUCKET = re.compile(r"(?!.*\.\.)(?![0-9]+(?:\.[0-9]+){3}$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KMS_KEY = re.compile(r"[!-~]{1,2048}")
# Letters and digits are those of any script, and lengths are counted in characters, as S3 does.
_TAG_KEY = re.compile(r"(?!(?i:aws:))[\w .:/=+@-]{1,128}")
_TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")
_TAG_CHARACTERS = "letters, digits, spaces and . : / = + - _ @"


def endpoint_url() -> Parsed:
    """An http or https URL of scheme, host and port alone, lower-case; a slash at its end is taken off."""
    expected = "a URL such as https://s3.example.com: scheme, host and port, without user, path and query"

    def parse(value: object) -> str:
        parts = split_url(text_of(value, expected))
        if parts is None or parts.path:
            raise UnreadableError(expected)
        return f"{parts.scheme}://{parts.authority}"

    return Parsed(parse, {"type": "string", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^@?#/\s]+/*$"})


def store_region() -> Parsed:
    """A store's own name for where a bucket is."""
    return matching(_REGION, "a store's region such as us-east-1: letters, digits, - and _")


def bucket_name() -> Parsed:
    """A bucket's name by the rules of S3."""
    rule = "3 to 63 lower-case letters, digits, dots and hyphens, a letter or digit at both ends"
    return matching(_BUCKET, f"a bucket's name: {rule}")


def key_prefix() -> Parsed:
    """What the names of all objects begin with: empty, or ending with a slash, which is added where it is missing."""
    expected = "the beginning of object names, such as replays/: printable, without a slash at its beginning, "
    expected += f'without "//" and parts that are . or .., at most {PREFIX_MAX} bytes'

    def parse(value: object) -> str:
        text = text_of(value, expected)
        stem = text.removesuffix("/")
        if not text:
            return ""
        if not stem.isprintable() or any(part in ("", ".", "..") for part in stem.split("/")):
            raise UnreadableError(expected)
        if len(stem.encode()) > PREFIX_MAX:
            raise UnreadableError(expected)
        return f"{stem}/"

    return Parsed(parse, {"type": "string", "pattern": r"^(?:[^/].*)?$"})


def kms_key() -> Parsed:
    """The key that a store encrypts with, as the store names it."""
    return matching(_KMS_KEY, "the id, ARN or alias of a KMS key")


def tag_key() -> Parsed:
    """The name of an object's tag."""
    rule = f"1 to 128 {_TAG_CHARACTERS}, not beginning with aws:"
    return _any_script(matching(_TAG_KEY, f"a tag's name: {rule}"), 128)


def tag_value() -> Parsed:
    """The value of an object's tag; it may be empty."""
    return _any_script(matching(_TAG_VALUE, f"a tag's value: at most 256 {_TAG_CHARACTERS}"), 256)


def _any_script(tag: Parsed, most: int) -> Parsed:
    # Editors read \w as ASCII: they are told the length alone.
    return Parsed(tag.parse, {"type": "string", "maxLength": most})
