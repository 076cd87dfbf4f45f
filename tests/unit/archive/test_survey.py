"""Proves that a look into a segment finds everything in it, puts it in order, and counts what damage has cost."""

from __future__ import annotations

import io
import random

import pytest

from proxy.archive.line import session_of
from proxy.archive.survey import Survey
from proxy.spool.segment import SEGMENT_HEAD
from tests.unit.archive.segments import OPENED, SALT, Lost, Outcome, Upload, Written, cut, segment_of


def look(content: bytes) -> Survey:
    return Survey(io.BytesIO(content), SALT, session_of)


def of(session: str, sequence: int) -> Upload:
    return Upload(sequence=sequence, query=f"device_id=d&session_id={session}")


def order(survey: Survey) -> list[tuple[int, int]]:
    """Session and sequence of each payload."""
    return [(session, survey.payloads[number].sequence) for session, number in survey.by_session()]


def test_sessions_come_as_they_appeared_and_payloads_by_sequence() -> None:
    survey = look(segment_of([of("b", 5), of("a", 4), of("b", 2), of("c", 9), of("a", 7)]))
    assert order(survey) == [(0, 2), (0, 5), (1, 4), (1, 7), (2, 9)]
    assert survey.sessions == 3


def test_names_that_read_the_same_in_a_row_are_two_sessions() -> None:
    queries = ["device_id=ab&session_id=c", "device_id=a&session_id=bc", "device_id=1:&session_id=", "session_id=1:"]
    uploads = [Upload(sequence=number, query=query) for number, query in enumerate(queries)]
    assert look(segment_of(uploads)).sessions == 4


def test_a_spot_is_where_a_frame_is() -> None:
    upload = cut(Upload(b"the body", 3))
    content = segment_of([Outcome(1), upload])
    spot = look(content).payloads[0]
    assert content[spot.meta_at + spot.meta_length :][: spot.body_length] == b"the body"
    assert (spot.sequence, spot.time_ms, spot.is_cut) == (3, OPENED, True)


def test_only_bodies_of_payloads_are_counted() -> None:
    survey = look(segment_of([Upload(b"12345", 1), Outcome(1), Lost(), Upload(b"678", 2)]))
    assert (len(survey.payloads), survey.payloads.body_bytes(), len(survey.gaps)) == (2, 8, 1)


def test_the_first_outcome_counts_wherever_it_is() -> None:
    frames: list[Written] = [Outcome(2, {"status": 201}), Upload(sequence=1), Upload(sequence=2), Upload(sequence=3)]
    frames += [Outcome(3, {"status": 203}), Outcome(1, {"status": 202}), Outcome(1, {"status": 500}), Outcome(99)]
    content = segment_of(frames)
    survey = look(content)
    found = {}
    for sequence in (1, 2, 3, 4):
        spot = survey.outcome_of(sequence)
        found[sequence] = spot and content[spot.meta_at :][: spot.meta_length]
    assert found == {1: b'{"status":202}', 2: b'{"status":201}', 3: b'{"status":203}', 4: None}


def test_without_damage_missing_sequences_are_nobodys_loss() -> None:
    """A worker gives out a sequence before it knows whether there is room for the upload."""
    assert look(segment_of([Upload(sequence=3), Upload(sequence=9)])).damaged_payloads == 0


@pytest.mark.parametrize(
    ("broken", "lost"),
    [
        pytest.param([0], 1, id="the first"),
        pytest.param([2], 1, id="one"),
        pytest.param([2, 3, 4], 3, id="three in a row"),
        pytest.param([0, 1, 4, 6], 4, id="some"),
        pytest.param([8], 1, id="the last"),
        pytest.param([7, 8], 2, id="the last two"),
    ],
)
def test_payloads_lost_by_damage_are_counted(broken: list[int], lost: int) -> None:
    uploads = [Upload(sequence=number + 1) for number in range(9)]
    content, ends = bytearray(segment_of([])), []
    for frame in (*(each.frame() for each in uploads), Outcome(1).frame()):
        content += frame
        ends.append(len(content))
    for number in broken:
        content[ends[number] - 1] ^= 1
    content += Outcome(2).frame()
    survey = look(bytes(content))
    assert survey.damaged_payloads == lost
    assert [sequence for _, sequence in order(survey)] == [
        upload.sequence for number, upload in enumerate(uploads) if number not in broken
    ]
    assert survey.damaged_bytes == sum(len(uploads[number].frame()) for number in broken)


def test_a_damaged_outcome_costs_no_payload() -> None:
    content = bytearray(segment_of([Upload(sequence=1), Outcome(1)]))
    content[-1] ^= 1
    content += Upload(sequence=2).frame()
    survey = look(bytes(content))
    assert (survey.damaged_payloads, survey.damaged_bytes) == (0, len(Outcome(1).frame()))


def test_a_torn_tail_is_no_damage() -> None:
    whole = segment_of([Upload(sequence=1), Upload(sequence=2)])
    for torn in range(1, len(Upload(sequence=2).frame())):
        survey = look(whole[:-torn])
        assert (len(survey.payloads), survey.damaged_payloads) == (1, 0)
        assert survey.damaged_bytes == 0
        assert survey.torn_bytes == len(Upload(sequence=2).frame()) - torn


def test_a_hole_is_counted_by_sequences() -> None:
    uploads = [Upload(random.Random(number).randbytes(500), number) for number in range(1, 60)]
    content = bytearray(segment_of(uploads))
    content[20_000:24_096] = bytes(4096)
    survey = look(bytes(content))
    found = {sequence for _, sequence in order(survey)}
    assert survey.damaged_payloads == 59 - len(found) > 3


def test_the_newest_time_is_known() -> None:
    assert look(segment_of([Upload(time_ms=OPENED + 99), Upload(sequence=2)])).last_ms == OPENED + 99
    assert look(segment_of([])).last_ms == 0


def test_what_lies_before_the_head_is_not_looked_at() -> None:
    content = segment_of([Upload()])
    assert len(look(bytes(SEGMENT_HEAD) + content[SEGMENT_HEAD:]).payloads) == 1
