"""Where a search begins: the cases of the conformance suite, as inputs of each target, and the words of HTTP."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from tests.conformance.answers import RELAYED, SPOILT
from tests.conformance.carried import CARRIED
from tests.conformance.refusals import REFUSALS

LONGEST: Final = 4096  # bytes of an input
UNCUT: Final = b"\0"
CUT: Final = b"\2\0\7\0\x2a"  # at the 7th and the 42nd byte
FOLDER: Final = Path(__file__).parent / "corpus"
WORDS: Final = (
    *("GET ", "HEAD ", "POST ", "OPTIONS ", "CONNECT ", "PRI * HTTP/2.0", " HTTP/1.1\r\n", " HTTP/1.0\r\n", "http://"),
    *("/config", "/config/key-1", "/sessions/v2/track", "?device_id=d&session_id=1&type=replay", "%2e%2e", "//", ";"),
    *(
        "Host: gw.example\r\n",
        "Origin: https://app.example.com\r\n",
        "Content-Length: ",
        "Transfer-Encoding: chunked\r\n",
    ),
    *(
        "Transfer-Encoding: ",
        "gzip, chunked",
        "identity",
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "Upgrade: ",
    ),
    *(
        "Connection: upgrade\r\n",
        "Expect: 100-continue\r\n",
        "Trailer: ",
        "TE: trailers\r\n",
        "Cookie: ",
        "\r\n\r\n",
        "\r\n",
    ),
    *(
        "\n",
        "\r",
        "\n\n",
        " :",
        ": ",
        "\t",
        "\x00",
        "\x0b",
        "\x80",
        "0\r\n\r\n",
        "5\r\nhello\r\n",
        "5;a=b\r\n",
        "ffffffffffffffff",
    ),
    *("HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 101 x\r\n", "HTTP/1.1 204 No Content\r\n"),
    *(
        "HTTP/1.1 304 Not Modified\r\n",
        "HTTP/1.0 200 OK\r\n",
        "Content-Length: 12\r\n",
        '{"code":200}',
        "Set-Cookie: a=b\r\n",
    ),
    *(
        "Access-Control-Allow-Origin: *\r\n",
        "X-Session-Replay-Event-Skipped: 429\r\n",
        "Access-Control-Request-Method: POST\r\n",
    ),
)


def requests() -> Iterator[bytes]:
    """The streams of clients that are short enough."""
    for writes in (*(case.writes for case in REFUSALS), *(case.writes for case in CARRIED)):
        yield b"".join(piece for piece in writes if isinstance(piece, bytes))


def answers() -> Iterator[bytes]:
    """The streams of vendors."""
    for order in (*(case.standin for case in RELAYED), *(case.standin for case in SPOILT)):
        kind, _, rest = order.partition(":")
        if kind == "raw":
            yield b64decode(unquote(rest.rpartition(":")[2]))


def made_for(target: str) -> list[bytes]:
    """Inputs for a target, made of the conformance cases."""
    made = {
        "client": [way + cuts + each for each in requests() for way, cuts in ((b"\0", CUT), (b"\x80", UNCUT))],
        "upstream": [way + CUT + each for each in answers() for way in (b"\0", b"\x81")],
        "heads": [*(b"\0" + each for each in requests()), *(b"\1" + each for each in answers())],
    }[target]
    return [each for each in made if len(each) <= LONGEST]


def seeds(target: str) -> list[bytes]:
    """The same, and what searches have found worth keeping."""
    return [path.read_bytes() for path in sorted((FOLDER / target).glob("*"))] + made_for(target)


def dictionary() -> str:
    """The words as libFuzzer reads them."""
    return "".join('"' + "".join(f"\\x{octet:02x}" for octet in word.encode("latin-1")) + '"\n' for word in WORDS)
