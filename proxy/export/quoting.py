"""Values inside each server's language: quoted so that they mean themselves, or refused.

Must not know what a value is for; `path` is only for the refusal.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from proxy.export.plan import ExportError

Quote = Callable[[str, str], str]


def file_name(quote: Quote, file: Path, path: str) -> str:
    """A file's name, quoted. A relative one would be looked for in another directory than the gateway's: refused."""
    if not file.is_absolute():
        raise ExportError(path, "a relative path counts from the gateway's directory: give an absolute one")
    return quote(str(file), path)


def nginx(value: str, path: str) -> str:
    """In double quotes. nginx has no way to write a dollar sign that begins no variable."""
    _one_line(value, path)
    _without("$", value, path, "nginx")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def nginx_pattern(pattern: str) -> str:
    """A pattern of ours (`patterns`), whose dollar sign is no variable where nginx wants a regular expression."""
    assert not set(pattern) & set('"\\\n'), pattern
    return f'"~{pattern}"'


def haproxy(value: str, path: str) -> str:
    """In single quotes, between which everything stands for itself, and single quotes outside of them."""
    _one_line(value, path)
    return "'" + value.replace("'", "'\\''") + "'"


def haproxy_format(value: str, path: str) -> str:
    """The same where HAProxy looks for its own variables (`%[…]`)."""
    return haproxy(value.replace("%", "%%"), path)


def caddy(value: str, path: str) -> str:
    """In double quotes. Braces would be a placeholder, and a backslash may or may not be taken for an escape."""
    _one_line(value, path)
    _without("{}\\`", value, path, "Caddy")
    return '"' + value.replace('"', '\\"') + '"'


def script(value: object) -> str:
    """A JavaScript literal, also where it stands in a page's script element."""
    return json.dumps(value).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def yaml(value: str, path: str) -> str:
    """A YAML scalar in double quotes: JSON's strings are YAML's."""
    _one_line(value, path)
    return json.dumps(value)


def _one_line(value: str, path: str) -> None:
    if not value.isprintable():
        raise ExportError(path, "line breaks and control characters can't be exported")


def _without(chars: str, value: str, path: str, server: str) -> None:
    found = next((char for char in chars if char in value), None)
    if found:
        raise ExportError(path, f"{server} can't be given a value with {found}")
