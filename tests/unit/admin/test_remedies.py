"""Proves that whatever is counted by a reason has its sentence of advice, and that settings named there exist."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from proxy.admin.remedies import OF_DROP, OF_FAILURE, OF_REASON, OF_SKIP, UNKNOWN_HEADERS
from proxy.model.drop import Drop
from proxy.model.failure import FailureKind
from proxy.model.verdict import Reason
from proxy.observe.ledger import SKIPPED

REFERENCE = (Path(__file__).resolve().parents[3] / "config" / "reference.yaml").read_text()


@pytest.mark.parametrize(
    ("texts", "members"), [(OF_REASON, Reason), (OF_FAILURE, FailureKind), (OF_DROP, Drop), (OF_SKIP, SKIPPED)]
)
def test_each_member_has_a_sentence(texts: Mapping[Any, str], members: Any) -> None:
    assert set(texts) == set(members)
    assert [text for text in texts.values() if not re.fullmatch(r"[A-Z].*[.?]", text)] == []


def test_settings_that_are_named_exist() -> None:
    texts = (*OF_REASON.values(), *OF_FAILURE.values(), *OF_DROP.values(), UNKNOWN_HEADERS)
    named = {word for text in texts for word in re.findall(r"\b[a-z]+(?:[._][a-z]+)*\.[a-z_]+\b", text)}
    assert len(named) > 15
    keys = {key for name in named for key in name.split(".")}
    assert [key for key in keys if not re.search(rf"^[# -]*{key}:", REFERENCE, re.MULTILINE)] == []
