"""Proves what CloudFront is refused, and that secrets stay out of its template. The template and its function are
tried in tests/export.
"""

from __future__ import annotations

import pytest

from proxy.export import ExportError
from tests.unit.export.plans import NAMED, exported


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "cors.allow_origins"),
        (
            NAMED + "upstreams: {us: {track: {url: 'https://a.example', connect: 'b.example:443'}}}",
            "upstreams.us.track.connect",
        ),
        (
            NAMED + "upstreams: {us: {config: {url: 'https://a.example', ca_file: /ca.pem}}}",
            "upstreams.us.config.ca_file",
        ),
    ],
)
def test_what_cloudfront_can_not_do_safely_is_refused(text: str, path: str) -> None:
    with pytest.raises(ExportError) as caught:
        exported("cloudfront", text)
    assert caught.value.path == path


def test_the_values_of_set_headers_are_parameters() -> None:
    text = exported("cloudfront", NAMED + "headers: {upstream: {set: {X-A: TOPSECRET}}}")
    assert "TOPSECRET" not in text
    assert "{HeaderName: X-A, HeaderValue: !Ref Header1}" in text
