"""Proves that whatever boto3 raises becomes a code of the closed set, a text with what, where and what to do, and that
nothing secret gets into it. What servers really answer is proved in tests/s3."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from email.utils import formatdate
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ProtocolError

from proxy.archive.s3_errors import Call, Place, code_of, seconds_ahead, set_up_error, store_error
from proxy.archive.s3_troubles import NAMES, STATUSES, TROUBLES
from proxy.archive.store import StoreError

NOW = 1_795_000_000.0
URL = "https://s3.example.com"
CALL = Call(Place("recordings", URL, "eu-west-1", ""), "write", "s3:PutObject", "v1/data/a")


def refused(
    status: int, code: str, message: str = "", headers: dict[str, str] | None = None, **more: str
) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": message, **more},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers or {}},
    }
    return ClientError(answer, "PutObject")


def told(error: Exception) -> StoreError:
    return store_error(error, CALL, NOW)


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate in certificate chain"  # as OpenSSL says it
    return error


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("status", "name", "code"),
    [
        (403, "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
        (403, "InvalidAccessKeyId", "InvalidAccessKeyId"),
        (400, "ExpiredToken", "ExpiredToken"),
        (400, "InvalidToken", "ExpiredToken"),
        (403, "RequestTimeTooSkewed", "RequestTimeTooSkewed"),
        (404, "NoSuchBucket", "NoSuchBucket"),
        (404, "404", "NoSuchBucket"),
        (301, "PermanentRedirect", "WrongRegion"),
        (301, "301", "WrongRegion"),
        (403, "AccessDenied", "AccessDenied"),
        (403, "403", "AccessDenied"),
        (403, "SomethingNew", "AccessDenied"),
        (503, "SlowDown", "SlowDown"),
        (503, "503", "SlowDown"),
        (429, "429", "SlowDown"),
        (500, "InternalError", "ServerError"),
        (502, "502", "ServerError"),
        (504, "504", "ServerError"),
        (400, "RequestTimeout", "Timeout"),
        (400, "BadDigest", "BadDigest"),
        (400, "XAmzContentSHA256Mismatch", "BadDigest"),
        (501, "NotImplemented", "NotImplemented"),
        (405, "MethodNotAllowed", "NotImplemented"),
        (400, "EntityTooLarge", "TooLarge"),
        (400, "KMS.DisabledException", "KeyManagement"),
        (403, "QuotaExceeded", "QuotaExceeded"),
        (507, "XMinioStorageFull", "QuotaExceeded"),
        (400, "InvalidTag", "Other"),
        (418, "", "Other"),
    ],
)
def test_a_refusal_gets_the_code_of_its_name_or_else_of_its_status(status: int, name: str, code: str) -> None:
    assert told(refused(status, name)).code == code


TIMED_OUT = ReadTimeoutError(endpoint_url=URL, error="read timed out")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TIMED_OUT, "Timeout"),
        (ConnectTimeoutError(endpoint_url=URL, error="timed out"), "Timeout"),
        (EndpointConnectionError(endpoint_url=URL, error=ConnectionRefusedError(111, "refused")), "ConnectionRefused"),
        (
            EndpointConnectionError(
                endpoint_url=URL, error=caused(HTTPClientError(error="new"), ConnectionRefusedError(111, "refused"))
            ),
            "ConnectionRefused",
        ),
        (
            EndpointConnectionError(endpoint_url=URL, error=OSError(errno.EHOSTUNREACH, "no route to host")),
            "ConnectionLost",
        ),
        (
            EndpointConnectionError(endpoint_url=URL, error=socket.gaierror(socket.EAI_NONAME, "unknown")),
            "NameNotResolved",
        ),
        (SSLError(endpoint_url=URL, error=untrusted()), "TlsFailed"),
        (SSLError(endpoint_url=URL, error=ssl.SSLError(1, "wrong version number")), "TlsFailed"),
        (SSLError(endpoint_url=URL, error=ssl.SSLEOFError(8, "EOF occurred")), "ConnectionLost"),
        (
            ConnectionClosedError(endpoint_url=URL, error=ProtocolError("aborted", ConnectionResetError(104, "reset"))),
            "ConnectionLost",
        ),
        (ResponseStreamingError(error=ProtocolError("broken")), "ConnectionLost"),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), "BadAnswer"),
        (ResponseParserError("no element found"), "BadAnswer"),
        (NoCredentialsError(), "NoCredentials"),
        (PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "NoCredentials"),
        (ProxyConnectionError(proxy_url="http://proxy", error="refused"), "ProxyFailed"),
        (ParamValidationError(report="Invalid bucket name"), "Other"),
    ],
)
def test_a_failure_on_the_way_gets_the_code_of_its_cause(error: Exception, code: str) -> None:
    assert code_of(error) == code
    assert told(error).code == code


def test_every_code_says_why_and_what_to_do_in_one_piece_each() -> None:
    assert set(NAMES.values()) | set(STATUSES.values()) <= set(TROUBLES)
    for code, trouble in TROUBLES.items():
        assert trouble.why, code
        assert trouble.todo, code
        # The doctor takes the texts apart there.
        assert ";" not in trouble.todo, code


def test_the_text_says_what_failed_where_and_what_to_do() -> None:
    assert str(told(refused(403, "AccessDenied", "Access Denied"))) == (
        "can't write v1/data/a in bucket recordings at https://s3.example.com: denied; s3:PutObject is missing"
        " (403 AccessDenied: Access Denied); grant s3:PutObject for recordings to these keys, or use other keys"
    )


@pytest.mark.parametrize(
    "error",
    [
        refused(301, "PermanentRedirect", headers={"x-amz-bucket-region": "us-west-2"}),
        refused(400, "AuthorizationHeaderMalformed", "the region 'eu-west-1' is wrong; expecting 'us-west-2'"),
        refused(400, "AuthorizationHeaderMalformed", "wrong", Region="us-west-2"),
    ],
)
def test_a_wrong_region_is_told_with_the_right_one(error: ClientError) -> None:
    text = str(told(error))
    assert "the bucket is in region us-west-2, not in eu-west-1" in text
    assert "set archive.s3.region: us-west-2" in text


@pytest.mark.parametrize(("ahead", "words"), [(1200, "1200 s behind"), (-1200, "1200 s ahead of")])
def test_a_difference_of_the_clocks_is_told_in_seconds(ahead: int, words: str) -> None:
    headers = {"date": formatdate(NOW + ahead, usegmt=True)}
    for code in ("RequestTimeTooSkewed", "AccessDenied", "SignatureDoesNotMatch"):
        assert f"this machine's clock is {words} the server's" in str(told(refused(403, code, headers=headers)))


def test_a_small_difference_of_the_clocks_explains_nothing() -> None:
    headers = {"date": formatdate(NOW + 20, usegmt=True)}
    assert "clock" not in str(told(refused(403, "AccessDenied", headers=headers)))


@pytest.mark.parametrize("headers", [{}, {"date": ""}, {"date": "yesterday"}])
def test_an_answer_without_a_date_tells_nothing_of_the_clock(headers: dict[str, str]) -> None:
    assert seconds_ahead(headers, NOW) is None


def test_what_looks_like_a_secret_is_left_out() -> None:
    secret, signature = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYabcd", "0123456789abcdef" * 4
    message = f"the signature {signature} of {secret} is\nno good"
    for error in (
        refused(403, "AccessDenied", message),
        refused(403, "SignatureDoesNotMatch", message, StringToSign=signature, SignatureProvided=signature),
        EndpointConnectionError(endpoint_url=f"{URL}/?X-Amz-Signature={signature}", error=None),
    ):
        text = str(told(error))
        assert secret not in text
        assert signature not in text
        assert "\n" not in text


def test_a_long_message_is_cut() -> None:
    assert len(str(told(refused(400, "InvalidRequest", "word " * 1000)))) < 600


def test_who_may_wait_is_not_alarmed() -> None:
    for error in (refused(503, "SlowDown"), refused(500, "InternalError"), TIMED_OUT):
        assert told(error).is_transient
    for error in (refused(403, "AccessDenied"), refused(404, "NoSuchBucket"), NoCredentialsError()):
        assert not told(error).is_transient


def test_a_name_that_could_not_be_asked_for_may_be_known_later() -> None:
    for number, is_transient in ((socket.EAI_AGAIN, True), (socket.EAI_NONAME, False)):
        error = EndpointConnectionError(endpoint_url=URL, error=socket.gaierror(number, "no answer"))
        assert (told(error).code, told(error).is_transient) == ("NameNotResolved", is_transient)


def test_an_untrusted_certificate_names_the_file_of_authorities() -> None:
    error = SSLError(endpoint_url=URL, error=untrusted())
    with_file = Call(CALL.place._replace(ca_file="/etc/ca.pem"), "write", "s3:PutObject")
    assert "archive.s3.ca_file (now /etc/ca.pem)" in str(store_error(error, with_file, NOW))
    assert "TLS failed (self-signed certificate in certificate chain)" in str(told(error))
    assert "archive.s3.ca_file (now not set)" in str(told(error))


def test_a_client_that_can_not_be_made_is_told() -> None:
    assert set_up_error(PartialCredentialsError(provider="env", cred_var="X")).code == "NoCredentials"
    other = set_up_error(ValueError("Invalid endpoint: https://s3..example.com"))
    assert re.search(r"Invalid endpoint.*correct archive\.s3", str(other))
