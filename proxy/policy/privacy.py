"""What of a request's fields tells about the visitor, and who has asked not to be told about: page addresses and
Global Privacy Control (the W3C's draft of that name, field Sec-GPC).

Asked once for each head that is new on its connection. Must not know what is added to a head, nor how one who has
opted out is answered.
"""

from __future__ import annotations

from typing import Final

from proxy.policy.page_url import PageUrl
from proxy.settings.schema import Privacy
from proxy.wire.request import RequestHead

GPC: Final = b"sec-gpc"
_PAGE: Final = b"x-client-url"
# What an anonymous request keeps: what the vendor needs to read the body and to know whose project it is, what the
# SDK says of itself, and the two fields in which visitors ask for their privacy.
_KEPT: Final = frozenset(
    (
        b"accept",
        b"accept-encoding",
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"dnt",
        b"origin",
        GPC,
        b"x-client-library",
        b"x-client-sample-rate",
        _PAGE,
        b"x-client-version",
        b"x-sampling-hash-alg",
    )
)
# Of what was set aside. A page may name its visitor in the first; conditions are a memory of an earlier visit.
_FORGOTTEN: Final = frozenset((b"x-request-id", b"cookie", b"if-none-match", b"if-modified-since"))
# What every browser's begins with: an endpoint that takes requests of browsers alone still takes it.
PLAIN_AGENT: Final = b"User-Agent: Mozilla/5.0"


class PrivacyPolicy:
    """Compiled from settings. `active`: some request's fields may change; `drops`: those of visitors who have opted
    out go nowhere."""

    __slots__ = ("_addresses", "_anonymous_page", "_strips", "active", "drops")

    def __init__(self, settings: Privacy) -> None:
        modes = ((_PAGE, settings.page_url), (b"referer", settings.referer))
        self._addresses = {name: PageUrl(mode, settings.keep_query) for name, mode in modes if mode != "full"}
        self._anonymous_page = PageUrl("none" if settings.page_url == "none" else "origin")
        self._strips = settings.gpc == "strip"
        self.drops = settings.gpc == "drop"
        self.active = self._strips or bool(self._addresses)

    def is_anonymous(self, request: RequestHead) -> bool:
        """Whether nothing may pass that tells who the visitor is, beyond the recording itself."""
        return self._strips and has_opted_out(request)

    def apply(self, request: RequestHead) -> None:
        """Leave of its end-to-end lines, and of the values that were set aside, those that may pass on; what is left of
        the lines is as it came, byte for byte. Both are replaced: other heads may share them."""
        if self.is_anonymous(request):
            request.fields = self._anonymous(request.fields)
            request.notes = {name: value for name, value in request.notes.items() if name not in _FORGOTTEN}
            return
        kept: list[bytes] = []
        for line in request.fields:
            rule = self._addresses.get(line.partition(b":")[0].lower())
            _add(kept, line, rule)
        request.fields = kept

    def _anonymous(self, lines: list[bytes]) -> list[bytes]:
        kept: list[bytes] = []
        for line in lines:
            name = line.partition(b":")[0].lower()
            if name == b"user-agent" and PLAIN_AGENT not in kept:
                kept.append(PLAIN_AGENT)
            elif name in _KEPT:
                _add(kept, line, self._anonymous_page if name == _PAGE else None)
        return kept


def _add(kept: list[bytes], line: bytes, rule: PageUrl | None) -> None:
    """Add the line as `rule` leaves it, if it leaves anything."""
    if rule is not None:
        name, _, value = line.partition(b":")
        value = value.strip(b" \t")
        shown = rule.shown(value)
        if not shown:
            return
        if shown != value:
            line = name + b": " + shown
    kept.append(line)


def has_opted_out(request: RequestHead) -> bool:
    """Whether the visitor's browser sent Sec-GPC: 1. No other value says anything; a field that a proxy in front has
    doubled does."""
    value = request.notes.get(GPC)
    return value is not None and all(each.strip(b" \t") == b"1" for each in value.split(b","))
