"""The story of a payment, for whoever has to understand what happened to the money."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from attrs import frozen

from sewapay.domain.events import Event, EventData, EventKind
from sewapay.domain.identifiers import PaymentId
from sewapay.domain.money import Money
from sewapay.domain.observation import Evidence

__all__ = ["SUMMARIES", "TimelineItem", "timeline"]


@frozen(kw_only=True)
class TimelineItem:
    """One line of the story. `at` is UTC; `data` holds the event's or the answer's own values, amounts in paisa."""

    at: datetime
    kind: str
    actor: str
    summary: str
    data: EventData


def _owed(data: EventData) -> str:
    amount = data.get("amount")
    return Money(amount).display if type(amount) is int else "an unknown amount"


SUMMARIES: Final[Mapping[EventKind, Callable[[EventData], str]]] = MappingProxyType(
    {
        EventKind.BOOKING_REGISTERED: lambda data: f"The booking was registered; {_owed(data)} is owed.",
        EventKind.BOOKING_CONFIRMED: lambda _: "The booking was confirmed by this payment.",
        EventKind.BOOKING_CANCELED: lambda _: "The booking was canceled.",
        EventKind.BOOKING_REFUNDED: lambda _: "The booking's payment was given back as a whole.",
        EventKind.PAYMENT_CREATED: lambda data: f"A payment of {_owed(data)} was begun; the gateway is asked next.",
        EventKind.PAYMENT_OPENED: lambda data: (
            "The way to the gateway's page was made, under our own reference."
            if data.get("gateway_reference") is None
            else "The gateway opened its page for the customer."
        ),
        EventKind.PAYMENT_PENDING: lambda _: "The gateway is still working on it.",
        EventKind.PAYMENT_COMPLETED: lambda data: f"The gateway says that {_owed(data)} was paid.",
        EventKind.PAYMENT_CANCELED: lambda _: "It was canceled at the gateway.",
        EventKind.PAYMENT_EXPIRED: lambda _: "It expired unpaid.",
        EventKind.PAYMENT_FAILED: lambda _: "The payment failed; no money was taken.",
        EventKind.PAYMENT_UNDER_REVIEW: lambda data: f"Put aside for a person: {data.get('reason')}.",
        EventKind.PAYMENT_PARTIALLY_REFUNDED: lambda _: "The gateway says that a part was given back.",
        EventKind.PAYMENT_REFUNDED: lambda data: f"The gateway says that {_owed(data)} was given back.",
        EventKind.PAYMENT_SURPLUS: lambda _: "Another payment had settled the booking: this money is surplus.",
        EventKind.PAYMENT_OUTCOME_UNKNOWN: lambda data: f"No usable answer ({data.get('reason')}); we ask again.",
        EventKind.PAYMENT_CONTRADICTED: lambda data: f"An answer contradicts what we know: {data.get('reason')}.",
        EventKind.PAYMENT_REFUNDED_OUTSIDE: lambda _: "Money went back that no refund of ours explains.",
        EventKind.PAYMENT_NEEDS_ATTENTION: lambda data: f"A person has to look: {data.get('reason')}.",
        EventKind.PAYMENT_RESOLVED: lambda data: f"A person decided: {data.get('decision')} ({data.get('reason')}).",
        EventKind.REFUND_SUBMITTED: lambda data: (
            f"{_owed(data).capitalize()} is to be given back ({data.get('reason')})."
        ),
        EventKind.REFUND_CONFIRMED: lambda data: f"{_owed(data).capitalize()} was given back.",
        EventKind.REFUND_REJECTED: lambda data: f"{_owed(data).capitalize()} was not given back: {data.get('reason')}.",
        EventKind.REFUND_OUTCOME_UNKNOWN: lambda data: (
            f"Whether {_owed(data)} was given back is not known ({data.get('reason')}); we look again."
        ),
    }
)


def timeline(payment_id: PaymentId, events: Iterable[Event], evidence: Iterable[Evidence]) -> list[TimelineItem]:
    """The booking's own events, this payment's, and the gateway's answers about it; oldest first."""
    answers = [
        TimelineItem(
            at=kept.at,
            kind="gateway.answered",
            actor="gateway",
            summary=f"Asked what became of it; the gateway said {kept.observation.said!r}.",
            data={"said": kept.observation.said, **kept.observation.facts},
        )
        for kept in evidence
    ]
    facts = [
        TimelineItem(
            at=event.at,
            kind=event.kind,
            actor=event.actor,
            summary=SUMMARIES[event.kind](event.data),
            data=event.data,
        )
        for event in events
        if event.payment_id in (None, payment_id)
    ]
    return sorted([*answers, *facts], key=lambda item: item.at)
