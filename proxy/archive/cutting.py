"""Takes blocks out of a data object: the others are copied as they are, so nothing is compressed anew.

Works on a copy in a local file. Must not know stores, or why a block has to go.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from proxy.archive import index
from proxy.archive.blocks import pieces_of
from proxy.archive.codec import BlockWriter
from proxy.archive.index import Row
from proxy.archive.naming import Codec
from proxy.archive.reindex import LEVEL


def empty_index(codec: Codec) -> bytes:
    """The index of an object in which there is nothing."""
    packed = BytesIO()
    BlockWriter(packed, codec, LEVEL).end()
    return packed.getvalue()


def cut(source: BinaryIO, key: str, codec: Codec, packed: bytes, is_unwanted: Callable[[Row], bool], to: Path) -> bytes:
    """Write the data object `key`, of which `source` is a copy and `packed` the index, without the unwanted blocks into
    the file `to`. Returns its index. Raises BadIndex, BadBlock, OSError."""
    packed_anew = BytesIO()
    rows = BlockWriter(packed_anew, codec, LEVEL)
    end = 0
    with to.open("wb") as file:
        said = index.rows(packed, codec, key)
        for (offset, length), group in groupby(said, key=lambda row: (row.offset, row.length)):
            is_copied = False
            for row in group:  # several only where they are gaps, which share a block
                if isinstance(row, Row) and is_unwanted(row):
                    continue
                if not is_copied:
                    file.writelines(pieces_of(source, offset, length))
                    is_copied = True
                rows.write(index.encode(row._replace(offset=end)))
            end += length if is_copied else 0
        rows.end()
        if codec is Codec.ZSTD:
            file.writelines(index.trailer(packed_anew.getvalue()))
    return packed_anew.getvalue()
