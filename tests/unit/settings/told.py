"""What a configuration text comes to: shorthands for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.settings import Settings
from proxy.settings.source import from_text


def settings(text: str, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings in a text that must be fine."""
    result = from_text(text, environment or {})
    assert isinstance(result, Settings), [str(problem) for problem in result]
    return result


def problems(text: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """The problems, as told, of a text that must have some."""
    result = from_text(text, environment or {})
    assert not isinstance(result, Settings), "there should be a problem"
    return [str(problem) for problem in result]


def only_problem(text: str, environment: Mapping[str, str] | None = None) -> str:
    """The problem of a text that must have exactly one."""
    (problem,) = problems(text, environment)
    return problem
