"""Proves which origins are named in an answer, that nothing else of a request's bytes gets into the fields, and that
a preflight of the SDK is granted whole."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.model.verdict import Route
from proxy.policy.origins import SDK_HEADERS, CorsPolicy, UnknownHeaders
from proxy.settings.schema import Cors


def policy(*origins: str, **rest: object) -> CorsPolicy:
    return CorsPolicy(Cors.model_validate({"allow_origins": list(origins or ("*",)), **rest}))


ANY = policy()
LISTED = policy(
    "https://app.example.com", "https://shop.example.com:8443", "https://*.example.org", "http://*.test.example:81"
)

APP = b"https://app.example.com"
FOREIGN = b"https://evil.example"
SDK_REQUESTED = (
    b"authorization,content-encoding,content-type,x-client-library,x-client-sample-rate,"
    b"x-client-url,x-client-version,x-sampling-hash-alg"
)
VARY = b"Vary: Origin\r\n"
VARY_PREFLIGHT = b"Vary: Origin, Access-Control-Request-Headers, Access-Control-Request-Method\r\n"

PIECES = [
    b"https://", b"http://", b"HTTPS://", b"://", b":", b"//", b"/", b"@", b"x@", b".", b"..", b"*", b"-", b"_",
    b"null",
    b"a", b"app", b"evil", b"example.org", b".example.org", b"example.com", b".example.com", b"app.example.com",
    b":443", b":81", b":8443", b":999999", b"?", b"#", b"\\", b"%2e", b" ", b"\t", b"\r\n", b"\x00", b"\xc3\xa9", b",",
    b"[::1]", b"[", b"]", b"test.example", b"xn--bcher-kva",
]  # fmt: skip
origins = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=6).map(b"".join),
    st.lists(st.sampled_from(PIECES), max_size=4).map(lambda pieces: b"https://" + b"".join(pieces) + b".example.org"),
)
requested_values = st.one_of(
    st.binary(max_size=80),
    st.lists(
        st.sampled_from(
            [b"authorization", b"x-own", b"X-Own", b"x-other", b"", b" ", b"a b", b"x\r\ny: z", b"\x00", b"a:b", b"*"]
        ),
        max_size=90,
    ).map(b",".join),
)


def fields(block: bytes) -> dict[bytes, bytes]:
    """A block's fields by name; fails on a line that is none, and on a name that comes twice."""
    assert block.endswith(b"\r\n")
    lines = block.removesuffix(b"\r\n").split(b"\r\n")
    pairs = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
    assert len({name.lower() for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def granted(block: bytes) -> list[bytes]:
    return fields(block)[b"Access-Control-Allow-Headers"].lower().split(b", ")


@pytest.mark.parametrize(
    "origin",
    [
        APP,
        b"https://shop.example.com:8443",
        b"https://a.example.org",
        b"https://a.b-c.d_e.example.org",
        b"https://xn--bcher-kva.example.org",
        b"http://a.test.example:81",
    ],
)
def test_listed_origins_are_allowed(origin: bytes) -> None:
    assert LISTED.allows(origin)


@pytest.mark.parametrize(
    "origin",
    [
        b"",
        b"null",
        b"*",
        b"https://*",
        b"https://*.example.org",
        b"http://app.example.com",
        b"https://app.example.com:443",
        b"https://app.example.com/",
        b"https://app.example.com.evil.test",
        b"https://xapp.example.com",
        b"https://shop.example.com",
        b"https://APP.example.com",
        b"HTTPS://app.example.com",
        b"https://app.example.com, https://evil.example",
        b"https://app.example.com https://evil.example",
    ],
)
def test_what_only_resembles_a_listed_origin_is_foreign(origin: bytes) -> None:
    assert not LISTED.allows(origin)


@pytest.mark.parametrize(
    "origin",
    [
        b"https://example.org",
        b"https://evilexample.org",
        b"https://.example.org",
        b"https://a..example.org",
        b"https://a.example.org.",
        b"https://a.example.org.evil.com",
        b"https://a.example.org:444",
        b"https://a.example.org:",
        b"http://a.example.org",
        b"https://x@.example.org",
        b"https://x@a.example.org",
        b"https://evil.com/.example.org",
        b"https://evil.com#.example.org",
        b"https://evil.com?.example.org",
        b"https://evil.com\\.example.org",
        b"https://evil.com:80.example.org",
        b"https://evil.com%2f.example.org",
        b"https://A.example.org",
        b"https://a.example.org\r\nX: y",
        b"https://a\x00.example.org",
        b"https://\xc3\xa9.example.org",
        b"https://[::1].example.org",
        b"https://a.test.example:81",
        b"http://a.test.example",
    ],
)
def test_tricks_with_a_wildcard_are_foreign(origin: bytes) -> None:
    assert not LISTED.allows(origin)


@pytest.mark.parametrize(
    "origin",
    [
        APP,
        b"http://localhost:3000",
        b"http://127.0.0.1:8080",
        b"http://[::1]:8080",
        b"capacitor://localhost",
        b"chrome-extension://abcdefghijklmnop",
        b"h2.web+app-z://localhost",
        b"http://[2001:db8::ffff:192.0.2.1]",
        b"https://example.com.",
        b"https://example.com:65535",
        b"https://" + b"a" * 292,
        b"file://",
    ],
)
def test_with_a_star_every_origin_that_browsers_send_is_named(origin: bytes) -> None:
    assert fields(ANY.answer_fields(origin))[b"Access-Control-Allow-Origin"] == origin


@pytest.mark.parametrize(
    "origin",
    [
        b"",
        b"null",
        b"*",
        b"https://",
        b"https://a/",
        b"https://a b",
        b"https://u@a",
        b"https://a:80:80",
        b"https://a:x",
        b"https://a:123456",
        b"https://[]",
        b"https://[::1",
        b"https://[::1]x",
        b"https://[z::1]",
        b"https://[::z]",
        b"https://[::1]x80",
        b"https://a:x0",
        b"https://a\r\nSet-Cookie: x=1",
        b"https://a\nb",
        b"https://a\x7f",
        b"https://\xff",
        b"1https://a",
        b"://a",
        b"a",
        b"https:a",
        b"file:///",
        b"https://" + b"a" * 293,
    ],
)
def test_even_with_a_star_null_and_what_is_no_origin_are_never_named(origin: bytes) -> None:
    assert not ANY.allows(origin)
    assert ANY.answer_fields(origin) == VARY
    assert ANY.preflight_fields(origin, b"POST", SDK_REQUESTED, Route.TRACK) == (VARY_PREFLIGHT, ())


@given(origins)
@example(b"https://evil.com:80.example.org")
def test_an_origin_is_allowed_only_if_another_parser_agrees(origin: bytes) -> None:
    if not LISTED.allows(origin):
        return
    url = urlsplit(origin.decode("ascii"))
    host, port = url.hostname or "", url.port
    assert (url.path, url.query, url.fragment, url.username, url.password) == ("", "", "", None, None)
    assert (
        (url.scheme, host, port) in {("https", "app.example.com", None), ("https", "shop.example.com", 8443)}
        or (url.scheme == "https" and host.endswith(".example.org") and port is None)
        or (url.scheme == "http" and host.endswith(".test.example") and port == 81)
    )


@given(origins, requested_values)
def test_no_origin_and_no_requested_name_adds_a_field_of_its_own(origin: bytes, requested: bytes) -> None:
    for cors in (ANY, LISTED):
        answer, (preflight, _) = (
            fields(cors.answer_fields(origin)),
            cors.preflight_fields(origin, b"POST", requested, Route.TRACK),
        )
        if cors.allows(origin):
            assert answer[b"Access-Control-Allow-Origin"] == fields(preflight)[b"Access-Control-Allow-Origin"] == origin
            assert len(answer) == 4
            assert len(fields(preflight)) == 6
        else:
            assert list(answer) == list(fields(preflight)) == [b"Vary"]


@given(origins)
def test_a_remembered_answer_is_the_same_answer(origin: bytes) -> None:
    cors = policy("*")
    assert cors.answer_fields(origin) == cors.answer_fields(origin) == ANY.answer_fields(origin)
    assert cors.allows(origin) == ANY.allows(origin) == (cors.answer_fields(origin) != VARY)


def test_an_answer_names_the_origin_and_what_may_be_read() -> None:
    assert LISTED.answer_fields(APP) == (
        b"Access-Control-Allow-Origin: https://app.example.com\r\n"
        b"Access-Control-Allow-Credentials: true\r\n"
        b"Access-Control-Expose-Headers: X-Session-Replay-Event-Skipped, Retry-After, X-Request-Id\r\n"
        b"Vary: Origin\r\n"
    )


@pytest.mark.parametrize("origin", [None, FOREIGN])
def test_a_foreign_or_absent_origin_gets_vary_alone(origin: bytes | None) -> None:
    assert LISTED.answer_fields(origin) == VARY
    assert LISTED.preflight_fields(origin, b"POST", SDK_REQUESTED, Route.TRACK) == (VARY_PREFLIGHT, ())


def test_the_operators_exposed_names_come_after_ours_and_not_twice() -> None:
    cors = policy(expose_headers=["X-Own", "retry-after"])
    exposed = fields(cors.answer_fields(APP))[b"Access-Control-Expose-Headers"]
    assert exposed == b"X-Session-Replay-Event-Skipped, Retry-After, X-Request-Id, X-Own"


def test_the_sdks_preflight_is_granted_whole() -> None:
    block, unknown = LISTED.preflight_fields(APP, b"POST", SDK_REQUESTED, Route.TRACK)
    assert block == (
        b"Access-Control-Allow-Origin: https://app.example.com\r\n"
        b"Access-Control-Allow-Credentials: true\r\n"
        b"Access-Control-Allow-Methods: POST, OPTIONS\r\n"
        b"Access-Control-Allow-Headers: Authorization, Content-Encoding, Content-Type, X-Client-Library, "
        b"X-Client-Sample-Rate, X-Client-Url, X-Client-Version, X-Sampling-Hash-Alg\r\n"
        b"Access-Control-Max-Age: 7200\r\n"
        b"Vary: Origin, Access-Control-Request-Headers, Access-Control-Request-Method\r\n"
    )
    assert unknown == ()
    assert set(SDK_REQUESTED.split(b",")) == {name.lower() for name in SDK_HEADERS}


@pytest.mark.parametrize("requested", [None, b"", b"content-type"])
def test_the_sdks_names_are_granted_whatever_is_asked_for(requested: bytes | None) -> None:
    block, unknown = ANY.preflight_fields(APP, b"POST", requested, Route.TRACK)
    assert granted(block) == [name.lower() for name in SDK_HEADERS]
    assert unknown == ()


def test_each_route_has_its_methods() -> None:
    for route, methods in ((Route.TRACK, b"POST, OPTIONS"), (Route.CONFIG, b"GET, HEAD, OPTIONS")):
        for _ in range(2):
            block, _ = ANY.preflight_fields(APP, b"POST", None, route)
            assert fields(block)[b"Access-Control-Allow-Methods"] == methods


def test_the_age_is_whole_seconds() -> None:
    block, _ = policy(max_age="1500ms").preflight_fields(APP, b"POST", None, Route.TRACK)
    assert fields(block)[b"Access-Control-Max-Age"] == b"1"


def test_a_scripts_own_header_is_granted_and_told() -> None:
    block, unknown = ANY.preflight_fields(APP, b"POST", b"authorization, X-Tenant ,\tx-trace\t", Route.TRACK)
    assert granted(block)[-2:] == [b"x-tenant", b"x-trace"]
    assert unknown == (b"x-tenant", b"x-trace")


def test_an_operators_header_is_granted_and_not_told() -> None:
    cors = policy(allow_headers=["X-Tenant", "authorization"])
    block, unknown = cors.preflight_fields(APP, b"POST", b"x-tenant", Route.TRACK)
    assert granted(block) == [*(name.lower() for name in SDK_HEADERS), b"x-tenant"]
    assert unknown == ()


def test_a_foreign_pages_header_is_not_told() -> None:
    assert LISTED.preflight_fields(FOREIGN, b"POST", b"x-tenant", Route.TRACK)[1] == ()


def test_outside_a_preflight_nothing_is_granted_or_told() -> None:
    block, unknown = ANY.preflight_fields(APP, None, b"x-tenant", Route.TRACK)
    assert b"x-tenant" not in granted(block)
    assert unknown == ()


def test_a_name_asked_for_twice_is_granted_once() -> None:
    block, unknown = ANY.preflight_fields(APP, b"POST", b"x-a,X-A,x-a", Route.TRACK)
    assert granted(block).count(b"x-a") == 1
    assert unknown == (b"x-a",)


@pytest.mark.parametrize("name", [b"a b", b"a:b", b"a\r\nb", b"a\x00", b"\xc3\xa9", b"(a)", b"a/b", b'"a"', b"", b" "])
def test_what_is_no_header_name_is_neither_granted_nor_told(name: bytes) -> None:
    block, unknown = ANY.preflight_fields(APP, b"POST", b"x-good," + name, Route.TRACK)
    assert unknown == (b"x-good",)
    assert granted(block)[-1] == b"x-good"


def test_names_beyond_the_sixty_fourth_are_not_granted() -> None:
    _, unknown = ANY.preflight_fields(APP, b"POST", b",".join(b"x-%d" % n for n in range(100)), Route.TRACK)
    assert unknown == tuple(b"x-%d" % n for n in range(64))


def test_names_beyond_four_kilobytes_are_not_granted_and_none_is_cut() -> None:
    names = [b"x" * 999 + b"%d" % n for n in range(5)]
    block, unknown = ANY.preflight_fields(APP, b"POST", b",".join(names), Route.TRACK)
    assert unknown == tuple(names[:4])
    assert granted(block)[-4:] == names[:4]


def test_four_kilobytes_of_names_are_granted_whole() -> None:
    names = [b"x" * 1023, b"y" * 1023, b"z" * 1023, b"w" * 1024]
    assert ANY.preflight_fields(APP, b"POST", b",".join(names), Route.TRACK)[1] == tuple(names)


def test_every_octet_of_a_token_is_granted() -> None:
    name = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
    assert ANY.preflight_fields(APP, b"POST", name, Route.TRACK)[1] == (name,)


def test_a_single_name_of_more_than_four_kilobytes_is_not_granted() -> None:
    assert ANY.preflight_fields(APP, b"POST", b"x" * 5000, Route.TRACK)[1] == ()


@given(requested_values)
def test_a_remembered_preflight_is_the_same_preflight(requested: bytes) -> None:
    cors = policy()
    first = cors.preflight_fields(APP, b"POST", requested, Route.TRACK)
    assert cors.preflight_fields(APP, b"POST", requested, Route.TRACK) == first
    assert cors.preflight_fields(APP, b"POST", requested, Route.CONFIG)[1] == first[1]
    assert set(first[1]) <= set(granted(first[0]))


def test_a_flood_of_origins_changes_no_answer() -> None:
    cors = policy()
    for number in range(3000):
        origin = b"https://o%d.example" % number
        assert fields(cors.answer_fields(origin))[b"Access-Control-Allow-Origin"] == origin
        block, _ = cors.preflight_fields(origin, b"POST", b"x-%d" % number, Route.TRACK)
        assert granted(block)[-1] == b"x-%d" % number
    assert cors.answer_fields(APP) == ANY.answer_fields(APP)


def grown_by(flood: Callable[[int], object], times: int) -> int:
    """Bytes still held after the flood that were not held before it."""
    tracemalloc.start()
    try:
        for number in range(times):
            flood(number)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_a_flood_of_origins_holds_no_more_than_its_share_of_memory() -> None:
    cors = policy()
    assert grown_by(lambda number: cors.answer_fields(b"https://%0200d.example" % number), 10_000) < 1 << 20


@pytest.mark.parametrize("route", Route)
def test_a_flood_of_header_names_holds_no_more_than_its_share_of_memory(route: Route) -> None:
    cors = policy()
    names = b",".join(b"x" * 60 + b"%d" % n for n in range(60))
    assert grown_by(lambda n: cors.preflight_fields(APP, b"POST", b"x%d," % n + names, route), 1000) < 7 << 19


def test_endless_lists_of_header_names_are_not_remembered() -> None:
    cors = policy()
    assert (
        grown_by(lambda n: cors.preflight_fields(APP, b"POST", b"%d" % n + b"," * 30_000, Route.TRACK), 100) < 100_000
    )


def test_a_header_name_is_new_once() -> None:
    told = UnknownHeaders()
    assert told.first_time(b"x-a")
    assert not told.first_time(b"x-a")
    assert told.first_time(b"x-b")


def test_a_flood_of_header_names_is_told_no_further() -> None:
    told = UnknownHeaders()
    assert sum(told.first_time(b"x-%d" % number) for number in range(10_000)) == 256
    assert not told.first_time(b"x-0")
