"""What giving money back means for the payment that it came with: reserved, given back, or kept."""

from datetime import datetime

from attrs import evolve

from sewapay.domain.errors import NothingToRefund, RefundInProgress, RefundTooLarge
from sewapay.domain.events import EventKind
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.refund import SENDING_TAKES_AT_MOST

__all__ = ["gave_back", "kept", "refunded_outside", "reserved"]


def reserved(payment: Payment, amount: Money | None, *, at: datetime) -> tuple[Payment, Money]:
    """Set aside what a refund is about to give back: `amount`, or all that is left.

    Raises `NothingToRefund`, `RefundInProgress` and `RefundTooLarge`, each in one sentence for the caller.
    """
    if payment.amount_paid is None or not payment.money_was_seen:
        raise NothingToRefund("this payment was not paid: there is nothing to give back")
    if payment.amount_refunded is None:
        raise NothingToRefund(
            "a part was given back in the gateway's own panel, and nobody knows how much: go on there"
        )
    if payment.status is PaymentStatus.REFUNDED or payment.amount_refunded >= payment.amount_paid:
        raise NothingToRefund("this payment was given back as a whole already")
    if payment.amount_reserved != NOTHING:
        raise RefundInProgress("another refund of this payment has no known outcome yet: wait for it, or resolve it")
    left = payment.amount_paid - payment.amount_refunded
    wanted = left if amount is None else amount
    if wanted > left:
        raise RefundTooLarge(f"{wanted} is more than the {left} that is left of this payment")
    return evolve(payment, amount_reserved=wanted, refund_due=False, next_check_at=at + SENDING_TAKES_AT_MOST), wanted


def gave_back(payment: Payment, amount: Money, *, at: datetime) -> Payment:
    """A refund of ours is confirmed: its amount is given back, and no longer reserved."""
    refunded = payment.amount_refunded
    if payment.status is not PaymentStatus.REFUNDED and refunded is not None:
        refunded = refunded + amount
    reason = None if payment.review_reason is ReviewReason.REFUND_UNKNOWN else payment.review_reason
    after = evolve(payment, amount_reserved=NOTHING, amount_refunded=refunded, review_reason=reason)
    return after.planned(at).posted(payment, at)


def kept(payment: Payment, *, at: datetime) -> Payment:
    """A refund of ours did not happen: its amount is free again."""
    reason = None if payment.review_reason is ReviewReason.REFUND_UNKNOWN else payment.review_reason
    return evolve(payment, amount_reserved=NOTHING, review_reason=reason).planned(at)


def refunded_outside(payment: Payment, *, held: bool, at: datetime) -> Payment:
    """Money went back that no refund of ours explains. With `held`, a person has to know of it."""
    known = evolve(payment, review_reason=ReviewReason.REFUNDED_OUTSIDE) if held else payment
    refunded = None if payment.amount_refunded is None else payment.amount_refunded.paisa
    return known.telling(EventKind.PAYMENT_REFUNDED_OUTSIDE, "gateway", at, amount=refunded)
