"""Proves that the corpus is what it is said to be: so many cases, each with its section, every family of request
smuggling in it, and a case for every fault of this kind that others' servers and proxies have published."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import pytest

from tests.conformance.answers import RELAYED, SPOILT
from tests.conformance.carried import CARRIED
from tests.conformance.refusals import REFUSALS

REQUESTS: Final = {one.name: one.section for one in REFUSALS} | {one.name: one.section for one in CARRIED}
ANSWERS: Final = {one.name: one.section for one in RELAYED} | {one.name: one.section for one in SPOILT}
# Names of request cases, some by their beginning; the sequences of several requests are tests of their own beside them.
FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "CL.TE and TE.CL": ("coding-and-length", "coding-after-length", "coding-and-length-zero", "hop-underscore-coding"),
    "TE.TE, obfuscated": (
        *("coding-xchunked", "coding-chunkedx", "coding-vertical-tab", "coding-kelvin-sign", "coding-nbsp"),
        *("coding-space-before-colon", "coding-tab-before-colon", "coding-folded", "coding-repeated", "coding-quoted"),
    ),
    "codings beside chunked": ("coding-gzip-chunked", "coding-chunked-gzip", "coding-identity", "coding-chunked-twice"),
    "chunked in HTTP/1.0": ("coding-in-http-1.0", "coding-in-http-1.0-kept-alive"),
    "CL.0 and 0.CL": ("method-post-config-with-body", "method-put-track-with-body", "body-looks-like-a-request"),
    "chunk extensions": ("chunk-extension-", "body-chunked-extension", "body-chunked-quoted-extension"),
    "chunk size overflow": ("chunk-size-64-bit", "chunk-size-63-bit", "chunk-size-beyond-64-bit"),
    "chunk sizes that are none": ("chunk-size-negative", "chunk-size-plus", "chunk-size-0x", "chunk-size-underscore"),
    "chunk terminators": ("chunk-data-end-", "chunk-last-", "chunk-data-longer"),
    "trailers": ("chunk-trailer", "chunk-trailers-endless", "body-chunked-trailers", "hop-trailer"),
    "bare CR and LF": ("line-lf-", "line-cr-", "chunk-size-bare-lf", "chunk-size-bare-cr", "line-lf-cr"),
    "line folding": ("field-folded-", "coding-folded", "host-folded"),
    "repeated and listed lengths": ("length-repeated", "length-list-", "length-comma-"),
    "lengths that are none": (
        "length-plus",
        "length-minus",
        "length-hexadecimal",
        "length-underscore",
        "length-quoted",
    ),
    "length overflow": ("length-20-digits", "length-2-to-63", "length-2-to-64-plus-5"),
    "methods": ("method-",),
    "versions": ("version-",),
    "absolute form": ("target-absolute",),
    "Host confusion": ("host-repeated", "host-list", "host-userinfo", "host-missing", "host-of-the-vendor"),
    "paths beyond the routes": ("target-encoded-", "target-dot", "path-track-dot-dot", "target-backslash"),
    "h2c, Upgrade, CONNECT, HTTP/2": ("upgrade-", "method-connect-", "version-2-preface", "hop-http2-settings"),
    "Expect": ("expect-",),
    "fields named in Connection": ("hop-connection-named", "hop-connection-"),
    "field names and values": (
        "field-nul-",
        "field-control-",
        "field-space-",
        "field-kelvin-in-name",
        "hop-underscore",
    ),
    "sizes without end": ("size-head-never-ends", "size-fields", "size-target-endless", "size-body-declared-petabyte"),
}
# What was published of other servers, proxies and parsers, and the case that has its bytes. Requests, then answers.
PUBLISHED: Final[Mapping[str, str]] = {
    "CVE-2021-22959 (llhttp: space before a colon)": "field-length-space-before-colon",
    "CVE-2021-40346 (HAProxy: length overflow)": "length-2-to-64-plus-5",
    "CVE-2022-32213 (llhttp: Transfer-Encoding)": "coding-chunkedx",
    "CVE-2022-32214 (llhttp: line ends)": "line-lf-after-host",
    "CVE-2022-32215 (llhttp: folded Transfer-Encoding)": "coding-folded",
    "CVE-2022-35256 (llhttp: no CR at a line's end)": "line-lf-as-empty-line",
    "CVE-2023-25725 (HAProxy: empty field names)": "field-empty-name",
    "CVE-2023-40225 (HAProxy: empty length)": "length-empty",
    "CVE-2023-30589 (llhttp: CR ends a field)": "line-cr-after-host",
    "CVE-2023-37276 (aiohttp: obsolete llhttp)": "line-cr-in-value",
    "CVE-2023-45539 (HAProxy: # in a target)": "target-fragment",
    "CVE-2023-47627 (aiohttp: length by int())": "length-underscore",
    "CVE-2024-22019 (Node.js: endless chunk extension)": "chunk-extension-endless",
    "CVE-2024-23829 (aiohttp: lenient versions)": "version-1.10",
    "CVE-2024-27982 (Node.js: space before Content-Length)": "field-space-before-first",
    "CVE-2024-52304 (aiohttp: LF in a chunk extension)": "chunk-extension-bare-lf",
    "CVE-2025-22871 (Go: bare LF after a chunk size)": "chunk-size-bare-lf",
    "CVE-2025-23167 (llhttp: CRLF, CR and another)": "line-cr-before-crlf",
    "CVE-2025-43859 (h11: what stands for CRLF after a chunk)": "chunk-data-end-missing",
    "CVE-2025-53643 (aiohttp: trailers)": "chunk-trailer-without-colon",
    "CVE-2025-55315 (Kestrel: line ends in a chunk extension)": "chunk-extension-bare-cr",
    "CVE-2025-69224 (aiohttp: digits beyond ASCII)": "length-arabic-digit",
    "CVE-2021-29492 (Envoy: encoded slashes)": "target-encoded-slash",
    "CVE-2021-32779 (Envoy: fragments)": "target-fragment",
}
OF_ANSWERS: Final[Mapping[str, str]] = {
    "response queue poisoning: bytes behind an answer": "surplus",
    "an answer that nobody asked for": "unsolicited",
    "two lengths": "length-two-numbers",
    "length and chunked": "preset-length_and_chunked",
    "a cut answer that looks whole": "chunked-cut-off",
    "an unasked 101": "preset-switching_101",
    "interim answers without end": "preset-interim_flood",
    "HTTP/0.9": "preset-http09",
    "a status that is none": "preset-status_000",
    "header injection": "preset-header_injection",
    "trailers without end": "chunk-trailers-endless",
    "a redirect elsewhere": "redirect-302",
    "a body where none can be": "body-on-304",
}


def test_there_are_as_many_as_are_claimed() -> None:
    assert len(REQUESTS) >= 390
    assert len(ANSWERS) >= 150


def test_each_has_the_section_that_it_is_about() -> None:
    section = re.compile(r"RFC \d{4}( \d+(\.\d+)*)?|SDK( \d+\.\d+\+)?|Fetch.*")
    found = {name: text for name, text in (REQUESTS | ANSWERS).items() if not section.match(text)}
    assert found == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_is_there(family: str) -> None:
    assert [name for name in FAMILIES[family] if not any(known.startswith(name) for known in REQUESTS)] == []


@pytest.mark.parametrize("fault", PUBLISHED)
def test_each_published_fault_has_its_case(fault: str) -> None:
    assert PUBLISHED[fault] in REQUESTS


@pytest.mark.parametrize("fault", OF_ANSWERS)
def test_each_way_to_answer_badly_has_its_case(fault: str) -> None:
    assert OF_ANSWERS[fault] in ANSWERS
