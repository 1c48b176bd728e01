from itertools import permutations, product

import pytest

from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.settlement import Policies, Policy, settle
from tests.backend.unit.given import (
    NOON,
    OWED,
    a_booking,
    a_payment_that_is,
    after,
    an_answer,
    an_open_payment,
    payment_id,
    saved,
    saved_booking,
    told,
)


def a_paid_payment(number: int = 1) -> Payment:
    reference = f"pidx{number}"
    paid = an_answer(Reported.COMPLETED, reference=reference, transaction=f"transaction{number}")
    return after(an_open_payment(number, reference=reference), paid)


def settled(
    booking: Booking,
    payment: Payment,
    *,
    before: Payment | None = None,
    repeated: bool = False,
    policies: Policies | None = None,
) -> tuple[Booking, Payment]:
    """What stands once this answer is settled; unless told, the payment was open before it."""
    was = before or an_open_payment()
    return settle(booking, was, payment, policies=policies or Policies(), transaction_seen_before=repeated, at=NOON)


def test_a_completed_payment_confirms_its_booking() -> None:
    payment = a_paid_payment()

    booking, kept = settled(a_booking(), payment)

    assert (BookingStatus.CONFIRMED, payment.id) == (booking.status, booking.settled_by)
    assert kept is payment


@pytest.mark.parametrize("status", [status for status in PaymentStatus if status is not PaymentStatus.COMPLETED])
def test_no_other_payment_confirms_anything(status: PaymentStatus) -> None:
    booking, payment = a_booking(), a_payment_that_is(status)

    assert (booking, payment) == settled(booking, payment, before=payment)


@pytest.mark.fault("F60")
def test_the_second_completed_payment_is_surplus() -> None:
    booking, _ = settled(a_booking(), a_paid_payment(1))

    after_second, second = settled(saved_booking(booking), a_paid_payment(2))

    assert payment_id(1) == after_second.settled_by
    assert (second.status, second.surplus) == (PaymentStatus.COMPLETED, True)
    assert told(second) == ["payment.surplus"]


@pytest.mark.fault("F61")
def test_money_for_a_canceled_booking_is_reviewed() -> None:
    canceled = saved_booking(a_booking().cancel(actor="staff:7", at=NOON))

    booking, payment = settled(canceled, a_paid_payment())

    assert booking is canceled
    assert (payment.status, payment.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.BOOKING_CANCELED)
    assert payment.amount_paid == OWED


@pytest.mark.fault("F53")
def test_a_transaction_that_stands_elsewhere_confirms_nothing() -> None:
    booking, payment = settled(a_booking(), a_paid_payment(), repeated=True)

    assert booking.status is BookingStatus.PENDING
    assert (payment.status, payment.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.TRANSACTION_REPEATED)


@pytest.mark.fault("F49")
@pytest.mark.parametrize("reason", [ReviewReason.STUCK, ReviewReason.ORPHANED_REFERENCE])
@pytest.mark.parametrize(
    ("policy", "status", "due", "booking_status"),
    [
        (Policy.HONOUR, PaymentStatus.COMPLETED, False, BookingStatus.CONFIRMED),
        (Policy.HOLD, PaymentStatus.UNDER_REVIEW, False, BookingStatus.PENDING),
        (Policy.REFUND, PaymentStatus.UNDER_REVIEW, True, BookingStatus.PENDING),
    ],
)
def test_money_that_shows_up_after_a_person_was_asked_goes_the_way_of_its_policy(
    reason: ReviewReason, policy: Policy, status: PaymentStatus, due: bool, booking_status: BookingStatus
) -> None:
    waiting = saved(an_open_payment().held_for_review(reason, "a person was asked", at=NOON))
    paid = waiting.observe(an_answer(Reported.COMPLETED), at=NOON, asked_at_version=waiting.version)
    policies = Policies(stuck_pending=policy, orphaned_reference=policy)

    booking, payment = settled(a_booking(), paid, before=waiting, policies=policies)

    assert (payment.status, payment.refund_due, booking.status) == (status, due, booking_status)
    assert payment.review_reason is (None if policy is Policy.HONOUR else reason)


@pytest.mark.parametrize("seen_before", [False, True])
def test_settling_again_changes_nothing(seen_before: bool) -> None:
    payment = a_paid_payment()
    booking, payment = settled(a_booking(), payment)

    again = settled(booking, payment, before=payment, repeated=seen_before)

    assert again[0] is booking
    assert again[1] is payment


def test_surplus_stays_surplus_when_settled_again() -> None:
    booking, _ = settled(a_booking(), a_paid_payment(1))
    booking, surplus = settled(booking, a_paid_payment(2))

    assert (booking, surplus) == settled(booking, surplus, before=surplus)


@pytest.mark.fault("F61")
def test_a_reviewed_payment_of_a_canceled_booking_does_not_settle_it_when_seen_again() -> None:
    canceled = saved_booking(a_booking().cancel(actor="staff:7", at=NOON))
    _, payment = settled(canceled, a_paid_payment())
    reviewed = saved(payment)

    again = reviewed.observe(
        an_answer(Reported.COMPLETED, reference="pidx1", transaction="transaction1"),
        at=NOON,
        asked_at_version=reviewed.version,
    )

    assert again is reviewed


STORY = ("paid 1", "paid 2", "partly 1", "refunded 1", "cancel", "wrong 2", "repeated 1")


def told_as(event: str) -> Observation:
    reported = {
        "paid": Reported.COMPLETED,
        "partly": Reported.PARTIALLY_REFUNDED,
        "refunded": Reported.REFUNDED,
        "wrong": Reported.COMPLETED,
        "repeated": Reported.COMPLETED,
    }[event.split()[0]]
    number = event.split()[1]
    amount = Money(1) if event.startswith("wrong") else OWED
    return an_answer(reported, amount=amount, reference=f"pidx{number}", transaction=f"transaction{number}")


def play(events: tuple[str, ...]) -> list[tuple[Booking, dict[str, Payment]]]:
    """What stands after each of these events, as the use cases put the pieces together."""
    booking = a_booking()
    payments = {number: an_open_payment(int(number), reference=f"pidx{number}") for number in "12"}
    stages = [(booking, dict(payments))]
    for event in events:
        if event == "cancel":
            booking = booking if booking.settled_by else saved_booking(booking.cancel(actor="staff:7", at=NOON))
        else:
            number = event.split()[1]
            before = payments[number]
            seen = before.observe(told_as(event), at=NOON, asked_at_version=before.version)
            repeated = event.startswith("repeated")
            if seen is not before:
                booking, seen = settled(booking, seen, before=before, repeated=repeated)
                payments[number] = saved(seen)
                booking = saved_booking(booking) if booking.events else booking
        stages.append((booking, dict(payments)))
    return stages


@pytest.mark.fault("F60")
@pytest.mark.fault("F61")
def test_in_no_order_is_a_booking_confirmed_twice_or_money_lost() -> None:
    stories = [story for length in range(1, 5) for story in permutations(STORY, length)]
    stories += [(*first, "paid 1", "paid 2") for first in product(STORY, repeat=3)]
    assert len(stories) == 1442

    for story in stories:
        settled_by = None
        was_paid: set[str] = set()
        for booking, payments in play(story):
            assert settled_by in (None, booking.settled_by), story
            settled_by = booking.settled_by
            is_settled = booking.status in (BookingStatus.CONFIRMED, BookingStatus.REFUNDED)
            assert is_settled == (settled_by is not None), story
            was_paid |= {number for number, payment in payments.items() if payment.money_was_seen}
            for number in was_paid:
                payment = payments[number]
                in_sight = payment.id == settled_by or payment.surplus or payment.status is PaymentStatus.UNDER_REVIEW
                assert payment.money_was_seen, story
                assert in_sight or payment.status is PaymentStatus.REFUNDED, story
            if settled_by is not None:
                settling = next(payment for payment in payments.values() if payment.id == settled_by)
                assert settling.amount_paid == settling.amount == booking.amount, story
                assert not settling.surplus, story
