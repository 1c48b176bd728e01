"""A payment in plain words, for whoever has to decide about it at three in the morning.

What happened, what the gateway said, how the booking stands, what is waiting, what comes next and when, and what can be
done, each with its command. Nothing here looks anything up: it tells what is known.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Final

from attrs import frozen

from sewapay.application.ports import Capabilities, RefundKind
from sewapay.application.timeline import TimelineItem
from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.checkout import PostForm
from sewapay.domain.errors import DomainError
from sewapay.domain.giving_back import reserved
from sewapay.domain.money import NOTHING
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.refund import Refund, RefundStatus
from sewapay.domain.resolution import Decision, resolve
from sewapay.domain.settlement import Policies

__all__ = ["BOOKINGS", "DECISIONS", "REFUNDS", "REVIEWS", "STATUSES", "Asked", "Story", "both_times", "explain"]

NEPAL: Final = timezone(timedelta(hours=5, minutes=45))
LATE: Final = timedelta(minutes=10)


@frozen(kw_only=True)
class Asked:
    """Whether the gateway was asked just now; `silence` says why there was no usable answer, if so."""

    now: bool
    silence: str | None = None


@frozen(kw_only=True)
class Story:
    """Everything that is known about a payment. `attempts`: all payments of its booking, itself among them."""

    payment: Payment
    booking: Booking
    attempts: Sequence[Payment]
    refunds: Sequence[Refund]
    timeline: Sequence[TimelineItem]


STATUSES: Final[Mapping[PaymentStatus, Callable[[Payment], str]]] = MappingProxyType(
    {
        PaymentStatus.CREATED: lambda payment: (
            "The gateway was asked to open its page and did not answer. Nobody was shown a link, so nobody can pay it;"
            " the customer may be given a new one."
            if payment.outcome_unknown
            else "It was begun; the gateway is being asked to open its page."
        ),
        PaymentStatus.OPEN: lambda payment: (
            f"The customer has a {_way_in(payment)} to the gateway's page. As far as we know, nobody paid."
        ),
        PaymentStatus.PENDING: lambda _: "The gateway is working on it: the money is on its way, or stuck at a bank.",
        PaymentStatus.COMPLETED: lambda payment: f"It is paid: {_came(payment)}.",
        PaymentStatus.CANCELED: lambda _: "It was canceled at the gateway. Nothing was paid.",
        PaymentStatus.EXPIRED: lambda payment: f"Its {_way_in(payment)} died unpaid{_because(payment)}.",
        PaymentStatus.FAILED: lambda payment: f"It failed, and nothing was paid{_because(payment)}.",
        PaymentStatus.UNDER_REVIEW: lambda payment: (
            f"It waits for a person; {_came(payment)}, and that confirms nothing until somebody decides."
            if payment.money_was_seen
            else "It waits for a person. No money of it was seen."
        ),
        PaymentStatus.PARTIALLY_REFUNDED: lambda payment: f"It was paid ({_came(payment)}), and {_back(payment)}.",
        PaymentStatus.REFUNDED: lambda payment: f"It was paid, and all of it was given back ({_back(payment)}).",
    }
)

BOOKINGS: Final[Mapping[BookingStatus, str]] = MappingProxyType(
    {
        BookingStatus.PENDING: "waits for its payment",
        BookingStatus.CONFIRMED: "is confirmed by",
        BookingStatus.CANCELED: "is canceled",
        BookingStatus.REFUNDED: "was confirmed by, and then given back with,",
    }
)

REFUNDS: Final[Mapping[RefundStatus, str]] = MappingProxyType(
    {
        RefundStatus.SUBMITTED: "is sent; whether it happened is looked up",
        RefundStatus.CONFIRMED: "was given back",
        RefundStatus.REJECTED: "was not given back",
        RefundStatus.UNKNOWN: "was sent and not answered: it may have happened, and is not sent again",
    }
)

# What happened, and what to look at before deciding.
REVIEWS: Final[Mapping[ReviewReason, str]] = MappingProxyType(
    {
        ReviewReason.AMOUNT_MISMATCH: (
            "The gateway names another amount than is owed. Compare it with the gateway's panel."
        ),
        ReviewReason.REFERENCE_MISMATCH: (
            "The gateway answered about another payment than the one we asked for. Ask again; if it stays, write to it."
        ),
        ReviewReason.TRANSACTION_REPEATED: (
            "The gateway's transaction stands on another payment too: only one of them was paid. Its panel shows which."
        ),
        ReviewReason.BOOKING_CANCELED: "The money came after the booking had been canceled.",
        ReviewReason.REFUNDED_OUTSIDE: (
            "Money was given back that no refund of ours explains. See in the gateway's panel who did it, and how much."
        ),
        ReviewReason.CONTRADICTORY: (
            "The gateway contradicts itself or what it said before. Compare with its panel before you believe either."
        ),
        ReviewReason.UNKNOWN_STATUS: "The gateway used a word that nobody here knows. Look in its panel what it means.",
        ReviewReason.CHECKOUT_REFUSED: (
            "The gateway refused what we sent, so no page was opened and nobody can have paid. It is in nobody's way."
        ),
        ReviewReason.SURPLUS: "The booking had been settled by another payment: the customer paid twice.",
        ReviewReason.STUCK: (
            "The gateway never said how it ended, and money may have left the customer's bank. Look in its panel."
        ),
        ReviewReason.ORPHANED_REFERENCE: (
            "The gateway does not know our reference, though it gave it to us. Was another account's key in use?"
        ),
        ReviewReason.REFUND_UNKNOWN: (
            "A refund went unanswered, and the gateway's answers cannot tell whether it happened. Look in its panel."
        ),
    }
)

DECISIONS: Final[Mapping[Decision, str]] = MappingProxyType(
    {
        Decision.HONOUR: "The money counts (it confirms the booking, unless another payment did):",
        Decision.REFUND: "Give back what is left of it:",
        Decision.HOLD: "Decide nothing yet, and have the gateway asked again:",
        Decision.CLOSE: "Nobody has to look at it any more:",
        Decision.REFUND_HAPPENED: "The gateway's panel shows the refund:",
        Decision.REFUND_DID_NOT_HAPPEN: "The gateway's panel does not show the refund:",
    }
)

_POLICIES: Final[Mapping[ReviewReason, tuple[str, str]]] = MappingProxyType(
    {
        ReviewReason.SURPLUS: ("SEWAPAY_ON_SURPLUS", "surplus"),
        ReviewReason.BOOKING_CANCELED: ("SEWAPAY_ON_PAID_LATE", "paid_late"),
        ReviewReason.AMOUNT_MISMATCH: ("SEWAPAY_ON_AMOUNT_MISMATCH", "amount_mismatch"),
        ReviewReason.ORPHANED_REFERENCE: ("SEWAPAY_ON_ORPHANED_REFERENCE", "orphaned_reference"),
        ReviewReason.REFUNDED_OUTSIDE: ("SEWAPAY_ON_REFUNDED_OUTSIDE", "refunded_outside"),
        ReviewReason.STUCK: ("SEWAPAY_ON_STUCK_PENDING", "stuck_pending"),
    }
)


def explain(
    story: Story,
    *,
    asked: Asked,
    policies: Policies,
    address: str,
    now: datetime,
    gateway: Capabilities | None = None,
) -> list[str]:
    """The story in lines. `address` is where this service is reached, for the commands; `now` is UTC.

    `gateway`: what the payment's gateway can do; None when it is not enabled any more.
    """
    payment, booking = story.payment, story.booking
    parts = (
        (f"Payment {payment.id}", _subject(payment, booking)),
        ("How it stands", _standing(payment, asked)),
        ("What happened (Nepal time, UTC in brackets)", _happened(story.timeline)),
        ("What the gateway said", _said(payment, now)),
        ("The booking", _booking(story)),
        ("Refunds", _refunds(story.refunds)),
        ("What is waiting", _waiting(payment, policies, gateway)),
        ("What comes next", _next(payment, now)),
        ("What you can do", _possible(story, address, now, gateway)),
    )
    lines = []
    for title, told in parts:
        body = list(told)
        if body:
            lines += [title, *(f"  {line}" for line in body), ""]
    return lines[:-1]


def _subject(payment: Payment, booking: Booking) -> Iterator[str]:
    where = f"{payment.gateway} ({payment.environment})"
    yield f"{payment.amount} for booking {booking.id}, {booking.title}, through {where}."
    if payment.gateway_reference is None and payment.can_be_looked_up:
        yield f"The gateway knows it by our order reference, {payment.order_reference}."
    else:
        known_as = payment.gateway_reference or "nothing yet"
        yield f"The gateway knows it as {known_as}; our order reference is {payment.order_reference}."
    if payment.transaction_id is not None:
        yield f"The gateway's transaction is {payment.transaction_id}."


def _standing(payment: Payment, asked: Asked) -> Iterator[str]:
    if asked.silence is not None:
        yield f"The gateway was asked just now and gave no usable answer ({asked.silence}). This is what is stored:"
    elif asked.now:
        yield "The gateway was asked just now."
    yield STATUSES[payment.status](payment)
    if payment.outcome_unknown and payment.status is not PaymentStatus.CREATED:
        why = "The last question was not answered, or the answer decided nothing."
        yield f"{why} It has NOT failed: do not let the customer pay again meanwhile."
    if payment.surplus:
        yield "Another payment settled the booking: this money is surplus."
    if payment.refund_due:
        yield "It was decided to give it back, and that was not done yet."
    if payment.amount_reserved != NOTHING:
        yield f"{payment.amount_reserved} of it is reserved for a refund whose outcome is not known yet."


def _happened(timeline: Sequence[TimelineItem]) -> Iterator[str]:
    for item in timeline:
        who = "" if item.actor in ("sewapay", "gateway") else f" (by {item.actor})"
        yield f"{both_times(item.at)}  {item.summary}{who}"


def _said(payment: Payment, now: datetime) -> Iterator[str]:
    if payment.said is None:
        yield "Nothing yet that was kept."
    else:
        yield f"Its last word: {payment.said!r}."
    if payment.looked_at is not None:
        yield f"A worker asked last {_ago(now - payment.looked_at)} ago."
    if payment.silences:
        times = "once" if payment.silences == 1 else f"{payment.silences} times in a row"
        yield f"It gave no usable answer {times}."


def _booking(story: Story) -> Iterator[str]:
    booking, payment = story.booking, story.payment
    by = {None: "", payment.id: " this payment"}.get(booking.settled_by, f" payment {booking.settled_by}")
    yield f"Booking {booking.id} ({booking.amount}) {BOOKINGS[booking.status]}{by}."
    for other in story.attempts:
        if other.id != payment.id:
            flag = ", surplus" if other.surplus else ""
            begun = both_times(other.created_at)
            yield f"Another attempt: {other.id}, {other.amount}, {other.status}{flag}, begun {begun}."


def _refunds(refunds: Sequence[Refund]) -> Iterator[str]:
    for refund in refunds:
        said = f" In detail: {refund.said}." if refund.said else ""
        yield f"{refund.amount} {REFUNDS[refund.status]}.{said}"
        yield f"  Refund {refund.id}, asked for by {refund.requested_by}: {refund.reason}"


def _waiting(payment: Payment, policies: Policies, gateway: Capabilities | None) -> Iterator[str]:
    if payment.review_reason is None:
        yield "Nothing waits for a person."
        return
    yield f"A person is asked to decide ({payment.review_reason}). {REVIEWS[payment.review_reason]}"
    if payment.reason:
        yield f"In detail: {payment.reason}."
    if gateway is not None and "panel" in REVIEWS[payment.review_reason]:
        yield f"For that, look in {gateway.panel}."
    if payment.review_reason in _POLICIES:
        variable, name = _POLICIES[payment.review_reason]
        yield f"What happens in such a case by itself is {variable}, which is {getattr(policies, name)} now."


def _next(payment: Payment, now: datetime) -> Iterator[str]:
    due = payment.next_check_at
    if due is None:
        yield "Nothing more happens by itself."
        return
    what = "The refund is sent" if payment.refund_due and payment.amount_reserved == NOTHING else "The gateway is asked"
    if not payment.can_be_looked_up:
        what = "It is looked at"
    if due > now:
        yield f"{what} at {both_times(due)}, in {_ago(due - now)}."
        return
    yield f"{what} as soon as a worker gets to it: it has been due for {_ago(now - due)}."
    if now - due > LATE:
        yield "That is long. Does a worker run? `sewapay worker`, or `sewapay serve` without --no-worker."


def _possible(story: Story, address: str, now: datetime, gateway: Capabilities | None) -> Iterator[str]:
    payment = story.payment
    gives_back = gateway is None or gateway.refunds is not RefundKind.NONE
    if all(_is_out_of_the_way(each) for each in story.attempts) and story.booking.status is BookingStatus.PENDING:
        yield "Let the customer pay again: nothing of this booking is open, and nothing of it was paid."
    if payment.can_be_looked_up:
        yield "Ask the gateway now:"
        yield f"  sewapay reconcile --payment {payment.id}"
    commands = [*_decisions(story, address, now, gives_back)]
    if gateway is not None and not gives_back and _is_left(payment, now):
        after = "the next look notices it" if gateway.shows_refunds else "no look-up tells of it, so write it down"
        commands += [f"Give it back in {gateway.panel}; {after}."]
    elif payment.review_reason is None and _is_left(payment, now):
        commands += ['Give it back, or with "amount" in paisa a part of it:']
        commands += [_command(f"{address}/v1/payments/{payment.id}/refunds", {"reason": "WHY"})]
    yield from commands
    if payment.can_be_looked_up and (payment.outcome_unknown or payment.review_reason in _TO_WRITE_ABOUT):
        names = filter(None, (payment.gateway_reference, payment.order_reference))
        yield f"Write to the gateway, and name {', '.join(names)}, the amount and the time. Never send your key."
    if any("TOKEN" in line for line in commands):
        yield "In these commands, TOKEN is a token of a member of staff, and WHY is what you write down as your reason."


def _decisions(story: Story, address: str, now: datetime, gives_back: bool) -> Iterator[str]:
    """Each decision that would be taken, as the payment stands."""
    payment = story.payment
    refund = next((refund for refund in story.refunds if refund.is_open), None)
    for decision, what in DECISIONS.items():
        if decision is Decision.HONOUR and payment.review_reason is None:
            continue
        if decision is Decision.REFUND and not gives_back:
            continue
        try:
            resolve(story.booking, payment, refund, decision=decision, actor="explain", reason="to see", at=now)
        except DomainError:
            continue
        body: dict[str, str | int] = {"decision": decision.value, "reason": "WHY", "version": payment.version}
        yield what
        yield _command(f"{address}/v1/payments/{payment.id}/resolution", body)


def _is_left(payment: Payment, now: datetime) -> bool:
    """Whether anything of it could be given back."""
    try:
        reserved(payment, None, at=now)
    except DomainError:
        return False
    return True


def _is_out_of_the_way(attempt: Payment) -> bool:
    return attempt.status in _ENDED and not attempt.outcome_unknown


_ENDED: Final = frozenset({PaymentStatus.CANCELED, PaymentStatus.EXPIRED, PaymentStatus.FAILED})
_TO_WRITE_ABOUT: Final = frozenset(
    {
        ReviewReason.REFERENCE_MISMATCH,
        ReviewReason.CONTRADICTORY,
        ReviewReason.TRANSACTION_REPEATED,
        ReviewReason.UNKNOWN_STATUS,
        ReviewReason.STUCK,
        ReviewReason.ORPHANED_REFERENCE,
        ReviewReason.REFUND_UNKNOWN,
    }
)


def _command(url: str, body: Mapping[str, str | int]) -> str:
    headers = "-H 'Authorization: Bearer TOKEN' -H 'Content-Type: application/json'"
    return f"  curl -sS {url} {headers} -d '{json.dumps(body)}'"


def _way_in(payment: Payment) -> str:
    return "form" if isinstance(payment.next_step, PostForm) else "link"


def _came(payment: Payment) -> str:
    if payment.amount_paid is None:
        return "money came, and the gateway does not say how much"
    fee = f", of which the gateway keeps {payment.fee}" if payment.fee not in (None, NOTHING) else ""
    when = f" at {both_times(payment.paid_at)}" if payment.paid_at is not None else ""
    return f"{payment.amount_paid} came{when}{fee}"


def _back(payment: Payment) -> str:
    if payment.amount_refunded is None:
        return "a part was given back in the gateway's own panel; how much is in no answer of its"
    return f"{payment.amount_refunded} was given back"


def _because(payment: Payment) -> str:
    return f": {payment.reason}" if payment.reason else ""


def both_times(at: datetime) -> str:
    """Nepal's time, and UTC in brackets; its date only where it is another day."""
    there, utc = at.astimezone(NEPAL), at.astimezone(UTC)
    shown = f"{utc:%H:%M:%S}" if there.date() == utc.date() else f"{utc:%Y-%m-%d %H:%M:%S}"
    return f"{there:%Y-%m-%d %H:%M:%S} ({shown} UTC)"


def _ago(pause: timedelta) -> str:
    seconds = int(pause.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "a moment"
