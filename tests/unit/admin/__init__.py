"""Tests of `proxy.admin`."""
