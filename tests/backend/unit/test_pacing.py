"""How fast a gateway is asked: a minute's budget that time refills, and a pause when it is away."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sewapay.application.pacing import Pace
from tests.backend.unit.given import NOON

seconds = st.floats(0, 120, allow_nan=False).map(lambda number: timedelta(seconds=number))
wishes = st.lists(st.tuples(seconds, st.integers(1, 50)), max_size=30)


def later(**much: float) -> datetime:
    return NOON + timedelta(**much)


def taken(pace: Pace, wanted: int, *, per_minute: int = 10, at: datetime = NOON) -> tuple[Pace, int]:
    return pace.take(wanted, per_minute=per_minute, now=at)


def away(at: datetime = NOON) -> Pace:
    """One whose gateway has just been silent five times in a row."""
    return Pace.full(at).heard(answered=0, silent=5, now=at)


def test_the_whole_budget_of_a_minute_may_be_spent_at_once_and_then_nothing() -> None:
    pace, at_first = taken(Pace.full(NOON), 25)

    _, at_once = taken(pace, 25)

    assert (at_first, at_once) == (10, 0)


@pytest.mark.parametrize(("much", "granted"), [(5.9, 0), (6, 1), (30, 5), (60, 10), (3600, 10)])
def test_time_refills_the_budget_and_never_more_than_a_minutes(much: float, granted: int) -> None:
    pace, _ = taken(Pace.full(NOON), 10)

    assert taken(pace, 25, at=later(seconds=much))[1] == granted


def test_nothing_more_is_granted_than_is_wanted() -> None:
    pace, three = taken(Pace.full(NOON), 3)

    assert (three, taken(pace, 25)[1]) == (3, 7)


@given(per_minute=st.integers(1, 700), wishes=wishes)
def test_in_no_stretch_of_time_is_more_asked_than_its_minutes_and_one_more_hold(
    per_minute: int, wishes: list[tuple[timedelta, int]]
) -> None:
    pace, at = Pace.full(NOON), NOON
    asked: list[tuple[datetime, int]] = []
    for pause, wanted in wishes:
        at += pause
        pace, granted = taken(pace, wanted, per_minute=per_minute, at=at)
        assert 0 <= granted <= wanted
        asked.append((at, granted))

    for first, (begun, _) in enumerate(asked):
        total = 0
        for ended, granted in asked[first:]:
            total += granted
            minutes = (ended - begun) / timedelta(minutes=1)
            assert total <= per_minute * (1 + minutes) + 0.001


@given(per_minute=st.integers(1, 700), steps=st.lists(st.integers(0, 90), min_size=1, max_size=40))
def test_whoever_waits_long_enough_is_granted_something(per_minute: int, steps: list[int]) -> None:
    pace, at = Pace.full(NOON), NOON
    for step in steps:
        at += timedelta(seconds=step)
        pace, _ = taken(pace, 5, per_minute=per_minute, at=at)

    assert taken(pace, 1, per_minute=per_minute, at=at + timedelta(minutes=1))[1] == 1


def test_a_clock_that_goes_back_grants_nothing_and_breaks_nothing() -> None:
    pace, _ = taken(Pace.full(NOON), 10)

    assert taken(pace, 5, at=later(hours=-1)) == (pace, 0)


@pytest.mark.fault("F40")
def test_four_silences_in_a_row_are_borne_and_the_fifth_means_that_it_is_away() -> None:
    borne = Pace.full(NOON).heard(answered=0, silent=4, now=NOON)

    gone = borne.heard(answered=0, silent=1, now=NOON)

    assert (borne.away_until, gone.away_until) == (None, later(seconds=30))
    assert not gone.is_undisturbed


def test_an_answer_ends_a_row_of_silences() -> None:
    pace = Pace.full(NOON).heard(answered=0, silent=4, now=NOON).heard(answered=1, silent=0, now=NOON)

    assert pace.is_undisturbed
    assert pace.heard(answered=0, silent=4, now=NOON).away_until is None


def test_one_answer_among_silences_means_that_it_is_there() -> None:
    assert away().heard(answered=1, silent=40, now=NOON).is_undisturbed


def test_hearing_of_no_call_at_all_changes_nothing() -> None:
    for pace in (Pace.full(NOON), away()):
        assert pace.heard(answered=0, silent=0, now=later(minutes=3)) is pace


def test_while_it_is_away_nothing_is_asked_and_then_one_call_sees_whether_it_is_back() -> None:
    gone = away()

    _, before = taken(gone, 10, at=later(seconds=29))
    probing, probe = taken(gone, 10, at=later(seconds=30))
    _, beside = taken(probing, 10, at=later(seconds=31))
    back = probing.heard(answered=1, silent=0, now=later(seconds=31))

    assert (before, probe, beside) == (0, 1, 0)
    assert taken(back, 5, at=later(seconds=31))[1] == 5


def test_a_probe_that_nobody_heard_of_is_made_again_after_a_pause() -> None:
    probing, _ = taken(away(), 10, at=later(seconds=30))

    assert taken(probing, 10, at=later(seconds=60))[1] == 1


def test_the_pauses_double_up_to_five_minutes() -> None:
    pace, pauses = Pace.full(NOON), []
    for _ in range(6):
        pace = pace.heard(answered=0, silent=5, now=NOON)
        assert pace.away_until is not None
        pauses.append((pace.away_until - NOON).total_seconds())

    assert pauses == [30, 60, 120, 240, 300, 300]


@given(st.lists(st.integers(1, 100), max_size=60))
def test_however_long_it_is_away_it_is_tried_again_within_five_minutes(silences: list[int]) -> None:
    pace = away()
    for silent in silences:
        pace = pace.heard(answered=0, silent=silent, now=NOON)

    assert pace.away_until is not None
    assert later(seconds=30) <= pace.away_until <= later(minutes=5)


@pytest.mark.fault("F06")
def test_a_refused_key_stops_everything_for_five_minutes_whatever_was_answered_before() -> None:
    pace = Pace.full(NOON).heard(answered=7, silent=0, now=NOON).refused(NOON)

    assert pace.away_until == later(minutes=5)
    assert taken(pace, 10, at=later(minutes=4, seconds=59))[1] == 0
    assert taken(pace, 10, at=later(minutes=5))[1] == 1


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 20)), min_size=1, max_size=40))
def test_as_long_as_it_never_answers_probes_are_single_and_half_a_minute_apart(steps: list[tuple[int, int]]) -> None:
    pace, at, probes = away(), NOON, []
    for pause, wanted in steps:
        at += timedelta(seconds=pause)
        pace, granted = taken(pace, wanted, per_minute=600, at=at)
        assert granted <= 1
        if granted:
            probes.append(at)
            pace = pace.heard(answered=0, silent=1, now=at)

    assert all(after - before >= timedelta(seconds=30) for before, after in pairwise(probes))
