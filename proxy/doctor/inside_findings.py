"""What can be found of a gateway from inside, on its machine and by its settings.

The texts are repeated in docs/troubleshooting.md, with what people see of each fault. Must not know how they are found.
"""

from __future__ import annotations

from proxy.doctor.finding import Finding


class Inside(Finding):
    """In the order in which they are looked for."""

    # -- the vendor's endpoints
    UPSTREAM_NO_ADDRESS = (
        "fail",
        "no address: {why}",
        "look at this machine's DNS (/etc/resolv.conf, the cluster's), or give `connect` an address",
    )
    UPSTREAM_NO_CONNECTION = (
        "fail",
        "no connection: {why}",
        "let this machine out to that port (firewall, egress rules), or dial a proxy with `connect`",
    )
    UPSTREAM_TLS = (
        "fail",
        "no TLS as {name}: {why}",
        "look at what is between here and the vendor; for a private authority set `ca_file`",
    )
    UPSTREAM_EXPIRES = (
        "warn",
        "the certificate expires in {days} days",
        "have it renewed, if it is yours; the vendor's is the vendor's affair",
    )
    UPSTREAM_IN_THE_CLEAR = (
        "warn",
        "plain http, and not on this machine: replays and API keys cross the network unencrypted",
        "use an https url",
    )
    UPSTREAM_NO_ANSWER = (
        "fail",
        "{sent} got no answer: {why}",
        "look at what answers there: it speaks no HTTP/1.1, or hangs",
    )
    UPSTREAM_WRONG_HOST = (
        "fail",
        "{sent} is answered {status}: that server does not know the name {name}",
        "look at `url` and `connect`: they lead to somebody else's server",
    )
    UPSTREAM_REDIRECT = (
        "warn",
        "{sent} is answered {status} to {location}: the gateway follows no redirects",
        "set `url` to where it leads, or get past the portal that answers there",
    )
    UPSTREAM_BROKEN = (
        "warn",
        "{sent} is answered {status}",
        "look at the vendor's status page; behind a proxy of yours, at that",
    )
    UPSTREAM_LATE = (
        "fail",
        "{sent} took {took}, more than {setting} ({limit}) allows",
        "look at the way to the vendor, or raise the setting, below the SDK's own limit",
    )
    UPSTREAM_LATE_AT_FIRST = (
        "warn",
        "{sent} took {took} with a new connection, more than {setting} ({limit}) allows: the first requests fail",
        "raise `timeouts.upstream_idle`, so that connections last, or look at DNS and the way to the vendor",
    )

    # -- the listeners
    CERTIFICATE_UNUSABLE = (
        "fail",
        "TLS can't be served: {why}",
        "give certificate and key that are readable here and belong together, as PEM without a passphrase",
    )
    CERTIFICATE_EXPIRED = ("fail", "{file} has expired, or is not valid yet", "renew it, and restart the gateway")
    CERTIFICATE_EXPIRES = ("warn", "{file} expires in {days} days", "renew it, and restart the gateway")
    CERTIFICATE_NAME = (
        "fail",
        "no listener's certificate is good for {host}; they are for {names}",
        "have a certificate issued that lists that name, too",
    )
    ADDRESS_TAKEN = (
        "fail",
        "taken, and not by a gateway: {why}",
        "stop what holds it, or choose another address",
    )
    ADDRESS_UNUSABLE = (
        "fail",
        "not to be had: {why}",
        "choose an address of this machine, and a port that this user may take",
    )
    NOT_READY = (
        "warn",
        "a gateway runs here and says that it is not ready: {why}",
        "wait if it starts or ends; otherwise look at its log",
    )
    ADMIN_TAKEN = (
        "fail",
        "something else than a gateway answers there ({what})",
        "choose another `admin.address`, or stop what holds it",
    )

    # -- the machine
    TOO_FEW_DESCRIPTORS = (
        "warn",
        "a worker may need {needed} file descriptors and can have {allowed}",
        "raise the limit (ulimit -n, LimitNOFILE=), or lower `limits.connections`",
    )
