"""When a payment is looked at again, and when a person has to take over: the table of `domain/looks.py`, by hand."""

from datetime import datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from sewapay.domain.after_look import looked_at, not_known
from sewapay.domain.identifiers import PaymentId
from sewapay.domain.looks import next_look
from sewapay.domain.observation import Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.transitions import SOFT, UNDECIDED
from tests.backend.unit.given import (
    NOON,
    a_created_payment,
    a_payment_that_is,
    after,
    an_answer,
    an_open_payment,
    told,
)

FIRST = PaymentId("00000000-0000-4000-8000-000000000001")
"""A payment whose share of the spread is nothing: its looks come when the table says, to the second."""
LAST = PaymentId("ffffffff-0000-4000-8000-000000000001")
DAY = 24 * 60


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def planned(payment: Payment, *, until: int = 60 * DAY) -> list[float]:
    """At which minutes after noon, and before this one, it is looked at when each look changes nothing."""
    at, looks = NOON, []
    while (due := next_look(payment, at)) is not None and due <= minutes(until):
        looks.append((due - NOON) / timedelta(minutes=1))
        at = due
    return looks


def a_silent_payment(silences: int, status: PaymentStatus = PaymentStatus.OPEN) -> Payment:
    return evolve(a_payment_that_is(status), outcome_unknown=True, silences=silences)


@pytest.mark.parametrize("status", [PaymentStatus.OPEN, PaymentStatus.PENDING])
def test_an_open_link_of_an_hour_is_looked_at_by_the_table(status: PaymentStatus) -> None:
    looks = planned(a_payment_that_is(status))

    assert looks == [1, 2, 5, 10, 20, 40, 60, 70, *(70 + day * DAY for day in range(1, 8))]


def test_a_link_of_half_an_hour_is_looked_at_when_it_dies() -> None:
    short = evolve(an_open_payment(), expires_at=minutes(30))

    assert planned(short, until=50) == [1, 2, 5, 10, 20, 30, 40]


def test_a_link_that_dies_before_the_first_look_is_looked_at_when_it_dies() -> None:
    short = evolve(an_open_payment(), expires_at=minutes(0.5))

    assert planned(short, until=50) == [0.5, 10.5]


@pytest.mark.fault("F08")
def test_an_opening_that_is_on_its_way_is_looked_at_after_a_minute() -> None:
    begun = a_created_payment()

    assert (next_look(begun, NOON), next_look(begun, minutes(5))) == (minutes(1), minutes(5))


@pytest.mark.fault("F01")
def test_an_opening_without_an_answer_is_looked_at_when_its_link_would_be_dead() -> None:
    unanswered = a_created_payment().unanswered("silent", at=NOON)

    assert (next_look(unanswered, NOON), next_look(unanswered, minutes(DAY + 5))) == (minutes(DAY), minutes(DAY + 5))


@pytest.mark.parametrize("status", [PaymentStatus.CANCELED, PaymentStatus.EXPIRED, PaymentStatus.FAILED])
def test_an_ending_without_money_is_looked_at_once_more(status: PaymentStatus) -> None:
    assert planned(a_payment_that_is(status)) == [70]


def test_a_form_that_expired_is_looked_at_daily_for_a_week_more_and_twice_much_later() -> None:
    form = evolve(a_payment_that_is(PaymentStatus.EXPIRED), gateway_reference=None)

    assert planned(form) == [70, *(70 + day * DAY for day in (1, 2, 3, 4, 5, 6, 7, 14, 30))]


def test_a_form_that_is_under_review_is_looked_at_twice_much_later_too() -> None:
    form = evolve(a_payment_that_is(PaymentStatus.UNDER_REVIEW), gateway_reference=None)

    assert planned(form) == [*planned(an_open_payment()), 70 + 14 * DAY, 70 + 30 * DAY]


def test_a_paid_payment_is_looked_at_for_what_goes_back_elsewhere() -> None:
    assert planned(a_payment_that_is(PaymentStatus.COMPLETED)) == [60, DAY, 3 * DAY, 7 * DAY, 14 * DAY, 30 * DAY]


def test_what_was_given_back_as_a_whole_is_not_looked_at() -> None:
    assert planned(a_payment_that_is(PaymentStatus.REFUNDED)) == []


def test_what_waits_for_a_person_is_looked_at_as_long_as_its_link_may_be_paid() -> None:
    strange = a_payment_that_is(PaymentStatus.UNDER_REVIEW)
    stuck = evolve(strange, review_reason=ReviewReason.STUCK)

    assert planned(strange) == planned(stuck) == planned(an_open_payment())


@pytest.mark.fault("F40")
@pytest.mark.parametrize(
    ("silences", "seconds"), [(0, 15), (1, 15), (2, 30), (3, 60), (4, 120), (5, 300), (6, 600), (7, 3600), (40, 3600)]
)
def test_without_an_answer_it_is_looked_at_sooner_and_ever_later(silences: int, seconds: int) -> None:
    at = minutes(75)  # the table's next look is tomorrow

    assert next_look(a_silent_payment(silences), at) == at + timedelta(seconds=seconds)


def test_without_an_answer_it_is_never_looked_at_later_than_by_the_table() -> None:
    assert next_look(a_silent_payment(6), NOON) == minutes(1)


def test_two_payments_that_were_opened_together_do_not_come_back_together() -> None:
    early, late = (planned(evolve(an_open_payment(), id=id)) for id in (FIRST, LAST))

    # a tenth of each pause later, and ten minutes at most; the first look is the same
    assert early[:8] == [1, 2, 5, 10, 20, 40, 60, 70]
    assert late[:8] == [1, 2.1, 5.3, 10.5, 21, 42, 62, 71]
    assert late[8:] == [10 + look for look in early[8:]]


@given(
    id=st.uuids(version=4).map(lambda id: PaymentId(str(id))),
    status=st.sampled_from(PaymentStatus),
    life=st.integers(1, 2 * DAY),
    unknown=st.booleans(),
    silences=st.integers(0, 12),
)
def test_the_plan_goes_forward_ends_and_is_the_same_each_time(
    id: PaymentId, status: PaymentStatus, life: int, unknown: bool, silences: int
) -> None:
    unknown = unknown and status in UNDECIDED | SOFT
    payment = evolve(
        a_payment_that_is(status), id=id, expires_at=minutes(life), outcome_unknown=unknown, silences=silences
    )
    at = NOON
    for _ in range(400):
        due = next_look(payment, at)
        assert due == next_look(payment, at)
        if due is None or (status is PaymentStatus.CREATED and due <= at):
            return  # given up to a person; or an opening that ends when it is looked at
        assert due > at
        at, payment = due, evolve(payment, silences=payment.silences + 1 if unknown else 0)
    raise AssertionError("it is looked at for ever")


@pytest.mark.fault("F49")
def test_what_is_pending_for_a_day_is_put_before_a_person_and_looked_at_all_the_same() -> None:
    pending = a_payment_that_is(PaymentStatus.PENDING)

    before = looked_at(pending, at=minutes(DAY - 1), answered=True)
    after_a_day = looked_at(pending, at=minutes(DAY), answered=True)

    assert before.status is PaymentStatus.PENDING
    assert (after_a_day.status, after_a_day.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.STUCK)
    assert after_a_day.next_check_at == minutes(DAY + 70)
    assert told(after_a_day) == ["payment.under_review"]


def test_what_is_still_open_when_the_plan_ends_is_put_before_a_person_and_not_failed() -> None:
    over = looked_at(an_open_payment(), at=minutes(70 + 7 * DAY), answered=True)

    assert (over.status, over.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.STUCK)
    assert over.next_check_at is None


def test_a_look_counts_its_silences_and_an_answer_ends_them() -> None:
    silent = looked_at(a_silent_payment(2), at=minutes(1), answered=False)
    answered = looked_at(silent, at=minutes(2), answered=True)

    assert (silent.silences, silent.looked_at) == (3, minutes(1))
    assert (answered.silences, answered.looked_at) == (0, minutes(2))


def test_an_opening_is_expired_only_when_nobody_can_have_used_its_link_any_more() -> None:
    unanswered = a_created_payment().unanswered("silent", at=NOON)

    before = looked_at(unanswered, at=minutes(DAY - 1), answered=False)
    ended = looked_at(unanswered, at=minutes(DAY), answered=False)

    assert (before.status, before.outcome_unknown) == (PaymentStatus.CREATED, True)
    assert (ended.status, ended.outcome_unknown, ended.reason) == (PaymentStatus.EXPIRED, False, "link never shown")


@pytest.mark.parametrize("status", [PaymentStatus.COMPLETED, PaymentStatus.CANCELED])
def test_a_look_at_what_is_decided_only_plans_the_next(status: PaymentStatus) -> None:
    decided = a_payment_that_is(status)

    looked = looked_at(decided, at=minutes(2), answered=True)

    assert evolve(looked, looked_at=None, next_check_at=None) == evolve(decided, looked_at=None, next_check_at=None)
    assert looked.next_check_at == next_look(decided, minutes(2))


@pytest.mark.fault("F46")
@pytest.mark.parametrize(
    ("silences", "after_minutes", "reason"),
    [(3, 90, None), (4, 19, None), (4, 20, ReviewReason.ORPHANED_REFERENCE), (9, 90, ReviewReason.ORPHANED_REFERENCE)],
)
def test_a_reference_that_is_not_known_five_times_in_a_while_is_put_before_a_person(
    silences: int, after_minutes: int, reason: ReviewReason | None
) -> None:
    unsure = after(an_open_payment(), an_answer(Reported.NOT_FOUND))

    lost = not_known(evolve(unsure, silences=silences), an_answer(Reported.NOT_FOUND), at=minutes(after_minutes))

    assert lost.review_reason is reason
    assert (lost.evidence == ()) == (reason is None)


def test_silences_are_not_taken_for_a_reference_that_is_not_known() -> None:
    silent = a_silent_payment(9)

    assert not_known(silent, an_answer(Reported.NOT_FOUND), at=minutes(90)) is silent


@pytest.mark.parametrize("status", [PaymentStatus.COMPLETED, PaymentStatus.EXPIRED, PaymentStatus.UNDER_REVIEW])
def test_what_is_no_longer_open_is_not_orphaned(status: PaymentStatus) -> None:
    decided = evolve(a_payment_that_is(status), silences=9)

    assert not_known(decided, an_answer(Reported.NOT_FOUND), at=NOON) is decided


def test_money_is_looked_at_again_from_when_it_was_first_seen() -> None:
    late = after(an_open_payment(), an_answer(Reported.COMPLETED), at=minutes(500))

    assert late.next_check_at == minutes(560)
