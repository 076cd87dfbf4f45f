"""Regular expressions that mean the same to nginx (PCRE), HAProxy (PCRE), Caddy (RE2) and JavaScript.

They hold no backslash, no brace and no quote mark, so that no server's quoting can change them. All are to be
matched with case, from `^` to `$`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z0-9_/:~%,=@!&-]")
# Every page, as browsers serialise an origin; "null", which any sandboxed page says, is none of them.
ANY_ORIGIN = "[a-z][a-z0-9+.-]*://([a-z0-9_-]+([.][a-z0-9_-]+)*[.]?|[[][0-9a-f:.]+[]])(:[0-9]+)?|file://"
# An API key in a path. Nothing that needs an escape, and no dot segment: two readers can't read it in two ways.
KEY = "/[A-Za-z0-9_~-][A-Za-z0-9._~-]*"
# The only braces: a constant, so what they do to each server was tried.
REQUEST_ID = "^[A-Za-z0-9._~+/=:@-]{1,128}$"
# A client address to its network, /24 or /48. Servers write IPv6 as RFC 5952 says: lower case, `::` for two groups of
# zeros or more.
NETWORKS = (
    ("^(::ffff:)?([0-9]+[.][0-9]+[.][0-9]+)[.][0-9]+$", ("", 2, ".0")),
    ("^([0-9a-f]+:[0-9a-f]+:[0-9a-f]+):", ("", 1, "::")),
    ("^([0-9a-f]+:[0-9a-f]+)::", ("", 1, "::")),
    ("^([0-9a-f]+)::", ("", 1, "::")),
    ("^::", ("::", 0, "")),
)


def literal(text: str) -> str:
    """The pattern that matches this text alone."""
    return "".join(char if _PLAIN.match(char) else f"[{char}]" for char in text)


def any_of(patterns: Iterable[str]) -> str:
    """One of them, whole."""
    return f"^({'|'.join(patterns)})$"


def origin(allowed: str) -> str:
    """An entry of cors.allow_origins: `*`, an exact origin, or every sub-domain of one."""
    if allowed == "*":
        return ANY_ORIGIN
    scheme, star, domain = allowed.partition("://*.")
    return f"{literal(scheme)}://([a-z0-9_-]+[.])+{literal(domain)}" if star else literal(allowed)


def track(paths: Iterable[str]) -> str:
    """The public paths of uploads."""
    return any_of(map(literal, paths))


def config(paths: Iterable[str]) -> str:
    """The public paths of configurations, with a key or without; the second group is the key with its slash.

    A slash at the end of the address that the SDK was given makes another one before the key.
    """
    return f"^({'|'.join(map(literal, paths))})/?({KEY})?$"


def cookie(name: str) -> str:
    """One cookie in a Cookie field, its name and value in the second group."""
    return f"(^|; *)({literal(name)}=[^;]*)"
