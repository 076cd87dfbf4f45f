"""What everybody may do with the buckets, and how the way to them looks: anonymous reading, CORS, TLS, retention.

Asks as a stranger does, without keys. Must not know what the access keys may do; that is `proxy.archive.permissions`.
"""

from __future__ import annotations

import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from proxy.archive.bucket_documents import PROBE, PROBE_KEY, RETENTION_ID, BucketNames
from proxy.archive.s3_client import S3Options, is_loopback, open_client, url_of
from proxy.archive.s3_errors import CALL_ERRORS, code_of, status_of
from proxy.model.check import Check

PAGE: Final = "https://replay.example.com"  # some page that wants to read
EXPIRY_NOTICE_DAYS: Final = 14.0  # renewal is usually automatic and a month early
_DAY: Final = 86400.0


def check_exposure(client: Any, options: S3Options, names: BucketNames) -> Iterator[Check]:
    """For each bucket: who may read without keys, and whether pages may. Writes the probe into each, if possible."""
    for bucket in names.given():
        of_bucket = replace(options, bucket=bucket)
        named = {"Bucket": bucket, "Key": options.folder + PROBE_KEY}
        stranger = open_client(of_bucket, is_anonymous=True)
        is_there = _is_there(client, named)
        if names.is_public(bucket):
            yield _public(stranger, named, is_there)
        else:
            yield _private(stranger, named, is_there)
        yield _cors(bucket, url_of(of_bucket, named["Key"]), options)


def _is_there(client: Any, named: dict[str, str]) -> bool:
    try:
        client.put_object(**named, Body=PROBE)
    except CALL_ERRORS:
        return False  # told by the checks of permissions, or by what a stranger is answered
    return True


def _public(stranger: Any, named: dict[str, str], is_there: bool) -> Check:
    name, bucket = f"public reading of {named['Bucket']}", named["Bucket"]
    status = _status(lambda: stranger.get_object(**named)["Body"].close())
    if status == 200:
        return Check(name, "ok", "everybody may read an object of it")
    if status in (401, 403):
        remedy = f"turn off what blocks a public policy of {bucket}, and give it the one that `archive setup` prints"
        return Check(name, "fail", "nobody may read it without keys; replays would lack styles and fonts", remedy)
    return _unclear(name, status, is_there)


def _private(stranger: Any, named: dict[str, str], is_there: bool) -> Check:
    name, bucket = f"privacy of {named['Bucket']}", named["Bucket"]
    remedy = f"remove the policy or ACL that opens {bucket}, and block public access to it"
    reading = _status(lambda: stranger.get_object(**named)["Body"].close())
    listing = _status(lambda: stranger.list_objects_v2(Bucket=bucket, MaxKeys=1))
    if reading == 200:
        return Check(name, "fail", "EVERYBODY may read what is in it", remedy)
    if listing == 200:
        return Check(name, "fail", "everybody may see the names of what is in it", remedy)
    if reading in (401, 403):
        return Check(name, "ok", "nobody may read it without keys")
    return _unclear(name, reading, is_there)


def _unclear(name: str, status: int, is_there: bool) -> Check:
    missing = "" if is_there else ", and no object could be written there to try with"
    return Check(name, "unknown", f"a request without keys was answered {status or 'by nothing'}{missing}")


def _status(ask: Callable[[], object]) -> int:
    """The status of the answer; 0: there was none."""
    try:
        ask()
    except CALL_ERRORS as error:
        return status_of(error) if hasattr(error, "response") else 0
    return 200


def _cors(bucket: str, url: str, options: S3Options) -> Check:
    """By a preflight, as a browser sends it."""
    name = f"CORS of {bucket}"
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    try:
        status, fields = _preflight(url, asked, options)
    except OSError as error:
        return Check(name, "unknown", f"a preflight was not answered: {error}", "look at the network")
    allowed = fields.get("access-control-allow-origin", "")
    if status < 300 and allowed in ("*", PAGE) and "GET" in fields.get("access-control-allow-methods", ""):
        return Check(name, "ok", "any page may read")
    what = f"a preflight of a page was answered {status}" + (f", for {allowed}" if allowed else "")
    return Check(name, "warn", what, f"give {bucket} the CORS rule that `archive setup` prints")


def _preflight(url: str, fields: Mapping[str, str], options: S3Options) -> tuple[int, dict[str, str]]:
    request = urllib.request.Request(url, headers=dict(fields), method="OPTIONS")
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=_trusting(options)))
    try:
        answer = opener.open(request, timeout=options.connect_timeout + options.read_timeout)
    except urllib.error.HTTPError as refusal:
        answer = refusal
    with answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}


def _trusting(options: S3Options) -> ssl.SSLContext:
    """Trusts whom the client trusts."""
    from botocore.httpsession import get_cert_path

    return ssl.create_default_context(cafile=options.ca_file or os.environ.get("AWS_CA_BUNDLE") or get_cert_path(True))


def check_tls(options: S3Options, now: float) -> Check:
    """Whether the way to the bucket is encrypted, to whom it leads, and for how long that is proved."""
    url = url_of(options, options.folder + PROBE_KEY)
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        if is_loopback(url):
            return Check("TLS", "ok", "not used, and nothing leaves this machine")
        return Check(
            "TLS", "warn", f"recordings go to {host} in the clear", "use an endpoint that begins with https://"
        )
    try:
        days = _days_left(host, parts.port or 443, options, now)
    except ssl.SSLCertVerificationError as error:
        remedy = "set archive.s3.ca_file to the certificate of the authority that signed the server's"
        return Check("TLS", "fail", f"{host} is not trusted: {error.verify_message}", remedy)
    except OSError as error:
        return Check("TLS", "unknown", f"no TLS connection to {host}: {error}", "look at the network, or at a proxy")
    if days < EXPIRY_NOTICE_DAYS:
        return Check("TLS", "warn", f"the certificate of {host} expires in {days:.0f} days", "have it renewed there")
    return Check("TLS", "ok", f"the certificate of {host} is trusted, for {days:.0f} more days")


def _days_left(host: str, port: int, options: S3Options, now: float) -> float:
    with (
        socket.create_connection((host, port), options.connect_timeout) as plain,
        _trusting(options).wrap_socket(plain, server_hostname=host) as secured,
    ):
        certificate = secured.getpeercert() or {}
    return (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - now) / _DAY


def check_lifecycle(client: Any, bucket: str, wanted_days: int) -> Check:
    """Whether objects are removed one day, as wanted: `wanted_days` is 0 when they are to be kept."""
    name, remedy = f"retention of {bucket}", f"run `archive setup`, or give {bucket} the rule that it prints"
    try:
        rules = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except CALL_ERRORS as error:
        code = code_of(error)
        if code in ("AccessDenied", "NotImplemented") or not hasattr(error, "response"):
            hint = "look at its lifecycle rules with other keys" if code == "AccessDenied" else "remove old objects"
            return Check(name, "unknown", f"these keys can't see it ({code})", hint)
        rules = []
    days = [rule["Expiration"].get("Days", 0) for rule in rules if rule.get("ID") == RETENTION_ID]
    found = f"a rule removes objects after {days[0]} days" if days else "no rule of the archive's removes objects"
    if wanted_days and wanted_days not in days:
        return Check(name, "warn", f"{found}; wanted are {wanted_days} days", remedy)
    return Check(name, "ok", found)
