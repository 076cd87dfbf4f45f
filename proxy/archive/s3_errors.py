"""What went wrong with S3, from what boto3 raised: a StoreError that says what failed, where, and what to do.

Needs botocore, so it is imported only by who has imported that. Must not know what the call was for, and never repeats
what the server said about a signature.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    IncompleteReadError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    ReadTimeoutError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError, ProtocolError

from proxy.archive.s3_troubles import NAMES, STATUSES, TROUBLES
from proxy.archive.store import StoreError


class ForeignAnswerError(Exception):
    """An answer that no S3 server gives."""


# What a call can raise: the server's refusals, all failures on the way, and those of a body that is being read.
CALL_ERRORS: Final = (ClientError, BotoCoreError, ResponseParserError, HTTPError, ForeignAnswerError)
SKEW_TOLD: Final = 60.0  # seconds; a smaller difference of the clocks explains nothing
_WORDS_MAX: Final = 240  # characters of what the server said
_SECRET_LIKE: Final = re.compile(r"[A-Za-z0-9/+=]{40,}")  # signatures, digests, tokens, secret keys
# A server that repeats what it was sent; the library, when it can't send it.
_SIGNED: Final = re.compile(r"(AWS4-HMAC-SHA256|Credential=|Signature=).*", re.DOTALL)
_UNSENDABLE: Final = "Invalid header value"
_EXPECTED_REGION: Final = re.compile(r"expecting '([a-z0-9-]+)'")


class Place(NamedTuple):
    """Where calls go. `ca_file` is empty when there is none."""

    bucket: str
    endpoint: str
    region: str
    ca_file: str


class Call(NamedTuple):
    """What was asked: `doing` as in "write", the permission that it needs, and the key, if it is about one object."""

    place: Place
    doing: str
    permission: str
    key: str = ""


_CREDENTIALS: Final = (
    ConfigParseError,
    CredentialRetrievalError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)


def store_error(error: Exception, call: Call, now: float) -> StoreError:
    """The StoreError for one of CALL_ERRORS; `now` is seconds since 1970, when it was raised."""
    code = code_of(error)
    fields = {**call.place._asdict(), "permission": call.permission, "server_region": _region(error) or "another"}
    fields["ca_file"] = call.place.ca_file or "not set"
    trouble = TROUBLES[code]
    details = "; ".join(filter(None, (_words(error), _clocks(error, now))))
    what = f"{call.key} in bucket {call.place.bucket}" if call.key else f"bucket {call.place.bucket}"
    why = trouble.why.format(**fields) + (f" ({details})" if details else "")
    text = f"can't {call.doing} {what} at {call.place.endpoint}: {why}; {trouble.todo.format(**fields)}"
    return StoreError(text, code=code, is_transient=trouble.is_transient or _may_pass(error))


def set_up_error(error: Exception) -> StoreError:
    """The StoreError for a client that can't be made, from the options or from what boto3 found on this machine."""
    code = "NoCredentials" if isinstance(error, _CREDENTIALS) else "Other"
    return StoreError(f"the S3 client can't be set up: {_clean(str(error))}; correct archive.s3", code=code)


def code_of(error: Exception) -> str:
    """One of TROUBLES."""
    if isinstance(error, ClientError):
        name, status = name_of(error), status_of(error)
        known = name if name in TROUBLES else NAMES.get(name) or ("KeyManagement" if name.startswith("KMS.") else "")
        return known or STATUSES.get(status) or ("ServerError" if status >= 500 else "Other")
    if isinstance(error, _CREDENTIALS):
        return "NoCredentials"
    if isinstance(error, ProxyConnectionError):
        return "ProxyFailed"
    if isinstance(error, ResponseParserError | IncompleteReadError | ForeignAnswerError):
        return "BadAnswer"
    if _is_unsendable(error):
        return "NoCredentials"
    return next(filter(None, map(_network_code, causes(error))), "Other")


def name_of(error: ClientError) -> str:
    """What the server calls it; its status as text when it said no more, as to a HEAD."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """The HTTP status."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def seconds_ahead(headers: Mapping[str, str], now: float) -> float | None:
    """By how many seconds the clock of an answer's sender is ahead of `now`; None: it sent no date."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp() - now
    except (KeyError, ValueError, TypeError):
        return None


def clocks_text(ahead: float) -> str:
    """For people: by how much this machine's clock is wrong, if the server's is right."""
    return f"this machine's clock is {abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} the server's"


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that led to it, wherever botocore and urllib3 keep them."""
    waiting: list[BaseException] = [error]
    seen: list[BaseException] = []
    while waiting:
        each = waiting.pop(0)
        if any(each is one for one in seen):
            continue
        seen.append(each)
        yield each
        kwargs = getattr(each, "kwargs", None)
        kept = kwargs.get("error") if isinstance(kwargs, dict) else None
        within = (kept, getattr(each, "reason", None), *each.args, each.__cause__, each.__context__)
        waiting.extend(one for one in within if isinstance(one, BaseException))


def _network_code(cause: BaseException) -> str:
    match cause:
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ProtocolError():
            return "ConnectionLost"
        case ssl.SSLError():
            return "TlsFailed"
        case socket.gaierror():
            return "NameNotResolved"
        case ConnectionRefusedError():
            return "ConnectionRefused"
        case ConnectTimeoutError() | ReadTimeoutError() | TimeoutError():
            return "Timeout"
        case OSError() if not isinstance(cause, BotoCoreError):  # of which some are OSErrors by descent only
            return "ConnectionLost"
    return ""


def _is_unsendable(error: Exception) -> bool:
    """Whether credentials can't be put into a header, of which the standard library shows the whole value."""
    return any(isinstance(each, ValueError) and str(each).startswith(_UNSENDABLE) for each in causes(error))


def _may_pass(error: Exception) -> bool:
    """Whether a name could not be resolved because nobody answered, rather than because it is unknown."""
    return any(isinstance(each, socket.gaierror) and each.errno == socket.EAI_AGAIN for each in causes(error))


def _words(error: Exception) -> str:
    """What the server or the library said, for those codes that it adds something to."""
    if isinstance(error, ClientError):
        name = name_of(error)
        if name == "SignatureDoesNotMatch":
            return ""
        said = _clean(str(error.response.get("Error", {}).get("Message", "")))
        return f"{status_of(error)} {name}" + (f": {said}" if said and said != name else "")
    if _is_unsendable(error):
        return "those found hold a line break or another character that no header may have"
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _clean(cause.verify_message)
        if isinstance(cause, OSError) and not isinstance(cause, BotoCoreError):
            return _clean(cause.strerror or str(cause))
    return _clean(str(error))


def _clocks(error: Exception, now: float) -> str:
    """A difference of the clocks, which is behind many a refusal that does not say so."""
    if not isinstance(error, ClientError) or status_of(error) != 403:
        return ""
    headers: Mapping[str, Any] = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    ahead = seconds_ahead(headers, now)
    return clocks_text(ahead) if ahead is not None and abs(ahead) > SKEW_TOLD else ""


def _region(error: Exception) -> str:
    """Where the bucket is, if the server says so."""
    if not isinstance(error, ClientError):
        return ""
    told = error.response.get("Error", {})
    header = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region")
    expected = _EXPECTED_REGION.search(str(told.get("Message", "")))
    return str(header or told.get("Region") or (expected[1] if expected else ""))


def _clean(text: str) -> str:
    """One printable line without anything that looks like a secret."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return _SECRET_LIKE.sub("…", _SIGNED.sub("…", line))[:_WORDS_MAX].rstrip(". ")
