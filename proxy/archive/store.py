"""What the archive asks of a place that keeps objects: five calls, and one error that says what to do.

Whoever seals, uploads or reads speaks to this and to nothing else. Must not know S3, folders, or what is in an object.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol


class Entry(NamedTuple):
    """An object in a listing. `size` in bytes, `modified_ms` is Unix time in ms by the store's clock."""

    key: str
    size: int
    modified_ms: int


class StoreError(Exception):
    """A call that failed. `str(error)` says what failed, where, and what to do; never a secret.

    `code` is for metrics: one of the few names that the store knows ("Timeout", "AccessDenied", "SlowDown",
    "NoSuchBucket", "RequestTimeTooSkewed", …) or "Other". `is_transient` says whether the same call may succeed later
    without anybody's doing; all calls are tried again anyway, it decides whether somebody is alarmed.
    """

    def __init__(self, message: str, *, code: str = "Other", is_transient: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.is_transient = is_transient


class Store(Protocol):
    """Objects by key. Keys are relative to the bucket or folder and to the prefix; they use `/` and never begin with
    it. All calls block, may come from two threads at once, and raise StoreError."""

    def describe(self) -> str:
        """For people: "s3://bucket/prefix at https://…", "folder /x/archive"."""

    def put(self, key: str, source: Path | bytes) -> None:
        """Store a whole object, in place of one that is there. Nobody sees it before it is complete."""

    def size(self, key: str) -> int | None:
        """Bytes of an object; None: there is none."""

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """An object's bytes from `start`: `length` of them or fewer where it ends, all of them by default.
        Raises KeyError when there is none."""

    def download(self, key: str, to: BinaryIO) -> None:
        """Write an object's bytes into a file, piece by piece. Raises KeyError when there is none."""

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """The objects whose keys begin with `prefix` and come behind `after`, in the order of their keys as UTF-8."""


def put_whole(store: Store, key: str, source: Path | bytes) -> int:
    """Store an object and look whether all of it is there. Returns its bytes. Raises StoreError, and OSError when the
    source can't be read."""
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    store.put(key, source)
    there = store.size(key)
    if there != size:
        # Some stores keep what a proxy in front of them made of it, and answer 200.
        found = "nothing" if there is None else f"{there} bytes"
        raise StoreError(f"{store.describe()} has {found} under {key} after {size} bytes were put there")
    return size
