"""What makes an answer doubtful before anything is decided by it: another payment's, another amount, two stories."""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from sewapay.domain.looks import GRACE
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.transitions import MONEY, SOFT, ReviewReason

if TYPE_CHECKING:
    from sewapay.domain.payment import Payment

__all__ = [
    "doubt_about_money",
    "is_about_another",
    "is_put_right_by",
    "may_have_gone_back",
    "says_nothing_of_refunds",
    "taken_as",
]

_NOTHING_THERE: Final = frozenset({Reported.ABSENT, Reported.NOT_FOUND})


def is_about_another(payment: "Payment", seen: Observation) -> bool:
    """Whether the answer names another payment than the one that was asked about."""
    names = (seen.gateway_reference, payment.gateway_reference)
    is_another = None not in names and seen.gateway_reference != payment.gateway_reference
    return is_another or seen.order_reference not in (None, payment.order_reference)


def taken_as(payment: "Payment", seen: Observation, at: datetime) -> Reported:
    """What the answer comes to in the table, by what else is known.

    What is absent long after its checkout died counts as expired. Where the gateway's signature said that it was paid,
    that it knows of nothing is no end: the two disagree.
    """
    if seen.reported not in _NOTHING_THERE:
        return seen.reported
    if payment.vouched:
        is_doubted = payment.status in SOFT and payment.outcome_unknown
        return Reported.AMBIGUOUS if is_doubted else seen.reported
    is_over = payment.expires_at is not None and at >= payment.expires_at + GRACE
    return Reported.EXPIRED if is_over and seen.reported is Reported.ABSENT else seen.reported


def is_put_right_by(payment: "Payment", seen: Observation) -> bool:
    """An answer named a wrong amount, and this one, asked for since, names the right one and nothing given back."""
    return (
        payment.review_reason is ReviewReason.AMOUNT_MISMATCH
        and payment.amount_refunded == payment.amount_reserved == NOTHING
        and seen.reported is Reported.COMPLETED
        and seen.amount == payment.amount
        and not seen.refunded
        and seen.transaction_id == payment.transaction_id
    )


def doubt_about_money(payment: "Payment", seen: Observation) -> tuple[ReviewReason, str] | None:
    """Everything for which an answer that says money was taken or given back cannot be followed as it stands."""
    doubts = []
    goes_back = seen.reported is not Reported.COMPLETED and payment.amount_refunded not in (None, payment.amount_paid)
    is_as_known = seen.amount == payment.amount_paid and (payment.status in MONEY or goes_back)
    if seen.amount != payment.amount and not is_as_known:
        said = seen.amount.display if seen.amount else "no amount"
        doubts.append((ReviewReason.AMOUNT_MISMATCH, f"{said} was paid, {payment.amount} is owed"))
    if payment.amount_paid is not None and seen.amount not in (None, payment.amount_paid):
        doubts.append((ReviewReason.CONTRADICTORY, f"{seen.amount} was paid, and {payment.amount_paid} before"))
    if seen.reported is Reported.COMPLETED and seen.refunded:
        doubts.append((ReviewReason.CONTRADICTORY, "completed and refunded at once"))
    names = (seen.transaction_id, payment.transaction_id)
    if seen.reported is Reported.COMPLETED and None not in names and seen.transaction_id != payment.transaction_id:
        why = f"transaction {seen.transaction_id}, and {payment.transaction_id} before"
        doubts.append((ReviewReason.CONTRADICTORY, why))
    return (doubts[0][0], f"{seen.said!r}: {', '.join(why for _, why in doubts)}") if doubts else None


def may_have_gone_back(payment: "Payment", amount: Money | None) -> bool:
    """Whether this can be what went back: no less than is known, and no more than was paid."""
    if payment.amount_paid is None or amount is None:
        return payment.amount_paid is None
    return payment.known_refunded <= amount <= payment.amount_paid


def says_nothing_of_refunds(payment: "Payment", seen: Observation) -> bool:
    """Whether the answer is too doubtful to tell what became of a refund: freeing its amount could give it back twice.

    It is about another payment, another amount or another transaction; or it tells two stories: completed and refunded
    at once, or nothing given back of what is known to have gone back.
    """
    is_doubtful = is_about_another(payment, seen) or seen.amount != payment.amount_paid
    if seen.reported is not Reported.COMPLETED:  # money that goes back may have a transaction of its own
        return is_doubtful
    transactions = (seen.transaction_id, payment.transaction_id)
    is_another = None not in transactions and seen.transaction_id != payment.transaction_id
    return is_doubtful or is_another or bool(seen.refunded) or payment.known_refunded != NOTHING
