"""Proves that a segment's name is read back from its text, and that nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.spool.name import SegmentName

names = st.builds(
    SegmentName,
    st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True),
    st.from_regex(r"[0-7][0-9a-f]{15}", fullmatch=True),
    st.integers(0, 99_999_999),
)


@given(names)
def test_a_name_is_read_back(name: SegmentName) -> None:
    assert SegmentName.parse(str(name)) == name


@given(names)
def test_a_name_has_no_slash_and_fits_into_a_folder(name: SegmentName) -> None:
    assert "/" not in str(name)
    assert len(str(name)) <= 90


@pytest.mark.parametrize(
    "text",
    [
        "",
        "node-00112233445566ff-00000007\n",
        "node-00112233445566ff-0000007",
        "node-00112233445566FF-00000007",
        "node-80112233445566ff-00000007",
        "-00112233445566ff-00000007",
        "a/b-00112233445566ff-00000007",
        "x" * 65 + "-00112233445566ff-00000007",
        "node-00112233445566ff-00000007.open",
        "node-00112233445566ff-٠٠٠٠٠٠٠٧",
    ],
)
def test_other_texts_are_no_names(text: str) -> None:
    assert SegmentName.parse(text) is None
