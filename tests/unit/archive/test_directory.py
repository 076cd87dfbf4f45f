"""Proves that a folder keeps objects whole, private and in order, and that no key leads out of it."""

from __future__ import annotations

import fcntl
import io
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.archive import directory
from proxy.archive.directory import DirectoryStore
from proxy.archive.store import Entry, Store, StoreError

# What may stand between the slashes: in the order of whole keys "a.b/c" comes before "a/b".
parts = st.text(st.sampled_from("ab.-~é/"), min_size=1, max_size=3).map(lambda text: text.strip("/.") or "x")
keys = st.lists(parts, min_size=1, max_size=3).map("/".join)


def keys_of(store: Store, prefix: str = "", after: str = "") -> list[str]:
    return [entry.key for entry in store.entries(prefix, after)]


def test_an_object_comes_back(tmp_path: Path) -> None:
    store: Store = DirectoryStore(tmp_path / "archive")
    content = bytes(range(256)) * 9000
    store.put("v1/data/one", content)
    to = io.BytesIO()
    store.download("v1/data/one", to)
    assert to.getvalue() == store.read("v1/data/one") == content
    assert store.size("v1/data/one") == len(content)
    assert (tmp_path / "archive/v1/data/one").read_bytes() == content


def test_an_object_comes_from_a_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(directory._PIECE * 2 + 1))
    DirectoryStore(tmp_path / "archive").put("one", source)
    assert (tmp_path / "archive/one").read_bytes() == source.read_bytes()


def test_a_range_ends_where_the_object_ends(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("one", b"0123456789")
    assert store.read("one", 3, 4) == b"3456"
    assert store.read("one", 8, 4) == b"89"
    assert store.read("one", 7) == b"789"
    assert store.read("one", 3, 0) == store.read("one", 99, 5) == b""


def test_a_new_object_takes_the_place_of_an_old_one(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for content in (b"a longer one", b"short", b""):
        store.put("one", content)
        assert store.read("one") == content


def test_a_missing_object_is_told(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "archive")
    store.put("folder/one", b"1")
    for key in ("none", "folder", "folder/one/below", "other/none"):
        assert store.size(key) is None
        with pytest.raises(KeyError):
            store.read(key)
        with pytest.raises(KeyError):
            store.download(key, io.BytesIO())


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../other",
        "v1/../../other",
        "v1/..",
        "v1//x",
        "v1/./x",
        "v1/",
        "a\0b",
        ".unfinished-x",
    ],
)
def test_no_key_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    (tmp_path / "other").write_bytes(b"secret")
    store = DirectoryStore(tmp_path / "archive")
    for call in (lambda: store.put(key, b"x"), lambda: store.read(key), lambda: store.size(key)):
        with pytest.raises(StoreError, match="can't be a file under"):
            call()
    assert (tmp_path / "other").read_bytes() == b"secret"


def test_no_listing_leads_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"secret")
    with pytest.raises(StoreError, match="can't be a file under"):
        keys_of(DirectoryStore(tmp_path / "archive"), "../")


def test_only_the_owner_can_read_anything(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from proxy.archive.directory import DirectoryStore; os.umask(0);"
        "DirectoryStore(Path(sys.argv[1])).put('v1/data/one', b'x')"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "a/b"], check=True, cwd=Path(__file__).parents[3])
    modes = {str(path.relative_to(tmp_path / "a")): path.stat().st_mode for path in (tmp_path / "a").rglob("*")}
    assert {name: stat.S_IMODE(mode) for name, mode in modes.items()} == {
        **dict.fromkeys(("b", "b/v1", "b/v1/data"), 0o700),
        "b/v1/data/one": 0o600,
    }


def test_what_a_crash_has_left_is_in_no_listing(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("v1/one", b"1")
    (tmp_path / "v1/.unfinished-abc").write_bytes(b"half")
    assert keys_of(store) == ["v1/one"]


def test_what_a_crash_has_left_goes_when_the_object_comes(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for name in (".unfinished-one-abc", ".unfinished-another-abc", ".unfinished-one-taken"):
        (tmp_path / name).write_bytes(b"half")
    with (tmp_path / ".unfinished-one-taken").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        store.put("one", b"1")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".unfinished-another-abc", ".unfinished-one-taken", "one"]


def test_a_source_that_can_not_be_read_leaves_nothing(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "archive")
    with pytest.raises(FileNotFoundError):
        store.put("v1/one", tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        store.put("v1/one", tmp_path)
    assert list(tmp_path.rglob("*one*")) == []


def test_a_file_in_a_folders_place_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("v1", b"a file")
    with pytest.raises(StoreError, match="move away the file") as told:
        store.put("v1/data/one", b"x")
    assert (told.value.code, told.value.is_transient) == ("NotAFolder", False)
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="folder can't be written"):
        store.put("folder", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "v1"]


def test_a_full_disk_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    """A limit on the size of files stands in for it: the kernel cuts the write short, then refuses."""
    script = """
import resource, signal, sys
from pathlib import Path
from proxy.archive.directory import DirectoryStore
from proxy.archive.store import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    DirectoryStore(Path(sys.argv[1])).put("v1/one", bytes(150_000))
except StoreError as error:
    print(error)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    told = subprocess.run(command, check=True, cwd=Path(__file__).parents[3], capture_output=True, text=True)
    assert told.stdout.startswith(f"{tmp_path}/v1/one can't be written (File too large)")
    assert list(tmp_path.rglob("*")) == [tmp_path / "v1"]


def test_two_threads_that_store_the_same_leave_one_whole_object(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    contents = [bytes([number]) * 200_000 for number in range(4)]

    def put_often(content: bytes) -> None:
        for _ in range(20):
            store.put("v1/data/one", content)

    threads = [threading.Thread(target=put_often, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if store.size("v1/data/one") is not None:
            assert store.read("v1/data/one") in contents
    for thread in threads:
        thread.join()
    assert keys_of(store) == ["v1/data/one"]


def test_a_listing_tells_sizes_and_times(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("v1/one", b"12345")
    os.utime(tmp_path / "v1/one", ns=(0, 1_795_239_913_123_456_789))
    assert list(store.entries("v1/")) == [Entry("v1/one", 5, 1_795_239_913_123)]


def test_an_empty_archive_has_an_empty_listing(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "archive")
    assert keys_of(store) == keys_of(store, "v1/data/") == []
    assert not (tmp_path / "archive").exists()


@given(st.sets(keys, max_size=8), st.text(st.sampled_from("ab.-/é"), max_size=4), keys | st.just(""))
def test_a_listing_is_in_the_order_of_keys(
    tmp_path_factory: pytest.TempPathFactory, given_keys: set[str], prefix: str, after: str
) -> None:
    store, kept = DirectoryStore(tmp_path_factory.mktemp("archive")), set[str]()
    for key in sorted(given_keys):
        if not any(key.startswith(f"{other}/") or other.startswith(f"{key}/") for other in kept):
            store.put(key, b"")
            kept.add(key)
    if prefix.startswith("/") or "//" in prefix or any(part in (".", "..") for part in prefix.split("/")[:-1]):
        return
    wanted = [key for key in kept if key.startswith(prefix) and key.encode() > after.encode()]
    assert keys_of(store, prefix, after) == sorted(wanted, key=str.encode)


def test_it_says_where_it_is(tmp_path: Path) -> None:
    assert DirectoryStore(tmp_path).describe() == f"folder {tmp_path}"
    assert DirectoryStore(Path("archive")).describe() == f"folder {Path.cwd()}/archive"
