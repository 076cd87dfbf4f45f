"""How much of a page's address is passed on: all of it, none, or a part.

Bytes in, bytes out; nothing is decoded, and what is kept is kept byte for byte. What can't be read with certainty is
left out whole: a page's address is worth less than a token in it. Must not know which fields hold one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# scheme://host[:port] and a path (RFC 3986, 3), as browsers write them: ASCII, without spaces and backslashes, a host
# never percent-encoded. User information is matched to be left behind. Whatever follows the path is not looked at.
_ADDRESS: Final = re.compile(
    rb"([A-Za-z][A-Za-z0-9+.-]{0,31}://)"
    rb"(?:[!-~]*@)?"  # up to the last @ of the authority, which `_authority` has cut out
    rb"((?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?)\Z"
)
_SCHEME_END: Final = b"://"
# What ends an authority; browsers write a slash. A backslash ends it for some readers, and for others does not.
_AUTHORITY_END: Final = re.compile(rb"[/?#\\]")
# The end of the path, also encoded, once or more often: to some server that is a question mark all the same.
_PATH_END: Final = re.compile(rb"[?#]|%(?:25)*(?:3[Ff]|23)")
# Parameters of a segment (RFC 3986, 3.3), such as ;jsessionid=...
_SEGMENT_PARAMETERS: Final = re.compile(rb"(?:;|%(?:25)*3[Bb])[^/]*")
_PATH: Final = re.compile(rb"[!-\[\]-~]*\Z")  # visible ASCII without the backslash
_SEPARATOR: Final = re.compile(rb"[&;]")


class PageUrl:
    """What becomes of addresses in one mode: "full", "no_query", "origin" or "none". `keep` are the names of query
    parameters that "no_query" lets pass nevertheless; one that ends in * stands for all that begin so."""

    __slots__ = ("_mode", "_names", "_prefixes")

    def __init__(self, mode: str, keep: Iterable[str] = ()) -> None:
        names = [name.encode("ascii") for name in keep]
        self._mode = mode
        self._names = frozenset(name for name in names if not name.endswith(b"*"))
        self._prefixes = tuple(name[:-1] for name in names if name.endswith(b"*"))

    def shown(self, value: bytes) -> bytes:
        """What of a field's value may pass on; empty for nothing.

        "origin" keeps scheme, host and port, with a slash as in a Referer of that kind; "no_query" the path besides,
        without parameters of its segments. In both, user information, query and fragment are gone, and what is no
        address with a host is empty. The SDK cuts addresses off at 1000 characters: what is left is read the same way.
        """
        if self._mode == "full":
            return value
        if self._mode == "none":
            return b""
        begin = value.find(_SCHEME_END) + len(_SCHEME_END)
        found = _AUTHORITY_END.search(value, begin)
        if found is None or found[0] == b"\\":
            return b""  # without its end, what looks like a host may be the user information of one that was cut off
        end = found.start()
        address = _ADDRESS.match(value[:end])
        if address is None:
            return b""
        origin = address[1] + address[2]
        return origin + b"/" if self._mode == "origin" else self._with_path(origin, value[end:])

    def _with_path(self, origin: bytes, rest: bytes) -> bytes:
        found = _PATH_END.search(rest)
        end = found.start() if found is not None else len(rest)
        path = rest[:end]
        if not _PATH.match(path):
            return b""
        query = rest[end + 1 :] if self._keeps and rest[end : end + 1] == b"?" else b""
        return origin + (_SEGMENT_PARAMETERS.sub(b"", path) or b"/") + self._kept(query.partition(b"#")[0])

    @property
    def _keeps(self) -> bool:
        return bool(self._names or self._prefixes)

    def _kept(self, query: bytes) -> bytes:
        """The parameters that pass. A name that is encoded in any way is not one of those that are listed."""
        kept = [each for each in _SEPARATOR.split(query) if self._passes(each.partition(b"=")[0])] if query else []
        return b"?" + b"&".join(kept) if kept else b""

    def _passes(self, name: bytes) -> bool:
        return name in self._names or (bool(self._prefixes) and name.startswith(self._prefixes))
