"""Proves that only the two routes are recognised, that what is forwarded is what was checked, and that no target,
however spelled, leaves the upstream's own path."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.model.verdict import Reason, Route
from proxy.policy.routing import Match, Router
from proxy.settings.schema import Paths

DEFAULT = Router(Paths.model_validate({}))
ALIASED = Router(Paths.model_validate({"track": ["/sessions/v2/track", "/r"], "config": ["/config", "/c/settings"]}))

UPLOAD = b"/sessions/v2/track?device_id=d-1&session_id=1795239913738&type=replay"

NASTY = [
    b"/", b"//", b".", b"..", b"%2e", b"%2E", b".%2e", b"%2f", b"%2F", b"%5c", b"\\", b";", b";x=y", b"#", b"?",
    b"%", b"%4", b"%zz", b"%00", b"%0d%0a", b"%7f", b"%252e", b"%41", b"%c3%a9", b" ", b"\t", b"\x00", b"\x7f",
    b"\xc3\xa9", b"*", b"@", b":443", b"http://evil.example", b"config", b"CONFIG", b"sessions", b"v2", b"track",
    b"sessions/v2/track", b"key", b"admin", b"api_key=k", b"&",
]  # fmt: skip

targets = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from(NASTY), max_size=8).map(b"".join),
    st.builds(
        lambda route, rest: route + b"".join(rest),
        st.sampled_from([b"/config", b"/config/", b"/config//", b"/sessions/v2/track", b"/c/settings", b"/r"]),
        st.lists(st.sampled_from(NASTY), max_size=5),
    ),
)
segments = st.text("abcXYZ019-_~!$&'()*+,=:@.", min_size=1, max_size=20).filter(lambda text: set(text) != {"."})


def resolved(path: bytes) -> list[bytes]:
    """The segments as the most lenient server could understand them: decoded, backslashes turned, dots resolved."""
    kept: list[bytes] = []
    for segment in unquote_to_bytes(path).replace(b"\\", b"/").split(b"/")[1:]:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    return kept


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (UPLOAD, Match(Route.TRACK, b"", UPLOAD[18:])),
        (b"/sessions/v2/track", Match(Route.TRACK, b"", b"")),
        (b"/sessions/v2/track?", Match(Route.TRACK, b"", b"?")),
        (b"/config/0123abcd?config_group=browser", Match(Route.CONFIG, b"/0123abcd", b"?config_group=browser")),
        (b"/config//0123abcd?config_group=browser", Match(Route.CONFIG, b"/0123abcd", b"?config_group=browser")),
        (b"/config?api_key=k&session_id=1", Match(Route.CONFIG, b"", b"?api_key=k&session_id=1")),
        (b"/config/?api_key=k", Match(Route.CONFIG, b"", b"?api_key=k")),
        (b"/config", Match(Route.CONFIG, b"", b"")),
    ],
)
def test_the_sdks_own_targets_are_recognised(target: bytes, expected: Match) -> None:
    assert DEFAULT.match(target) == expected


@pytest.mark.parametrize("path", [b"/r", b"/sessions/v2/track"])
def test_every_track_alias_is_the_track_route(path: bytes) -> None:
    assert ALIASED.match(path + b"?a=1") == Match(Route.TRACK, b"", b"?a=1")


@pytest.mark.parametrize("path", [b"/config", b"/c/settings"])
def test_every_config_alias_takes_a_key(path: bytes) -> None:
    assert ALIASED.match(path + b"/k") == Match(Route.CONFIG, b"/k", b"")


def test_a_path_that_is_not_configured_is_not_served() -> None:
    assert Router(Paths.model_validate({"track": ["/r"], "config": ["/c"]})).match(UPLOAD) is Reason.UNKNOWN_PATH


@pytest.mark.parametrize(
    "key", [b"%41b", b"a%20b", b"%c3%a9", b"a.b", b"...", b"..a", b"a..", b"a|b", b"%252e%252e", b"%3B", b"a:b@c"]
)
def test_an_odd_key_is_forwarded_as_it_was_written(key: bytes) -> None:
    assert DEFAULT.match(b"/config/" + key) == Match(Route.CONFIG, b"/" + key, b"")


@pytest.mark.parametrize(
    "query", [b"?a=%2f..%2F%zz%", b"?/../..//;\\", b"?a=b?c=d", b"?device_id=a|b^c`{}\"<>'", b"?%00"]
)
def test_the_query_is_opaque(query: bytes) -> None:
    assert DEFAULT.match(b"/sessions/v2/track" + query) == Match(Route.TRACK, b"", query)


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/favicon.ico",
        b"/sessions",
        b"/sessions/v2",
        b"/sessions/v2/track/",
        b"/sessions/v2/track/x",
        b"/sessions/v2/trackX",
        b"/sessions/v2/Track",
        b"/sessions/v2/%74rack",
        b"/sessions/v1/track",
        b"/x/sessions/v2/track",
        b"/configXYZ",
        b"/configXYZ/key",
        b"/CONFIG/key",
        b"/conf%69g/key",
        b"/config/a/b",
        b"/config/a/",
        b"/x/config/a",
    ],
)
def test_a_path_near_a_route_is_unknown(target: bytes) -> None:
    assert DEFAULT.match(target) is Reason.UNKNOWN_PATH
    assert DEFAULT.match(target + b"?api_key=k") is Reason.UNKNOWN_PATH


@pytest.mark.parametrize(
    "target",
    [
        b"/config/..",
        b"/config/.",
        b"/config//..",
        b"/config/%2e%2e",
        b"/config/.%2E",
        b"/config/%2e",
        b"/config/../admin",
        b"/config/%2e%2e/admin",
        b"/./config/k",
        b"/x/../sessions/v2/track",
        b"/sessions/v2/track/..",
        b"/sessions/v2/track/%2E%2e?x=1",
    ],
)
def test_a_dot_segment_is_refused(target: bytes) -> None:
    assert DEFAULT.match(target) is Reason.BAD_TARGET


@pytest.mark.parametrize(
    "octets", [b"%2f", b"%2F", b"%5c", b"%5C", b"\\", b";", b";a=b", b"%00", b"%0a", b"%1F", b"%7f", b"%7F"]
)
def test_an_ambiguous_octet_in_a_path_is_refused(octets: bytes) -> None:
    assert DEFAULT.match(b"/config/a" + octets + b"b") is Reason.BAD_TARGET
    assert DEFAULT.match(b"/sessions/v2/track" + octets) is Reason.BAD_TARGET
    assert DEFAULT.match(b"/other" + octets + b"/x") is Reason.BAD_TARGET


@pytest.mark.parametrize("escape", [b"%", b"%4", b"%zz", b"%4g", b"%%41", b"%-1"])
def test_a_broken_escape_in_a_path_is_refused(escape: bytes) -> None:
    assert DEFAULT.match(b"/config/a" + escape) is Reason.BAD_TARGET
    assert DEFAULT.match(b"/config/" + escape + b"?x=1") is Reason.BAD_TARGET


@pytest.mark.parametrize(
    "target",
    [b"//config/k", b"/config///k", b"/config//", b"/config/k//", b"//", b"/sessions//v2/track", b"/config//a/b"],
)
def test_an_empty_segment_elsewhere_is_refused(target: bytes) -> None:
    assert DEFAULT.match(target) is Reason.BAD_TARGET


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"*",
        b"http://replay.example.com/config/k",
        b"replay.example.com:443",
        b"config/k",
        b"?x=1",
        b"sessions/v2/track",
    ],
)
def test_a_target_not_in_origin_form_is_refused(target: bytes) -> None:
    assert DEFAULT.match(target) is Reason.BAD_TARGET


@pytest.mark.parametrize("octet", [*range(0x21), 0x23, *range(0x7F, 0x100)])
def test_an_octet_that_no_target_may_hold_is_refused_in_path_and_query(octet: int) -> None:
    assert DEFAULT.match(b"/config/a" + bytes([octet])) is Reason.BAD_TARGET
    assert DEFAULT.match(UPLOAD + bytes([octet])) is Reason.BAD_TARGET


@given(targets)
@example(b"/config/..%2f..")
@example(b"/config//..")
@example(b"/config/.%2e?x")
def test_no_target_leaves_the_upstreams_own_path(target: bytes) -> None:
    match = ALIASED.match(target)
    if isinstance(match, Reason):
        return
    own = [b"up", b"stream"]
    segments = resolved(b"/up/stream" + match.suffix)
    assert segments == own if match.route is Route.TRACK else segments[:2] == own
    assert len(segments) == (3 if match.suffix else 2)
    assert all(segments)
    assert match.query == b"" or match.query.startswith(b"?")
    assert not set(match.suffix + match.query) - (set(range(0x21, 0x7F)) - set(b"#"))


@given(targets)
def test_what_is_forwarded_are_the_targets_own_bytes(target: bytes) -> None:
    match = ALIASED.match(target)
    if isinstance(match, Match):
        assert target.endswith(match.suffix + match.query)
        public = target.removesuffix(match.suffix + match.query)
        assert public in (b"/sessions/v2/track", b"/r", b"/config", b"/config/", b"/c/settings", b"/c/settings/")


@given(targets)
def test_a_refusal_is_one_of_two(target: bytes) -> None:
    match = ALIASED.match(target)
    assert isinstance(match, Match) or match in (Reason.BAD_TARGET, Reason.UNKNOWN_PATH)


@given(segments, st.text("abc019=&%+./?-_", max_size=20))
def test_a_plain_key_is_never_refused(key: str, query: str) -> None:
    target = f"/config/{key}?{query}".encode()
    assert DEFAULT.match(target) == Match(Route.CONFIG, f"/{key}".encode(), f"?{query}".encode())
