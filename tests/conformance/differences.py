"""Where the tuned nginx differs from what the suite expects, test by test.

Every line is what a test noted; the suite fails over nginx when a line is missing here or no longer true.
The gateway has no such table: it must meet every expectation.
"""

from __future__ import annotations

from typing import NamedTuple


class Known(NamedTuple):
    """One kind of difference: why it is there, which test notes it and what it notes, and in which cases (those of
    the test's parameters; a test without any has the one case "")."""

    why: str
    test: str
    differences: tuple[str, ...]
    cases: tuple[str, ...] = ("",)


# Of a race that nginx loses now and then: it sends a request on an idle connection that the upstream is closing.
RACE = ("the next client got 502", "the next client's upload did not arrive once")

_TABLE = (
    Known(
        "nginx forwards the slash behind /config, the gateway does not.",
        "test_carried",
        ("another target arrived",),
        ("config-old-shape-after-slash",),
    ),
    Known(
        "Merging slashes would let more than this one pass.",
        "test_carried",
        (
            "status 404",
            "not the upstream's answer",
            "arrived 0 times",
        ),
        ("config-double-slash",),
    ),
    Known(
        "nginx drops names with rarer token octets.",
        "test_carried",
        ("other fields arrived: -!#$%&'*+-.^`|~09AZaz",),
        ("field-all-token-octets",),
    ),
    Known(
        "nginx does not honour names listed in Connection.",
        "test_carried",
        (
            "other fields arrived: +X-Hop",
            "passed: x-hop",
        ),
        (
            "hop-connection-named",
            "hop-connection-named-later",
        ),
    ),
    Known(
        "nginx does not honour names listed in Connection.",
        "test_carried",
        (
            "other fields arrived: +X-Hop +X-Other",
            "passed: x-hop, x-other",
        ),
        ("hop-connection-named-twice",),
    ),
    Known(
        "nginx takes an interim answer for the answer.",
        "test_http_1_0_clients_get_no_interim_answers",
        ("no answer, closed",),
        ("",),
    ),
    Known(
        "nginx closes once the upstream has answered early; the rest meets a closed door.",
        "test_the_rest_of_an_upload_that_was_answered_early_is_not_a_request",
        ("no answer, closed",),
        ("",),
    ),
    Known(
        "nginx resolves dot segments first and says 404 (400 in the gateway).",
        "test_every_answer_is_readable",
        ("status 404",),
        ("bad-target",),
    ),
    Known(
        "nginx has no limit on the number of fields.",
        "test_every_answer_is_readable",
        ("status 200",),
        ("too-many-fields",),
    ),
    Known(
        "nginx takes garbage for an answer in HTTP/0.9 and waits for more of it.",
        "test_every_answer_is_readable",
        ("no answer, closed",),
        ("bad-answer",),
    ),
    Known(
        "nginx resolves dot segments first and says 404 (400 in the gateway).",
        "test_without_an_origin_every_answer_is_the_same_but_names_none",
        ("status 404",),
        ("bad-target",),
    ),
    Known(
        "nginx has no limit on the number of fields.",
        "test_without_an_origin_every_answer_is_the_same_but_names_none",
        ("status 200",),
        ("too-many-fields",),
    ),
    Known(
        "nginx takes garbage for an answer in HTTP/0.9 and waits for more of it.",
        "test_without_an_origin_every_answer_is_the_same_but_names_none",
        ("no answer, closed",),
        ("bad-answer",),
    ),
    Known(
        "The list of names in nginx's configuration is fixed.",
        "test_a_preflight_for_a_script_with_fields_of_its_own",
        ("not allowed: x-tenant-token",),
        ("",),
    ),
    Known(
        "nginx echoes whatever the Origin field says.",
        "test_an_origin_that_no_page_has_is_served_and_never_named",
        ("Allow-Origin ['null'] without an Origin",),
        ("null",),
    ),
    Known(
        "nginx echoes whatever the Origin field says.",
        "test_an_origin_that_no_page_has_is_served_and_never_named",
        ("Allow-Origin ['https://a.example https://b.example'] without an Origin",),
        ("https://a.example https://b.example",),
    ),
    Known(
        "nginx echoes whatever the Origin field says.",
        "test_an_origin_that_no_page_has_is_served_and_never_named",
        ("Allow-Origin ['https://a.example, b'] without an Origin",),
        ("https://a.example, b",),
    ),
    Known(
        "nginx echoes whatever the Origin field says.",
        "test_an_origin_that_no_page_has_is_served_and_never_named",
        ("Allow-Origin ['x'] without an Origin",),
        ("x",),
    ),
    Known(
        "nginx echoes whatever the Origin field says.",
        "test_an_origin_that_no_page_has_is_served_and_never_named",
        ("Allow-Origin ['*'] without an Origin",),
        ("*",),
    ),
    Known(
        "nginx reads chunked bodies leniently: bare LF, blanks, octets in extensions, anything as trailers.",
        "test_refused",
        (
            "status 200",
            "the answer does not announce the close",
            "connection open",
            "completed upstream",
        ),
        (
            "chunk-size-space-after",
            "chunk-size-tab-after",
            "chunk-size-bare-lf",
            "chunk-extension-bare-lf",
            "chunk-extension-nul",
            "chunk-extension-endless",
            "chunk-data-end-bare-lf",
            "chunk-last-bare-lf",
            "chunk-last-then-bare-lf",
            "chunk-last-then-other-bytes",
            "chunk-trailer-without-colon",
            "chunk-trailer-space-before-colon",
            "chunk-trailer-bare-lf",
            "chunk-trailer-nul",
            "chunk-trailers-endless",
        ),
    ),
    Known(
        "nginx takes bare LF, drops fields with malformed names, and ignores expectations that it can't meet.",
        "test_refused",
        (
            "status 200",
            "the answer does not announce the close",
            "connection open",
            "forwarded: POST, GET",
            "completed upstream",
        ),
        (
            "line-lf-everywhere",
            "line-lf-after-request-line",
            "line-lf-after-host",
            "line-lf-after-last-field",
            "line-lf-as-empty-line",
            "line-cr-before-crlf",
            "field-without-colon",
            "field-non-ascii-name",
            "field-kelvin-in-name",
            "field-parenthesis-in-name",
            "field-slash-in-name",
            "field-quote-in-name",
            "field-at-in-name",
            "field-bracket-in-name",
            "expect-other",
            "expect-with-more",
            "expect-with-parameter",
            "expect-prefix",
            "expect-empty",
        ),
    ),
    Known(
        "nginx passes control octets in values on, and the upstream has to refuse them.",
        "test_refused",
        (
            "the answer does not announce the close",
            "connection open",
            "forwarded: POST, GET",
            "completed upstream",
            "violations upstream: llhttp",
        ),
        (
            "field-escape-in-value",
            "field-bell-in-value",
            "field-vertical-tab-in-value",
            "field-form-feed-in-value",
            "field-delete-in-value",
            "field-control-1f-in-value",
        ),
    ),
    Known(
        "nginx is lenient about spaces, minor versions, Host values, absolute targets, upgrades and numbers of fields.",
        "test_refused",
        (
            "status 200",
            "the answer does not announce the close",
            "connection open",
            "forwarded: GET",
            "completed upstream",
        ),
        (
            "line-two-spaces-before-target",
            "line-two-spaces-after-target",
            "line-space-after-version",
            "version-1.2",
            "version-1.10",
            "host-userinfo",
            "host-query",
            "host-fragment",
            "host-backslash",
            "host-two-ports",
            "host-port-a-word",
            "host-open-bracket",
            "host-brackets-around-a-name",
            "host-quote",
            "host-angle",
            "host-non-ascii",
            "host-semicolon",
            "target-absolute",
            "target-absolute-https",
            "target-absolute-other-host",
            "target-absolute-other-scheme",
            "upgrade-h2c",
            "upgrade-websocket",
            "upgrade-tls",
            "size-fields",
        ),
    ),
    Known(
        "nginx passes octets beyond ASCII in targets on, and the upstream has to refuse them.",
        "test_refused",
        (
            "the answer does not announce the close",
            "connection open",
            "forwarded: GET",
            "violations upstream: llhttp",
        ),
        (
            "line-latin-1-target",
            "line-utf-8-target",
            "line-latin-1-query",
        ),
    ),
    Known(
        "nginx serves HTTP/0.9.",
        "test_refused",
        (
            "no answer, closed",
            "forwarded: GET",
            "completed upstream",
        ),
        ("version-none",),
    ),
    Known(
        "nginx refuses without having read the Origin field, so no page can read why.",
        "test_refused",
        (
            "Allow-Origin []",
            "Allow-Credentials []",
            "not exposed: retry-after, x-request-id, x-session-replay-event-skipped",
        ),
        (
            "host-empty",
            "host-space",
            "host-list",
            "host-path",
            "host-repeated",
            "host-repeated-otherwise",
            "host-repeated-in-other-case",
            "host-space-before-colon",
            "host-repeated-in-http-1.0",
            "target-authority",
            "target-asterisk",
            "target-relative",
            "target-question-mark-only",
            "target-encoded-nul",
            "target-broken-escape",
            "target-cut-escape",
            "method-connect-authority",
            "method-options-asterisk",
        ),
    ),
    Known(
        "nginx cuts fragments off and resolves or decodes what it matches, but forwards the raw target.",
        "test_refused",
        (
            "status 200",
            "forwarded: GET",
            "completed upstream",
        ),
        (
            "target-dot-dot",
            "target-dot",
            "target-encoded-backslash",
            "target-backslash",
            "target-parameter",
            "target-encoded-cr-lf",
            "target-fragment",
            "target-fragment-in-query",
        ),
    ),
    Known(
        "nginx matches the decoded path and forwards the raw one.",
        "test_refused",
        (
            "forwarded: GET",
            "completed upstream",
        ),
        ("target-encoded-route",),
    ),
    Known(
        "nginx matches the decoded path and forwards the raw one.",
        "test_refused",
        (
            "forwarded: POST",
            "completed upstream",
        ),
        (
            "path-track-dot-dot",
            "path-track-encoded",
        ),
    ),
    Known(
        "nginx's own 405 has no Allow.",
        "test_refused",
        ("Allow []",),
        (
            "method-get-track",
            "method-head-track",
            "method-delete-track",
            "method-delete-config",
            "method-propfind-config",
        ),
    ),
    Known(
        "nginx's status for large heads is 400.",
        "test_refused",
        ("status 400",),
        (
            "size-short-fields",
            "size-head",
            "size-one-field",
            "size-head-never-ends",
        ),
    ),
    Known(
        "nginx relays a Content-Length in a 204.",
        "test_relayed",
        ("204 with ['12'] (RFC 9110, 8.6; RFC 9112, 6.1)",),
        ("body-on-204",),
    ),
    Known(
        "nginx takes an interim answer for the answer.",
        "test_relayed",
        ("no answer, closed",),
        (
            "continue",
            "processing-with-fields",
            "early-hints",
        ),
    ),
    Known("nginx relays the status line as it is.", "test_relayed", ("not a status line",), ("no-space-after-status",)),
    Known(
        "nginx does not honour names listed in Connection.",
        "test_relayed",
        (
            "passed: x-hop",
            "something of the bad answer leaks",
        ),
        ("hop-by-hop",),
    ),
    Known(
        "nginx takes lenient framing, versions and line ends from upstreams.",
        "test_spoilt",
        ("status 200",),
        (
            "preset-dup_length",
            "preset-conflicting_length",
            "preset-length_and_chunked",
            "preset-bare_lf",
            "coding-gzip-chunked",
            "coding-xchunked",
            "coding-chunked-twice",
            "coding-two-lines",
            "coding-vertical-tab",
            "status-line-two-spaces",
            "status-line-version-2.0",
            "status-line-version-1.2",
            "coding-in-http-1.0",
            "bad-config-answer",
            "chunk-size-bare-lf",
            "chunk-size-space",
            "chunk-last-bare-lf",
            "chunk-trailers-endless",
            "close-delimited-reset",
        ),
    ),
    Known(
        "nginx passes odd status lines on as they are.",
        "test_spoilt",
        ("not a status line",),
        (
            "preset-status_000",
            "status-line-two-digits",
            "status-line-four-digits",
            "status-line-600",
            "status-line-099",
            "status-line-word",
            "status-line-tab",
            "status-line-nul-in-reason",
            "status-line-cr-in-reason",
            "status-line-icy",
            "status-line-space-first",
            "status-line-request",
        ),
    ),
    Known(
        "nginx takes garbage for an answer in HTTP/0.9, and interim answers for answers.",
        "test_spoilt",
        ("no answer, closed",),
        (
            "preset-garbage",
            "preset-interim_flood",
        ),
    ),
    Known(
        "nginx waits on although the upstream has closed.",
        "test_spoilt",
        ("no answer, silent",),
        (
            "preset-http09",
            "only-interim",
        ),
    ),
    Known("nginx relays a 101 that nobody asked for.", "test_spoilt", ("101",), ("preset-switching_101",)),
    Known(
        "nginx takes a malformed length for none and ends with the connection.",
        "test_spoilt",
        (
            "status 200",
            "the answer is cut off",
        ),
        (
            "length-plus",
            "length-minus",
            "length-hexadecimal",
            "length-list",
            "length-empty",
            "length-word",
            "length-20-digits",
            "length-two-numbers",
            "coding-identity",
        ),
    ),
    Known(
        "nginx skips a line without a colon, and joins what follows.",
        "test_spoilt",
        (
            "something of the bad answer leaks",
            "status 200",
        ),
        ("field-without-colon",),
    ),
    Known(
        "nginx passes odd octets in fields on.",
        "test_spoilt",
        ("not a field",),
        (
            "field-non-ascii-name",
            "field-control-in-value",
            "field-delete-in-value",
        ),
    ),
    Known(
        "nginx closes without a word when a body stops.",
        "test_a_body_that_stops_is_told_readably",
        ("no answer, closed",),
        (
            "length",
            "chunked",
        ),
    ),
    Known(
        "nginx ends a chunked answer that broke off as if it were whole, for HTTP/1.0.",
        "test_a_cut_off_answer_is_never_a_whole_one",
        ("a part looks like the whole",),
        (
            "truncate_chunked:3 1.0",
            "truncate_chunked:3:reset 1.0",
        ),
    ),
    Known(
        "nginx sends no upload a second time, not even one that met the end of an idle connection.",
        "test_a_connection_that_dies_when_it_is_used_again_costs_nothing",
        (
            "status 502",
            "answered 0 times",
        ),
        (
            "reset_before_answer",
            "close_before_answer",
            "close_after_head",
        ),
    ),
)

NGINX: dict[str, tuple[str, ...]] = {
    f"{known.test}[{case}]" if case else known.test: known.differences for known in _TABLE for case in known.cases
}
assert len(NGINX) == sum(len(known.cases) for known in _TABLE), "a case is listed twice"
