"""After a look: when the next one of our own is due, that a person has to take over, or what else speaks for money."""

from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from sewapay.domain.events import EventKind
from sewapay.domain.looks import STUCK_AFTER, next_look
from sewapay.domain.money import NOTHING
from sewapay.domain.observation import Observation
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.transitions import SOFT, UNDECIDED

__all__ = ["come_back_to_silence", "looked_at", "not_known", "vouched_for"]

LOST_AFTER: Final = 5
"""How often in a row the gateway may say that it does not know our reference before a person has to look."""
LOST_NOT_BEFORE: Final = timedelta(minutes=20)


def looked_at(payment: Payment, *, at: datetime, answered: bool) -> Payment:
    """After a look of our own: when the next one is due, or that a person has to take over.

    - No further look is planned, and nothing is decided: put before a person; never given up as failed.
    - Pending for a day: put before a person, and looked at all the same.
    - The gateway did not know our reference several times in a row: put before a person.
    - Nobody was shown a link, and the longest-lived one would be dead by now: expired.
    """
    silences = 0 if answered else payment.silences + 1
    opened_at = payment.opened_at or payment.created_at
    if payment.can_be_looked_up and payment.status is PaymentStatus.OPEN:  # by far the most
        again = next_look(payment, at, silences=silences, was_answered=answered)
        if again is not None:
            return evolve(payment, looked_at=at, silences=silences, next_check_at=again)
    counted = evolve(payment, looked_at=at, silences=silences)
    if not payment.is_undecided:
        goes_back = payment.refund_due or payment.amount_reserved != NOTHING  # that has a plan of its own
        return counted if goes_back else counted.planned(at)
    if not payment.can_be_looked_up:
        if payment.outcome_unknown and payment.expires_at is not None and at >= payment.expires_at:
            ended = evolve(counted, status=PaymentStatus.EXPIRED, outcome_unknown=False, reason="link never shown")
            return ended.planned_telling(EventKind.PAYMENT_EXPIRED, "sewapay", at, reason="link never shown")
        return counted.planned(at)
    due = evolve(counted, next_check_at=next_look(counted, at, was_answered=answered))
    if due.next_check_at is None:
        why = "the gateway gave no answer that decides it, in all the time that it was asked"
        return counted.held_for_review(ReviewReason.STUCK, why, at=at)
    if payment.status is PaymentStatus.PENDING and at >= opened_at + STUCK_AFTER:
        return counted.held_for_review(ReviewReason.STUCK, "the gateway has called it pending for a day", at=at)
    return due


def not_known(payment: Payment, seen: Observation, *, at: datetime) -> Payment:
    """The gateway did not know our reference, once more: after several times, and some time, a person has to look."""
    is_known_for_long = at >= (payment.opened_at or payment.created_at) + LOST_NOT_BEFORE
    is_said_again = payment.said == seen.said and payment.silences + 1 >= LOST_AFTER
    if payment.status not in UNDECIDED or not (is_known_for_long and is_said_again):
        return payment
    why = "the gateway does not know our reference: was it opened with another account's key?"
    return payment.with_evidence(seen, at).held_for_review(ReviewReason.ORPHANED_REFERENCE, why, at=at)


def vouched_for(payment: Payment, *, at: datetime) -> Payment:
    """The customer brought the gateway's own signed word that it was paid, and the look-up does not know of it yet.

    No money is seen by that: nobody is asked to pay again meanwhile, and the gateway is asked again, until it knows or
    a person is asked. What had ended without money is not known to have. The same word again says nothing new.
    """
    if payment.vouched or payment.status not in UNDECIDED | SOFT or not payment.can_be_looked_up:
        return payment
    why, known = "a signed return says that it was paid", evolve(payment, vouched=True)
    if payment.status is not PaymentStatus.OPEN:
        return _doubted(known, why, at)
    return evolve(known, status=PaymentStatus.PENDING).planned_telling(
        EventKind.PAYMENT_PENDING, "sewapay", at, reason=why
    )


def come_back_to_silence(payment: Payment, *, at: datetime) -> Payment:
    """The customer came back from the gateway, which gives no answer: what had ended without money may have been paid.

    An older answer says nothing of what they did there just now, so nobody is asked to pay again meanwhile. When all
    looks were made long ago, an address that is still known somewhere is no reason to ask a person.
    """
    doubted = _doubted(payment, "a customer came back, and the gateway gave no answer", at)
    has_a_plan = next_look(doubted, at) is not None or next_look(payment, at) is not None
    return doubted if has_a_plan else payment


def _doubted(payment: Payment, why: str, at: datetime) -> Payment:
    if payment.status not in SOFT or payment.outcome_unknown or not payment.can_be_looked_up:
        return payment
    unknown = evolve(payment, outcome_unknown=True)
    return unknown.planned_telling(EventKind.PAYMENT_OUTCOME_UNKNOWN, "sewapay", at, reason=why)
