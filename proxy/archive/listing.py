"""Which objects an archive has for a span of time. Must not know what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import groupby
from operator import itemgetter

from proxy.archive.naming import DATA, INDEX, codec_of, hour_of
from proxy.archive.store import Store


def names(store: Store, root: str, from_ms: int, to_ms: int) -> Iterator[str]:
    """The objects under `root`, DATA or INDEX, of the hours from `from_ms` until before `to_ms` (Unix, ms): their keys
    without it, in order. What else lies there is not the archive's."""
    return (name for name, _ in _sized(store, root, from_ms, to_ms))


def _sized(store: Store, root: str, from_ms: int, to_ms: int) -> Iterator[tuple[str, int]]:
    """The same with their sizes."""
    last = root + hour_of(to_ms - 1)
    # One listing for all hours: one for each would be far more requests.
    for entry in store.entries(root, after=root + hour_of(from_ms)):
        if entry.key[: len(last)] > last:
            return
        if codec_of(entry.key) is not None:
            yield entry.key.removeprefix(root), entry.size


def pairs(store: Store, from_ms: int, to_ms: int) -> Iterator[tuple[str, dict[str, int]]]:
    """The names under either root, in order, and under which of the two, with the sizes there."""
    both = merge(*(_tagged(_sized(store, root, from_ms, to_ms), root) for root in (DATA, INDEX)))
    for name, group in groupby(both, key=itemgetter(0)):
        yield name, {root: size for _, root, size in group}


def _tagged(found: Iterator[tuple[str, int]], root: str) -> Iterator[tuple[str, str, int]]:
    return ((name, root, size) for name, size in found)
