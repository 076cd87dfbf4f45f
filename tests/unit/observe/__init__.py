"""Tests of `proxy.observe`."""
