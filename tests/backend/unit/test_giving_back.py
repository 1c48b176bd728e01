"""What giving back means for a payment: never more than was paid, whatever is asked in whatever order."""

from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from sewapay.domain.errors import InvalidRefund, NothingToRefund, RefundInProgress, RefundTooLarge
from sewapay.domain.giving_back import gave_back, kept, refunded_outside, reserved
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.observation import Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from tests.backend.unit.given import (
    HOUR,
    NOON,
    OWED,
    a_payment_that_is,
    after,
    an_answer,
    an_open_payment,
    saved,
    seen,
    told,
)

HALF_A_MINUTE = timedelta(seconds=30)


def a_paid_payment() -> Payment:
    return a_payment_that_is(PaymentStatus.COMPLETED)


def holding(amount: Money | None) -> Payment:
    """A paid payment of which this much is being given back."""
    return saved(reserved(a_paid_payment(), amount, at=NOON)[0])


@pytest.mark.parametrize(("amount", "set_aside"), [(None, OWED), (Money(1), Money(1)), (OWED, OWED)])
def test_what_is_about_to_go_back_is_set_aside(amount: Money | None, set_aside: Money) -> None:
    payment, wanted = reserved(a_paid_payment(), amount, at=NOON)

    assert (payment.amount_reserved, wanted) == (set_aside, set_aside)
    assert payment.known_refunded == NOTHING
    assert payment.next_check_at == NOON + HALF_A_MINUTE


def test_what_is_set_aside_is_no_longer_waiting_to_be_given_back() -> None:
    due = evolve(a_paid_payment(), refund_due=True)

    assert not reserved(due, None, at=NOON)[0].refund_due


@pytest.mark.fault("F62")
@pytest.mark.parametrize(
    "status",
    [
        PaymentStatus.CREATED,
        PaymentStatus.OPEN,
        PaymentStatus.PENDING,
        PaymentStatus.CANCELED,
        PaymentStatus.EXPIRED,
        PaymentStatus.FAILED,
        PaymentStatus.UNDER_REVIEW,
        PaymentStatus.REFUNDED,
    ],
)
def test_nothing_is_given_back_of_what_was_not_paid_or_went_back_as_a_whole(status: PaymentStatus) -> None:
    with pytest.raises(NothingToRefund):
        reserved(a_payment_that_is(status), None, at=NOON)


def test_where_nobody_knows_how_much_went_back_nothing_more_is_given_back() -> None:
    with pytest.raises(NothingToRefund, match="nobody knows how much"):
        reserved(a_payment_that_is(PaymentStatus.PARTIALLY_REFUNDED), Money(1), at=NOON)


def test_money_that_is_under_review_can_be_given_back_as_it_came() -> None:
    too_much = after(an_open_payment(), an_answer(Reported.COMPLETED, amount=Money(226000)))

    assert reserved(too_much, None, at=NOON)[1] == Money(226000)


@pytest.mark.fault("F62")
def test_more_than_was_paid_is_too_much() -> None:
    with pytest.raises(RefundTooLarge, match=r"Rs 1,130\.01 is more than the Rs 1,130\.00"):
        reserved(a_paid_payment(), Money(113001), at=NOON)


@pytest.mark.fault("F62")
def test_more_than_is_left_is_too_much() -> None:
    part_went_back = saved(gave_back(holding(Money(100000)), Money(100000), at=NOON))

    with pytest.raises(RefundTooLarge, match=r"the Rs 130\.00 that is left"):
        reserved(part_went_back, Money(13001), at=NOON)

    assert reserved(part_went_back, None, at=NOON)[1] == Money(13000)


@pytest.mark.parametrize("amount", [None, Money(1)])
def test_only_one_refund_is_on_its_way(amount: Money | None) -> None:
    with pytest.raises(RefundInProgress):
        reserved(holding(Money(1)), amount, at=NOON)


def test_a_confirmed_refund_is_given_back_and_no_longer_set_aside() -> None:
    payment = gave_back(holding(Money(13000)), Money(13000), at=NOON)

    assert (payment.amount_reserved, payment.amount_refunded) == (NOTHING, Money(13000))


def test_a_confirmed_refund_of_a_payment_that_went_back_as_a_whole_adds_nothing() -> None:
    whole = seen(holding(None), an_answer(Reported.REFUNDED))

    assert gave_back(whole, OWED, at=NOON).amount_refunded == OWED


def test_a_refund_that_did_not_happen_leaves_everything_to_be_given_back() -> None:
    payment = kept(holding(Money(13000)), at=NOON)

    assert (payment.amount_reserved, payment.amount_refunded) == (NOTHING, NOTHING)
    assert reserved(payment, None, at=NOON)[1] == OWED


@pytest.mark.parametrize("reason", [None, ReviewReason.SURPLUS, ReviewReason.REFUND_UNKNOWN])
def test_once_a_refund_is_settled_nobody_has_to_settle_it_and_other_questions_stay(reason: ReviewReason | None) -> None:
    waiting = evolve(holding(Money(13000)), review_reason=reason)
    left = None if reason is ReviewReason.REFUND_UNKNOWN else reason

    assert gave_back(waiting, Money(13000), at=NOON).review_reason is left
    assert kept(waiting, at=NOON).review_reason is left


def test_while_a_refund_has_no_outcome_no_answer_puts_its_next_look_off() -> None:
    years_later = NOON + timedelta(days=730)
    waiting = evolve(holding(None), next_check_at=years_later)

    again = seen(waiting, an_answer(Reported.COMPLETED, fee=Money(3390)), at=years_later - HOUR)

    assert again.fee == Money(3390)
    assert again.next_check_at == years_later


@pytest.mark.parametrize(("held", "reason"), [(True, ReviewReason.REFUNDED_OUTSIDE), (False, None)])
def test_money_that_went_back_elsewhere_is_told_and_where_it_is_held_a_person_is_asked(
    held: bool, reason: ReviewReason | None
) -> None:
    whole = a_payment_that_is(PaymentStatus.REFUNDED)

    outside = refunded_outside(whole, held=held, at=NOON)

    assert outside.review_reason is reason
    assert told(outside) == ["payment.refunded_outside"]
    assert dict(outside.events[0].data) == {"amount": 113000}


steps = st.tuples(
    st.sampled_from(["reserve", "confirm", "reject", "partly", "refunded", "completed"]),
    st.one_of(st.none(), st.integers(0, 130000).map(Money)),
)


@pytest.mark.invariant("I12")
@pytest.mark.fault("F62")
@given(st.lists(steps, max_size=30))
def test_in_no_order_of_reserving_confirming_and_rejecting_is_more_given_back_than_was_paid(
    story: list[tuple[str, Money | None]],
) -> None:
    payment, went_back = a_paid_payment(), 0
    for what, amount in story:
        before = payment
        match what:
            case "reserve":
                try:
                    payment = saved(reserved(payment, amount, at=NOON)[0])
                except (NothingToRefund, RefundTooLarge, RefundInProgress, InvalidRefund):
                    assert payment is before
            case "confirm" if payment.amount_reserved != NOTHING:
                went_back += payment.amount_reserved.paisa
                payment = saved(gave_back(payment, payment.amount_reserved, at=NOON))
            case "reject":
                payment = saved(kept(payment, at=NOON))
            case "partly":
                payment = after(payment, an_answer(Reported.PARTIALLY_REFUNDED))
            case "refunded":
                payment = after(payment, an_answer(Reported.REFUNDED))
            case _:
                payment = after(payment, an_answer(Reported.COMPLETED))

        assert payment.amount_paid == OWED
        assert payment.known_refunded >= before.known_refunded
        if payment.status is not PaymentStatus.REFUNDED:
            assert payment.known_refunded.paisa + payment.amount_reserved.paisa <= 113000
            assert went_back <= 113000
        assert payment.known_refunded <= OWED
