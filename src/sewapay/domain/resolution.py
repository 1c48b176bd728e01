"""What a person may decide about a payment that waits for them, and what comes of it."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from sewapay.domain.booking import Booking
from sewapay.domain.errors import DecisionNotPossible, NotUnderReview
from sewapay.domain.events import EventKind
from sewapay.domain.giving_back import gave_back, kept, reserved
from sewapay.domain.looks import next_look
from sewapay.domain.money import NOTHING
from sewapay.domain.payment import Payment, PaymentStatus
from sewapay.domain.refund import Refund

__all__ = ["Decision", "Resolved", "resolve"]


class Decision(StrEnum):
    """What a person decided."""

    HONOUR = "honour"
    REFUND = "refund"
    HOLD = "hold"
    CLOSE = "close"
    REFUND_HAPPENED = "refund_happened"
    REFUND_DID_NOT_HAPPEN = "refund_did_not_happen"


_WHICH: Final = "a refund of it has no known outcome yet: refund_happened or refund_did_not_happen"


@frozen(kw_only=True)
class Resolved:
    """Booking, payment and its refund without a known outcome, as the decision leaves them."""

    booking: Booking
    payment: Payment
    refund: Refund | None


def resolve(
    booking: Booking,
    payment: Payment,
    refund: Refund | None,
    *,
    decision: Decision,
    actor: str,
    reason: str,
    at: datetime,
) -> Resolved:
    """Do what was decided, and write down who did, and why.

    - `honour`: the money counts; it confirms the booking if nothing else did.
    - `refund`: what is left of it is given back, by the next run of the reconciler at the latest.
    - `hold`: nothing is decided yet; the gateway is asked again now.
    - `close`: nobody has to look any more. Without money it has failed; surplus and what was given back elsewhere stay.
    - `refund_happened`, `refund_did_not_happen`: what the gateway's panel says of a refund that went unanswered.

    Raises `NotUnderReview`, and `DecisionNotPossible` for a decision that does not fit.
    """
    if not payment.needs_attention and not (refund is not None and refund.is_open):
        raise NotUnderReview("nothing about this payment waits for a decision")
    told = payment.telling(EventKind.PAYMENT_RESOLVED, actor, at, decision=str(decision), reason=reason)
    now = Resolved(booking=booking, payment=told, refund=refund)
    return _STEPS[decision](now, actor, reason, at)


def _honour(now: Resolved, actor: str, reason: str, at: datetime) -> Resolved:
    payment, booking = now.payment, now.booking
    if not payment.money_was_seen or payment.status is PaymentStatus.REFUNDED:
        raise DecisionNotPossible("no money of this payment was seen that could count: hold or close it")
    if payment.amount_refunded in (None, payment.amount_paid):
        raise DecisionNotPossible(
            "money of this payment went back, all of it or nobody knows how much: hold or close it"
        )
    if payment.amount_reserved != NOTHING:
        raise DecisionNotPossible(_WHICH)
    honoured = payment.honoured(actor=actor, reason=reason, at=at)
    if booking.settled_by is None and honoured.status is PaymentStatus.COMPLETED:
        booking = booking.reinstate(payment.id, at=at)
    elif booking.settled_by != payment.id and not honoured.surplus:
        honoured = evolve(honoured.marked_surplus(at=at), review_reason=None)
    return evolve(now, payment=honoured, booking=booking)


def _refund(now: Resolved, _actor: str, _reason: str, at: datetime) -> Resolved:
    payment = now.payment
    if payment.amount_reserved != NOTHING:
        raise DecisionNotPossible(_WHICH)
    reserved(payment, None, at=at)  # raises where nothing could be given back
    return evolve(now, payment=evolve(payment, refund_due=True, next_check_at=at))


def _hold(now: Resolved, _actor: str, _reason: str, at: datetime) -> Resolved:
    payment = now.payment
    held = evolve(payment, refund_due=False)
    return evolve(now, payment=evolve(held, next_check_at=at) if payment.can_be_looked_up else held)


def _close(now: Resolved, actor: str, reason: str, at: datetime) -> Resolved:
    payment = now.payment
    if payment.amount_reserved != NOTHING:
        raise DecisionNotPossible(_WHICH)
    is_here = payment.money_was_seen and payment.amount_refunded not in (None, payment.amount_paid)
    if is_here and payment.status is PaymentStatus.UNDER_REVIEW:
        raise DecisionNotPossible("money of this payment was seen: honour it or refund it")
    if payment.money_was_seen:
        closed = evolve(payment, review_reason=None, outcome_unknown=False, refund_due=False)
        return evolve(now, payment=_gone_back(closed, actor, at))
    failed = evolve(
        payment,
        status=PaymentStatus.FAILED,
        review_reason=None,
        outcome_unknown=False,
        reason=reason,
    )
    again = next_look(failed, at)  # a link that still lives may be paid all the same
    if again is None and payment.can_be_looked_up:
        again = at + timedelta(days=1)  # nor did a person see the gateway's own books
    failed = evolve(failed, next_check_at=again)
    return evolve(now, payment=failed.telling(EventKind.PAYMENT_FAILED, actor, at, reason=reason))


def _gone_back(payment: Payment, actor: str, at: datetime) -> Payment:
    """Money that was put aside, and went back elsewhere: all of it, or a part that nobody knows."""
    if payment.status is not PaymentStatus.UNDER_REVIEW:
        return payment
    is_all = payment.amount_refunded == payment.amount_paid
    status = PaymentStatus.REFUNDED if is_all else PaymentStatus.PARTIALLY_REFUNDED
    kind = EventKind.PAYMENT_REFUNDED if is_all else EventKind.PAYMENT_PARTIALLY_REFUNDED
    return evolve(payment, status=status).planned_telling(kind, actor, at, amount=payment.known_refunded.paisa)


def _open_refund(now: Resolved, at: datetime) -> Refund:
    refund = now.refund
    if refund is None or not refund.is_open:
        raise DecisionNotPossible("no refund of this payment waits for its outcome")
    if refund.is_being_sent(at):
        raise DecisionNotPossible(
            "the refund is being sent right now: decide when its outcome is not known in a minute"
        )
    return refund


def _refund_happened(now: Resolved, actor: str, _reason: str, at: datetime) -> Resolved:
    refund = _open_refund(now, at)
    payment = gave_back(now.payment, refund.amount, at=at)
    if payment.status in (PaymentStatus.COMPLETED, PaymentStatus.UNDER_REVIEW):
        payment = evolve(payment, next_check_at=at)  # the look-up has to say so too
    return evolve(now, refund=refund.confirmed(actor=actor, at=at), payment=payment)


def _refund_did_not_happen(now: Resolved, actor: str, reason: str, at: datetime) -> Resolved:
    refund = _open_refund(now, at)
    return evolve(now, refund=refund.rejected(reason, actor=actor, at=at), payment=kept(now.payment, at=at))


_STEPS: Final[Mapping[Decision, Callable[[Resolved, str, str, datetime], Resolved]]] = MappingProxyType(
    {
        Decision.HONOUR: _honour,
        Decision.REFUND: _refund,
        Decision.HOLD: _hold,
        Decision.CLOSE: _close,
        Decision.REFUND_HAPPENED: _refund_happened,
        Decision.REFUND_DID_NOT_HAPPEN: _refund_did_not_happen,
    }
)
