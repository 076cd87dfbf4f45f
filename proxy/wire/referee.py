"""llhttp, the strict parser of Node, as the judge of what is valid HTTP/1.1.

It sees every byte of every message before the gateway acts on them, and counts where messages
begin and end. The readers beside it must find the same bounds, else the connection is given up:
a head read in two ways is how requests are smuggled. No callback runs per header, which is what
makes the second reading affordable. Must not know what the messages are for.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

import httptools

_SPARE: Final = 256  # referees kept for later, 0.8 KB each


class Complaint(Enum):
    """What kind of fault llhttp found."""

    SYNTAX = "syntax"
    FRAMING = "framing"
    CODING = "coding"
    UPGRADE = "upgrade"


class Refused(Exception):
    """The bytes are not a valid message. `complaint` is the kind of fault."""

    def __init__(self, complaint: Complaint, detail: str) -> None:
        super().__init__(detail)
        self.complaint = complaint


class Referee:
    """Counts the messages that llhttp saw begin and end: of one side of a connection, or since it was last taken from
    the spare ones (`Referees`)."""

    __slots__ = ("_feed", "begun", "completed")

    def __init__(self, answers: bool = False) -> None:
        self.begun: int = 0
        self.completed: int = 0
        parser = httptools.HttpResponseParser if answers else httptools.HttpRequestParser
        self._feed: Callable[[bytes | memoryview], None] = parser(self).feed_data

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_message_complete(self) -> None:
        self.completed += 1

    def feed(self, data: bytes | memoryview) -> None:
        """Show bytes to llhttp. Raises Refused on anything but strict HTTP/1.x."""
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade:
            raise Refused(Complaint.UPGRADE, "protocol upgrade") from None
        except httptools.HttpParserError as error:
            raise Refused(_complaint(str(error)), str(error)) from None

    def agrees(self, begun: int, completed: int) -> bool:
        """Whether llhttp has seen exactly so many messages begin and end."""
        return self.begun == begun and self.completed == completed

    def rest(self) -> None:
        """Between messages: count anew. llhttp takes no other after one that ended its connection."""
        self.begun = self.completed = 0

    def close(self) -> None:
        """Let go of the parser, which refers back to this object."""
        self._feed = _closed


class Referees:
    """The referees of a worker's client connections. A connection needs one while a message is on its way; most are
    idle, and one takes more memory than all else that the gateway keeps of an idle connection."""

    __slots__ = ("_spare",)

    def __init__(self) -> None:
        self._spare: list[Referee] = []

    def take(self) -> Referee:
        """One that has counted nothing yet."""
        return self._spare.pop() if self._spare else Referee()

    def give(self, referee: Referee) -> None:
        """Take back one whose message is complete and did not end its connection, neither by its head nor by a
        trailer."""
        if len(self._spare) < _SPARE:
            referee.rest()
            self._spare.append(referee)
        else:
            referee.close()


def _closed(data: bytes | memoryview) -> None:
    raise httptools.HttpParserError("the connection is closed")


def _complaint(text: str) -> Complaint:
    # llhttp's wording only chooses between refusals (400 or 501), never between refusing and not.
    if text.startswith("Request has invalid `Transfer-Encoding`"):
        return Complaint.CODING
    if "Content-Length" in text or "Transfer-Encoding" in text or "chunk" in text:
        return Complaint.FRAMING
    return Complaint.SYNTAX
