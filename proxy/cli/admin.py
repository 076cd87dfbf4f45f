"""Asks the admin server of a gateway that runs.

Must not know what the answers mean.
"""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from typing import Final

from proxy.settings import Address

TIMEOUT: Final = 2.0  # seconds; it is on this machine, or near
ANSWER_MAX: Final = 4 * 1024 * 1024  # bytes; it has some tens of thousands
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class UnreachableError(Exception):
    """The gateway can't be asked; the text says why."""


def ask(address: Address, path: str, method: str = "GET", seconds: float = TIMEOUT) -> tuple[int, str]:
    """Status and text of the answer. Raises UnreachableError."""
    connection = HTTPConnection(_EVERYWHERE.get(address.host, address.host), address.port, timeout=seconds)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_MAX).decode("utf-8", "replace")
    except TimeoutError:
        raise UnreachableError(f"no answer within {seconds:.0f} s") from None
    except (OSError, HTTPException) as error:
        raise UnreachableError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from None
    finally:
        connection.close()
