"""What can be found of a proxy from outside, by asking it as the browser SDK does.

The texts are repeated in docs/troubleshooting.md, with what people see of each fault. Must not know how they are found.
"""

from __future__ import annotations

from proxy.doctor.finding import Finding

_LIST_ALL = (
    "list all of Authorization, Content-Encoding, Content-Type, X-Client-Library, X-Client-Sample-Rate, X-Client-Url, "
    "X-Client-Version, X-Sampling-Hash-Alg"
)


class Outside(Finding):
    """In the order in which they are looked for."""

    # -- the way there
    UNREACHABLE = (
        "fail",
        "no connection: {why}",
        "look at the name, the port, the firewall, and whether the proxy runs",
    )
    TLS_REFUSED = (
        "fail",
        "no TLS connection that a browser would make: {why}",
        "serve a certificate for this name, in date, with its whole chain, over TLS 1.2 or 1.3",
    )
    TLS_EXPIRES = ("warn", "the certificate expires in {days} days", "have it renewed")
    NO_TLS = (
        "warn",
        "plain http, and not on this machine: pages that came over https may not use it",
        "end TLS in front of the proxy or in it, and use an https address",
    )
    NO_ANSWER = (
        "fail",
        "no answer: {why}",
        "look at the proxy's log, and at its time-outs towards the vendor",
    )
    GAVE_UP = (
        "unknown",
        "the rest was not asked: {why}",
        "mend what was found so far, and run this again",
    )
    REDIRECT = (
        "fail",
        "answered {status} to {location}: a preflight may not be redirected, and the SDK's uploads are lost",
        "give the SDK the address at the end of the redirect",
    )
    NO_KEEP_ALIVE = (
        "warn",
        "the connection is closed after each answer: every request pays for a new one",
        "switch keep-alive on towards clients",
    )

    # -- CORS
    PREFLIGHT_STATUS = (
        "fail",
        "the preflight is answered {status}: browsers want 2xx, and send nothing otherwise",
        "answer OPTIONS in the proxy itself, with 204",
    )
    CORS_MISSING = (
        "fail",
        "no Access-Control-Allow-Origin in the answer: the page can't read it, and the SDK drops what it sent",
        "send it on every answer, whatever its status",
    )
    CORS_TWICE = (
        "fail",
        "several values of {field} ({values}): browsers take that for none",
        "remove the vendor's Access-Control-* from its answers before the proxy's own are added",
    )
    CORS_OTHER_ORIGIN = (
        "fail",
        "Access-Control-Allow-Origin is {value}, not {origin}",
        "name the asking origin, or run this with --origin and an origin that is allowed",
    )
    CORS_STAR = (
        "fail",
        "Access-Control-Allow-Origin is *: what a leaving page sends goes with credentials, and is lost",
        "name the asking origin instead, with Access-Control-Allow-Credentials: true and Vary: Origin",
    )
    CORS_NO_CREDENTIALS = (
        "fail",
        "no Access-Control-Allow-Credentials: true: what a leaving page sends is lost",
        "send it along with the named origin, on the track path at least",
    )
    ALLOW_HEADERS = (
        "fail",
        "Access-Control-Allow-Headers lacks {missing}: browsers refuse to send the upload",
        _LIST_ALL,
    )
    ALLOW_HEADERS_STAR = (
        "fail",
        "Access-Control-Allow-Headers is *: by the standard that is not Authorization, and with credentials nothing",
        _LIST_ALL,
    )
    MAX_AGE = (
        "warn",
        "preflights are remembered for {seconds}: nearly every upload costs a second request",
        "send Access-Control-Max-Age: 7200",
    )
    VARY_ORIGIN = (
        "warn",
        "the answer names an origin and has no Vary: Origin: a cache may give it to another one",
        "send Vary: Origin wherever an origin is named",
    )
    ANY_ORIGIN = (
        "warn",
        "any origin is allowed ({origin} was): every page can record into your quota",
        "allow the origins of your own pages only",
    )
    EXPOSE_HEADERS = (
        "warn",
        "Access-Control-Expose-Headers lacks {missing}: the SDK can't see that it should pause or stop",
        "list X-Session-Replay-Event-Skipped and Retry-After",
    )

    # -- uploads
    PATH_UNKNOWN = (
        "fail",
        "an upload is answered 404: its path does not reach the vendor as it is",
        "pass on /sessions/v2/track whole: a mount point or a rewrite cuts paths",
    )
    METHOD_REFUSED = ("fail", "an upload is answered {status}: POST is not let through", "let POST pass")
    UPLOAD_REFUSED = (
        "fail",
        "an upload with your key is answered {status}",
        "look at the key, and at the region that the proxy sends it to",
    )
    UPLOAD_BROKEN = (
        "fail",
        "an upload is answered {status}: the proxy has no answer of the vendor's",
        "look at the proxy's log: name, TLS or time-out of the vendor",
    )
    GZIP_ALTERED = (
        "fail",
        "a compressed upload is answered {compressed}, the same one uncompressed {plain}: it is unpacked, or spoilt",
        "pass bodies and Content-Encoding on as they come: switch decompression of requests off",
    )
    BODY_LIMIT = (
        "fail",
        "an upload of {size} is {how}{small}: the first batch of a large page, without which nothing can be played, "
        "is lost",
        'allow 16 MB (nginx: client_max_body_size), and say "payload exceeds" in a 413, so that the SDK splits',
    )
    EXPECT_REFUSED = (
        "warn",
        "a request with Expect: 100-continue is answered {status}",
        "answer it with 100, or let it pass",
    )
    EXPECT_IGNORED = (
        "warn",
        "a request with Expect: 100-continue gets no answer until its body is there",
        "answer it with 100: clients that are no browsers wait for it",
    )

    # -- the configuration
    CONFIG_LATE = (
        "fail",
        "the configuration took {seconds} s: the SDK gives up after {limit} s, and that page is not recorded",
        "keep connections to the vendor open, and look at DNS and at the way to it",
    )
    CONFIG_BROKEN = (
        "fail",
        "the configuration is answered {status}: the proxy has no answer of the vendor's",
        "look at the proxy's log: name, TLS or time-out of the vendor",
    )
    CONFIG_REFUSED = (
        "fail",
        "the configuration of your key is answered {status}",
        "look at the key, and at the region that the proxy sends it to",
    )
    CONFIG_UNKNOWN = (
        "warn",
        "the configuration is answered 404: its path may not reach the vendor as it is",
        "pass on {path} whole; it can be the vendor's word on the key: try --api-key with one of yours",
    )
    CONFIG_NOT_JSON = (
        "fail",
        "the configuration is answered {status} with {kind} in place of JSON: nothing is recorded",
        "see what answers there: a page of your own, a cache, or a login",
    )
    CONFIG_TYPE = (
        "warn",
        "the configuration is JSON, and its Content-Type says {kind}",
        "pass the vendor's Content-Type on",
    )
    CONFIG_CODING = (
        "fail",
        "the answer says Content-Encoding: {coding}, and its body is something else: browsers can't read it",
        "pass answers on as they come, or drop Content-Encoding with the compression",
    )
    CONFIG_OLD_SHAPE = (
        "warn",
        "asked as SDKs before 1.29 do, with the key in the query, it is answered {status}, not {usual}",
        "pass {path} on without anything behind it, too",
    )
    CONFIG_PREFLIGHT = (
        "warn",
        "a preflight of the configuration is not granted ({why}): pages that add headers to it are not recorded",
        "answer OPTIONS there as on the track path",
    )

    # -- what else is let through
    REFUSAL_UNREADABLE = (
        "warn",
        "an answer of {status} that the page can't read: a mistake in an address shows as a CORS error",
        "send CORS headers on the proxy's own refusals, too",
    )
    PREFIX_MATCH = (
        "warn",
        "let through as well: {path}; it is answered otherwise than a path that nobody knows",
        "match paths whole (nginx: location = …), the configuration's with one segment behind it",
    )
    SET_COOKIE = (
        "warn",
        "the answer sets the cookie {name} on your domain",
        "remove Set-Cookie from the vendor's answers (nginx: proxy_hide_header)",
    )

    # -- at the vendor's, where a stand-in is behind the proxy
    NOT_ARRIVED = (
        "fail",
        "it did not arrive at the stand-in behind the proxy",
        "look at where the proxy sends it, and at --standin",
    )
    BODY_ALTERED = (
        "fail",
        "other bytes arrived at the vendor's than were sent",
        "pass bodies and Content-Encoding on as they come: switch decompression of requests off",
    )
    COOKIE_FORWARDED = (
        "fail",
        "the visitor's cookies are sent to the vendor",
        "remove Cookie from what goes to the vendor",
    )
    WRONG_NAME = (
        "fail",
        "the vendor is asked under a wrong name: {what}",
        "send the vendor's own host name as Host and as TLS server name (nginx: proxy_ssl_name)",
    )
    FORGED_ADDRESS = (
        "warn",
        "what a client writes into X-Forwarded-For reaches the vendor",
        "replace the field with the client's address, unless a proxy of yours wrote it",
    )
    UPSTREAM_CLOSES = (
        "warn",
        "each request goes to the vendor over a new connection ({what})",
        'speak HTTP/1.1 to the vendor and keep connections (nginx: proxy_http_version 1.1, Connection "")',
    )
    FAILURE_UNREADABLE = (
        "fail",
        "when the vendor breaks, the answer ({what}) can't be read by the page: the SDK drops the upload",
        "answer 502, 503 or 504 with CORS headers: then the SDK tries once more",
    )
