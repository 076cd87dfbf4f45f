"""Tests of `proxy.runtime`."""
