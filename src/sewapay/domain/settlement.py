"""What a gateway's answer means for a booking, its payment and a refund of it: the one place where a booking becomes
confirmed, and where money that must not confirm it is kept in sight.
"""

from datetime import datetime
from enum import StrEnum

from attrs import evolve, frozen

from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.doubts import says_nothing_of_refunds
from sewapay.domain.events import EventKind
from sewapay.domain.giving_back import gave_back, kept, refunded_outside
from sewapay.domain.looks import STUCK_AFTER
from sewapay.domain.money import NOTHING
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.refund import DID_NOT_HAPPEN_AFTER, Refund, RefundStatus

__all__ = ["FullRefund", "Policies", "Policy", "settle", "waiting", "weigh"]


class Policy(StrEnum):
    """What is done with money that came in an unusual way, unless a person decides."""

    HONOUR = "honour"
    REFUND = "refund"
    HOLD = "hold"


class FullRefund(StrEnum):
    """What becomes of a confirmed booking whose payment was given back as a whole."""

    REFUNDED = "refunded"
    KEEP = "keep"


@frozen(kw_only=True)
class Policies:
    """One for each case.

    - `surplus`: a second payment of a booking. Honoured, it is kept and nobody is asked.
    - `paid_late`: money for a booking that was canceled before it came. Honoured, the booking is confirmed after all.
    - `amount_mismatch`: another amount than is owed. Honoured only where it is more: the booking is confirmed.
    - `orphaned_reference`, `stuck_pending`: money that shows up after a person was asked to look.
    - `refunded_outside`: money that went back without a refund of ours. Honoured, nobody is asked.
    """

    surplus: Policy = Policy.HOLD
    paid_late: Policy = Policy.HOLD
    amount_mismatch: Policy = Policy.HOLD
    orphaned_reference: Policy = Policy.HONOUR
    refunded_outside: Policy = Policy.HOLD
    stuck_pending: Policy = Policy.HONOUR
    full_refund: FullRefund = FullRefund.REFUNDED


def settle(
    booking: Booking,
    before: Payment,
    payment: Payment,
    *,
    policies: Policies,
    transaction_seen_before: bool,
    at: datetime,
) -> tuple[Booking, Payment]:
    """Let a completed payment settle its booking, or keep the money in sight when it must not.

    `before` is the payment as it was, `payment` as the answer left it.

    - The first completed payment of a pending booking confirms it.
    - A further one is marked surplus; one whose booking was canceled goes to review, unless a policy says otherwise.
    - A gateway's transaction that already stands on another payment goes to review (`transaction_seen_before`).
    - Doing it again changes nothing.
    """
    if payment.status is PaymentStatus.UNDER_REVIEW:
        is_news = before.review_reason is not payment.review_reason and not transaction_seen_before
        return _held_apart(booking, payment, policies, at=at) if is_news else (booking, payment)
    if payment.status is PaymentStatus.REFUNDED and policies.full_refund is FullRefund.REFUNDED:
        return booking.refund(payment.id, at=at), payment
    if payment.status is not PaymentStatus.COMPLETED or before.status is PaymentStatus.COMPLETED:
        return booking, payment
    if booking.settled_by == payment.id or payment.surplus:
        return booking, payment
    if transaction_seen_before:
        why = f"transaction {payment.transaction_id} already stands on another payment"
        return booking, payment.held_for_review(ReviewReason.TRANSACTION_REPEATED, why, at=at)
    came_back = {
        ReviewReason.STUCK: policies.stuck_pending,
        ReviewReason.ORPHANED_REFERENCE: policies.orphaned_reference,
    }.get(before.review_reason or ReviewReason.CONTRADICTORY, Policy.HONOUR)
    if booking.settled_by is not None:
        return booking, _surplus(payment, policies.surplus, at=at)
    if came_back is not Policy.HONOUR and before.review_reason is not None:
        held = payment.held_for_review(before.review_reason, "the money came after a person was asked to look", at=at)
        return booking, _to_refund(held, at=at) if came_back is Policy.REFUND else held
    if booking.status is BookingStatus.CANCELED:
        if policies.paid_late is Policy.HONOUR:
            return booking.reinstate(payment.id, at=at), payment
        why = "the booking was canceled before the money came"
        held = payment.held_for_review(ReviewReason.BOOKING_CANCELED, why, at=at)
        return booking, _to_refund(held, at=at) if policies.paid_late is Policy.REFUND else held
    return booking.confirm(payment.id, at=at), payment


def weigh(
    before: Payment, after: Payment, refund: Refund | None, seen: Observation, *, policies: Policies, at: datetime
) -> tuple[Payment, Refund | None]:
    """What an answer says about money that went back: by a refund of ours, or by somebody else.

    `refund` is the one whose outcome is not known, if there is one; the answer was asked for after it was sent.
    """
    payment, ours = after, 0
    if refund is not None and refund.is_open:
        if refund.was_cut_off(at):
            refund = refund.unanswered("the sending was cut off", at=at)
        doubtful = says_nothing_of_refunds(before, seen)
        weighed = refund if doubtful else refund.weigh(seen, had_given_back=before.known_refunded, at=at)
        if weighed.status is RefundStatus.CONFIRMED:
            payment, ours = gave_back(payment, refund.amount, at=at), refund.amount.paisa
        elif weighed.status is RefundStatus.REJECTED:
            payment = kept(payment, at=at)
        else:
            payment = waiting(payment, weighed, at=at)
        is_elsewhere = seen.reported is Reported.PARTIALLY_REFUNDED and weighed.status is not RefundStatus.CONFIRMED
        if is_elsewhere and not doubtful and payment.amount_refunded == NOTHING:
            payment = evolve(payment, amount_refunded=None)  # a part went back that was none of ours
        refund = weighed
    if after.status is before.status or after.status not in (
        PaymentStatus.PARTIALLY_REFUNDED,
        PaymentStatus.REFUNDED,
    ):
        return payment, refund
    went_back = payment.known_refunded.paisa - before.known_refunded.paisa
    if payment.amount_refunded is None or went_back > ours:
        payment = refunded_outside(payment, held=policies.refunded_outside is Policy.HOLD, at=at)
    return payment, refund


def waiting(payment: Payment, refund: Refund, *, at: datetime) -> Payment:
    """A refund whose outcome is still not known: looked at again, and before long by a person.

    A gateway that said yes has a day to show it.
    """
    why = "whether a refund happened cannot be told from what the gateway says"
    patience = DID_NOT_HAPPEN_AFTER
    if refund.accepted_at is not None:
        why, patience = "the gateway said yes to a refund, and does not show it as given back", STUCK_AFTER
    if at >= refund.requested_at + patience:
        payment = payment.needing_attention(ReviewReason.REFUND_UNKNOWN, why, at=at)
    return evolve(payment, next_check_at=refund.due(at))


def _held_apart(booking: Booking, payment: Payment, policies: Policies, *, at: datetime) -> tuple[Booking, Payment]:
    """Money of another amount than is owed has just been put aside."""
    if payment.review_reason is not ReviewReason.AMOUNT_MISMATCH or payment.amount_paid is None:
        return booking, payment
    if payment.amount_refunded != NOTHING:
        return booking, payment  # it went back already, or a part of it
    if policies.amount_mismatch is Policy.REFUND:
        return booking, _to_refund(payment, at=at)
    is_enough = payment.amount_paid > payment.amount and booking.status is BookingStatus.PENDING
    if policies.amount_mismatch is Policy.HONOUR and is_enough:
        honoured = payment.honoured(actor="sewapay", reason="more was paid than is owed, and is honoured", at=at)
        return booking.confirm(payment.id, at=at), honoured
    return booking, payment


def _surplus(payment: Payment, policy: Policy, *, at: datetime) -> Payment:
    marked = payment.marked_surplus(at=at)
    if policy is Policy.HONOUR:
        kept_it = marked.telling(
            EventKind.PAYMENT_RESOLVED, "sewapay", at, decision="honour", reason="the policy for surplus"
        )
        return evolve(kept_it, review_reason=None)
    return _to_refund(marked, at=at) if policy is Policy.REFUND else marked


def _to_refund(payment: Payment, *, at: datetime) -> Payment:
    """Given back by the next run of the reconciler."""
    return evolve(payment, refund_due=True, next_check_at=at)
