"""What llhttp says about bytes, with every callback in use: the other reading in the differential tests.

The gateway's `Referee` runs llhttp without callbacks for fields, so what it accepts is asked here of the same parser
in full. Shares nothing with the code under test but the parser.
"""

from __future__ import annotations

from typing import Any

import httptools


class Witness:
    """Everything about the first message on a connection. `end` is the offset behind its last byte, None while there
    are bytes missing; `refused_at` the offset of the first byte that llhttp objects to, None when there is none."""

    def __init__(self, *, answers: bool = False) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.target = b""
        self.body = b""
        self.method = b""
        self.version = ""
        self.status = 0
        self.keep_alive = False
        self.chunked = False
        self.head_read = False
        self.completed = 0
        self.end: int | None = None
        self.refused_at: int | None = None
        self.complaint = ""
        self._answers = answers
        self._parser: Any = (httptools.HttpResponseParser if answers else httptools.HttpRequestParser)(self)

    @classmethod
    def of(cls, data: bytes, *, answers: bool = False) -> Witness:
        """Show it `data` byte by byte, up to the end of the first message."""
        witness = cls(answers=answers)
        for offset in range(len(data)):
            try:
                witness._parser.feed_data(data[offset : offset + 1])
            except httptools.HttpParserUpgrade:
                witness.complaint, witness.refused_at = "upgrade", offset
                break
            except httptools.HttpParserError as error:
                witness.complaint, witness.refused_at = str(error), offset
                break
            if witness.completed:
                witness.end = offset + 1
                break
        return witness

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head_read:
            self.fields.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        if self.head_read:
            return
        self.head_read = True
        self.version = self._parser.get_http_version()
        self.keep_alive = bool(self._parser.should_keep_alive())
        if self._answers:
            self.status = self._parser.get_status_code()
        else:
            self.method = self._parser.get_method()

    def on_chunk_header(self) -> None:
        self.chunked = True

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.completed += 1

    def values(self, name: bytes) -> list[bytes]:
        """The values of the fields called `name` (lower case)."""
        return [value for known, value in self.fields if known.lower() == name]
