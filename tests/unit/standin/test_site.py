"""Proves that the date is a proper one and made at most once a second, and that a site knows its region."""

from __future__ import annotations

import re

from proxy.standin.behaviour import Behaviour
from proxy.standin.records import Log
from proxy.standin.site import Clock, Site, Vendor


def test_the_date_is_an_imf_fixdate() -> None:
    assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", Clock().date())


def test_the_date_is_not_made_for_every_answer() -> None:
    clock = Clock()
    assert len({id(date) for date in [clock.date() for _ in range(1000)]}) <= 2


def test_region_and_counts_of_a_site() -> None:
    vendor = Vendor(Log(("eu-tls",)), Behaviour(), True, None)
    site = Site("eu-tls", vendor, None)
    assert b'"region":"eu"' in site.defaults.config.body
    vendor.log.clear()
    assert site.counts is vendor.log.counts["eu-tls"]
