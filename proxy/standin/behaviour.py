"""Rules: which request meets which action. First match wins; counters live in the rule.

No I/O and no clock; chance comes from a seeded generator, so that a run can be repeated. Must not
know what an action does beyond the moment at which it is played.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from proxy.standin.actions import Action, ActionError, short_form

SEED = 20_240_229
# What only a request can answer; a rule without any of these can be decided at accept.
ABOUT_REQUESTS = frozenset({"method", "path", "target_contains", "nth_on_connection"})
MATCH: dict[str, type] = {
    "site": str,
    "method": str,
    "path": str,
    "target_contains": str,
    "nth_on_connection": int,
    "nth": int,
    "first": int,
    "probability": float,
}
OVERRIDE = re.compile(rb"[?&]standin=([^&#]*)")


class BehaviourError(ValueError):
    """A rule that can't be understood; the text says where and what is possible."""


class Rule:
    """One rule, from its JSON. Raises BehaviourError.

    `nth` counts the requests that fit site, method, path, target and place; `first` counts how
    often the rule has been applied.
    """

    __slots__ = ("_applied", "_fitting", "_match", "action", "at_accept", "json")

    def __init__(self, json: Mapping[str, Any]) -> None:
        parameters = {name: value for name, value in json.items() if name not in ("match", "action")}
        self.json = dict(json)
        self._match = checked_match(json.get("match", {}))
        try:
            self.action = Action(str(json.get("action", "")), parameters)
        except ActionError as error:
            raise BehaviourError(str(error)) from error
        self.at_accept = self.action.phase == "accept" and not ABOUT_REQUESTS & self._match.keys()
        self._fitting = 0
        self._applied = 0

    def applies(self, site: str, method: bytes, target: bytes, place: int, chance: random.Random) -> bool:
        """Whether the rule is for this request, the `place`th on its connection. Counts."""
        match = self._match
        if not self._fits(match, site, method, target, place):
            return False
        self._fitting += 1
        if self._fitting % match.get("nth", 1) or self._applied >= match.get("first", self._applied + 1):
            return False
        if chance.random() >= match.get("probability", 1.0):
            return False
        self._applied += 1
        return True

    @staticmethod
    def _fits(match: Mapping[str, Any], site: str, method: bytes, target: bytes, place: int) -> bool:
        return (
            match.get("site", site) == site
            and match.get("method", method) == method
            and target.startswith(match.get("path", b""))
            and match.get("target_contains", b"") in target
            and match.get("nth_on_connection", place) == place
        )


def checked_match(match: object) -> dict[str, Any]:
    """The match object with the types that requests are compared in. Raises BehaviourError."""
    if not isinstance(match, Mapping):
        raise BehaviourError("match must be an object")
    return {name: checked_value(name, value) for name, value in match.items()}


def checked_value(name: str, value: Any) -> Any:
    """One field of a match; what is compared with the wire becomes bytes. Raises BehaviourError."""
    wanted = MATCH.get(name)
    if wanted is None:
        raise BehaviourError(f"match: no field {name!r}; there are {', '.join(MATCH)}")
    if type(value) not in ((int, float) if wanted is float else (wanted,)):
        raise BehaviourError(f"match: {name} must be of type {wanted.__name__}")
    if wanted is int and value < 1:
        raise BehaviourError(f"match: {name} must be 1 or more")
    return value.encode("latin-1", "replace") if wanted is str and name != "site" else value


class Behaviour:
    """All rules in force, and the override that a request may carry in its own query."""

    __slots__ = ("_accept_rules", "_chance", "_request_rules", "_seed", "rules")

    def __init__(self, seed: int = SEED) -> None:
        self._seed = seed
        self.replace([])

    def replace(self, rules: list[Rule]) -> None:
        """Puts these rules in the place of all others and begins the chances anew."""
        self._chance = random.Random(self._seed)
        self.rules = rules
        self._sort()

    def append(self, rule: Rule) -> None:
        """Adds a rule behind all others."""
        self.rules.append(rule)
        self._sort()

    def _sort(self) -> None:
        self._accept_rules = [rule for rule in self.rules if rule.at_accept]
        self._request_rules = [rule for rule in self.rules if not rule.at_accept]

    def at_accept(self, site: str) -> Action | None:
        """What to do to a connection that has just been made."""
        for rule in self._accept_rules:
            if rule.applies(site, b"", b"", 1, self._chance):
                return rule.action
        return None

    def at_head(self, site: str, method: bytes, target: bytes, place: int) -> Action | None:
        """What to do to a request, None for the default. Raises ActionError for a bad override."""
        if b"standin=" in target:
            found = OVERRIDE.search(target)
            if found is not None:
                return short_form(unquote(found[1].decode("latin-1")))
        for rule in self._request_rules:
            if rule.applies(site, method, target, place, self._chance):
                return rule.action
        return None
