"""Tests of `proxy.archive`."""
