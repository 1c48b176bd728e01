"""When a payment is looked at again: the gateway's own expiry sets the pace, and a person is the last resort.

| what is open | next look |
|---|---|
| being opened | 60 s after it began: an opening that was cut off is noticed then |
| opened without an answer | when the longest-lived link would be dead |
| open, pending | 1, 2, 5, 10, 20, 40 minutes after the opening, at the link's end, 10 minutes later, daily for 7 days |
| open, its link lives longer than that | 3 and 12 hours after the opening, then daily, until its end |
| no usable answer | sooner: 15 s, 30 s, 1, 2, 5, 10 minutes, then hourly, where the row above is later |
| under review, nothing paid | by the same plan: a person is asked, and the money may come all the same |
| canceled, expired, failed | once more, 10 minutes after the link's death |
| the same, at a gateway that gave no reference | daily for 7 days, after 14 and 30: a form left open is paid late |
| under review, nothing paid, at such a gateway | after 14 and 30 days too |
| paid | 1 hour, 1, 3, 7, 14 and 30 days after it was paid, for what is given back in the gateway's own panel |
| the last of these looks went unanswered | again, as where there is no usable answer, for 7 days more |

Every moment but the first is later by a share of the way that hangs on the payment's id, so that payments which were
opened together do not all come back together.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from sewapay.domain.transitions import MONEY, SOFT, UNDECIDED, PaymentStatus

if TYPE_CHECKING:
    from sewapay.domain.payment import Payment

__all__ = ["FIRST_LOOK", "GRACE", "STUCK_AFTER", "next_look"]

FIRST_LOOK: Final = timedelta(seconds=60)
GRACE: Final = timedelta(minutes=10)
STUCK_AFTER: Final = timedelta(days=1)
DAYS: Final = 7
AFTER_OPENING: Final = (FIRST_LOOK, *(timedelta(minutes=minutes) for minutes in (2, 5, 10, 20, 40)))
LONG_LIFE: Final = (timedelta(hours=3), timedelta(hours=12), *(timedelta(days=day) for day in range(1, DAYS + 1)))
MUCH_LATER: Final = (timedelta(days=14), timedelta(days=30))
AFTER_PAYING: Final = (timedelta(hours=1), *(timedelta(days=days) for days in (1, 3, 7, 14, 30)))
AFTER_SILENCE: Final = (
    *(timedelta(seconds=seconds) for seconds in (15, 30, 60, 120, 300, 600)),
    timedelta(hours=1),
)
SPREAD: Final = 0.1
WIDEST_SPREAD: Final = timedelta(minutes=10)


def next_look(
    payment: "Payment", at: datetime, *, silences: int | None = None, was_answered: bool = False
) -> datetime | None:
    """When this payment, as it stands at `at`, is due again; None when no further look is planned.

    `silences`, where they are others than those that are stored. `was_answered`: just now, though it decided nothing;
    to ask again soon would be to ask for the same answer.
    """
    in_a_row = payment.silences if silences is None else silences
    planned = _planned(payment, at, in_a_row)
    if was_answered or not payment.outcome_unknown or not payment.can_be_looked_up:
        return planned
    if planned is None:  # the last look went unanswered
        return None
    return min(planned, at + _pause(in_a_row))


def _planned(payment: "Payment", at: datetime, silences: int) -> datetime | None:
    if payment.status is PaymentStatus.CREATED and not payment.can_be_looked_up:
        begun = payment.created_at + FIRST_LOOK
        return max((payment.expires_at or begun) if payment.outcome_unknown else begun, at)
    before = None
    for moment in _moments(payment):
        spread = moment
        if before is not None and moment + WIDEST_SPREAD > at:
            share = int(payment.id[:4], 16) / 0xFFFF * SPREAD
            spread += min((moment - before) * share, WIDEST_SPREAD)
        if spread > at:
            return spread
        before = moment
    return None if before is None else _last_look_again(payment, at, before, silences)


def _last_look_again(payment: "Payment", at: datetime, last: datetime, silences: int) -> datetime | None:
    """What has ended or was paid is looked at a last time; a silence is no answer to that either."""
    is_over = payment.status in SOFT | MONEY and not payment.outcome_unknown
    if not is_over or not silences or at >= last + timedelta(days=DAYS):
        return None
    return at + _pause(silences)


def _pause(silences: int) -> timedelta:
    return AFTER_SILENCE[min(max(silences, 1), len(AFTER_SILENCE)) - 1]


def _moments(payment: "Payment") -> Iterator[datetime]:
    """Every moment of the plan for a payment that stands like this, in order."""
    if payment.status is PaymentStatus.REFUNDED or not payment.can_be_looked_up:
        return
    if payment.paid_at is not None:
        yield from (payment.paid_at + pause for pause in AFTER_PAYING)
        return
    if payment.expires_at is None:
        return
    opened, dead = payment.opened_at or payment.created_at, payment.expires_at
    if payment.status in UNDECIDED or payment.outcome_unknown or payment.status is PaymentStatus.UNDER_REVIEW:
        for pause in (*AFTER_OPENING, *LONG_LIFE):
            if opened + pause >= dead:
                break
            yield opened + pause
        yield dead
        yield dead + GRACE
        yield from (dead + GRACE + timedelta(days=day) for day in range(1, DAYS + 1))
        if payment.status is PaymentStatus.UNDER_REVIEW and payment.gateway_reference is None:
            yield from (dead + GRACE + pause for pause in MUCH_LATER)
    elif payment.status in SOFT:
        yield dead + GRACE
        if payment.gateway_reference is None:
            yield from (dead + GRACE + timedelta(days=day) for day in range(1, DAYS + 1))
            yield from (dead + GRACE + pause for pause in MUCH_LATER)
