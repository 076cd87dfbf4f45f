"""What can go wrong with S3: the codes that are counted, and for each why a call failed and what to do.

Texts and names only: must not know how a failure is recognised. Servers call the same thing by different names; AWS's
are followed where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Trouble(NamedTuple):
    """What is known about one code: whether waiting helps, why the call failed, and what to do."""

    is_transient: bool
    why: str
    todo: str


# By code. The fields in braces: bucket, region, server_region, ca_file, permission.
TROUBLES: Final[Mapping[str, Trouble]] = {
    "AccessDenied": Trouble(
        False, "denied; {permission} is missing", "grant {permission} for {bucket} to these keys, or use other keys"
    ),
    "BadAnswer": Trouble(True, "the answer is incomplete or is none of S3", "look at what is between here and there"),
    "BadDigest": Trouble(True, "the body arrived altered", "look at what is between here and there"),
    "ConnectionLost": Trouble(True, "the connection broke", "look whether the server and the network are well"),
    "ConnectionRefused": Trouble(True, "nobody listens there", "start the server, or correct archive.s3.endpoint"),
    "ExpiredToken": Trouble(False, "the session token is invalid or has expired", "give new credentials"),
    "InvalidAccessKeyId": Trouble(
        False, "the access key is unknown there", "correct archive.s3.accessKey, or archive.s3.endpoint"
    ),
    "KeyManagement": Trouble(False, "the encryption key can't be used", "look at archive.s3.kms_key_id"),
    "NameNotResolved": Trouble(
        False, "the host name is unknown", "correct archive.s3.endpoint, or set archive.s3.addressing: path"
    ),
    "NoCredentials": Trouble(
        False,
        "there are no credentials",
        "set archive.s3.accessKey and archive.s3.secretKey, or give this machine a role",
    ),
    "NoSuchBucket": Trouble(
        False, "there is no such bucket", "create it, or correct its name, archive.s3.endpoint and archive.s3.region"
    ),
    "NoSuchKey": Trouble(False, "there is no such object", "look whether something removes objects there"),
    "NotImplemented": Trouble(False, "the server does not know this", "leave it out (tags, encryption), or upgrade it"),
    "Other": Trouble(False, "refused", "look at what the server says"),
    "ProxyFailed": Trouble(True, "the HTTP proxy failed", "correct HTTPS_PROXY, or add the host to NO_PROXY"),
    "QuotaExceeded": Trouble(False, "there is no room left", "raise the quota, or shorten the retention"),
    "RequestTimeTooSkewed": Trouble(False, "the clocks differ too much", "set this machine's clock (NTP)"),
    "ServerError": Trouble(True, "the server failed", "look whether it is well"),
    "SignatureDoesNotMatch": Trouble(
        False,
        "the signature is wrong: the secret key is not that of the access key",
        "correct archive.s3.secretKey and archive.s3.accessKey",
    ),
    "SlowDown": Trouble(True, "the server asks for fewer requests", "wait"),
    "Timeout": Trouble(True, "no answer in time", "look whether the server and the network are well"),
    "TlsFailed": Trouble(
        False,
        "TLS failed",
        "set archive.s3.ca_file (now {ca_file}) to the certificate of the authority that signed the server's",
    ),
    "TooLarge": Trouble(False, "the object is too large", "lower archive.rotate.bytes"),
    "WrongRegion": Trouble(
        False, "the bucket is in region {server_region}, not in {region}", "set archive.s3.region: {server_region}"
    ),
}

# What servers call it: Amazon's names, and those of others where they differ.
NAMES: Final[Mapping[str, str]] = {
    "AccountProblem": "AccessDenied",
    "AllAccessDisabled": "AccessDenied",
    "AuthorizationHeaderMalformed": "WrongRegion",
    "BandwidthLimitExceeded": "SlowDown",
    "ExpiredTokenException": "ExpiredToken",
    "EntityTooLarge": "TooLarge",
    "IllegalLocationConstraintException": "WrongRegion",
    "InsufficientStorage": "QuotaExceeded",
    "InternalError": "ServerError",
    "InvalidDigest": "BadDigest",
    "InvalidToken": "ExpiredToken",
    "MalformedXML": "NotImplemented",  # what is sent is well-formed, so the server knows less of the API
    "MethodNotAllowed": "NotImplemented",
    "PermanentRedirect": "WrongRegion",
    "RequestExpired": "RequestTimeTooSkewed",
    "RequestLimitExceeded": "SlowDown",
    "RequestTimeout": "Timeout",
    "ServiceUnavailable": "SlowDown",
    "StorageFull": "QuotaExceeded",
    "TemporaryRedirect": "WrongRegion",
    "Throttling": "SlowDown",
    "ThrottlingException": "SlowDown",
    "TokenRefreshRequired": "ExpiredToken",
    "TooManyRequests": "SlowDown",
    "XAmzContentChecksumMismatch": "BadDigest",
    "XAmzContentSHA256Mismatch": "BadDigest",
    "XMinioStorageFull": "QuotaExceeded",
    "XNotImplemented": "NotImplemented",
}
STATUSES: Final[Mapping[int, str]] = {
    301: "WrongRegion",
    307: "WrongRegion",
    403: "AccessDenied",
    404: "NoSuchBucket",
    405: "NotImplemented",
    408: "Timeout",
    413: "TooLarge",
    429: "SlowDown",
    501: "NotImplemented",
    503: "SlowDown",
    507: "QuotaExceeded",
}
