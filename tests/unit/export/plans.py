"""Plans and exports from written settings, for the tests of exports."""

from __future__ import annotations

from proxy.export import FORMATS, Plan, Wishes, plan
from proxy.settings import Settings
from proxy.settings.source import from_text

SERVERS = ("nginx", "caddy", "haproxy", "cloudfront")
# CloudFront takes no star.
NAMED = "cors: {allow_origins: ['https://app.example.com']}\n"


def planned(text: str = "", wishes: Wishes | None = None) -> Plan:
    """The plan for these settings, which must be fine."""
    settings = from_text(text, {})
    assert isinstance(settings, Settings), [str(problem) for problem in settings]
    return plan(settings, wishes or Wishes())


def exported(name: str, text: str = "", wishes: Wishes | None = None) -> str:
    """The export of these settings."""
    return FORMATS[name](planned(text, wishes))
