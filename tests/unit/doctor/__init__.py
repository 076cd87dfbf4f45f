"""Mirrors proxy/doctor."""
