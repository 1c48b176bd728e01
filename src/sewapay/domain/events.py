"""Facts that became true, one for each change of a booking, a payment or a refund.

An entity collects its events; the store writes them in the transaction that saves the entity. They are never
changed and never removed: the timeline of a payment is made of them.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import field, frozen

from sewapay.domain.identifiers import BookingId, PaymentId

__all__ = ["Event", "EventData", "EventKind"]

EventData = Mapping[str, str | int | bool | None]
_NOTHING: Final[EventData] = MappingProxyType({})


class EventKind(StrEnum):
    """What happened, named `<thing>.<past tense>`."""

    BOOKING_REGISTERED = "booking.registered"
    BOOKING_CONFIRMED = "booking.confirmed"
    BOOKING_CANCELED = "booking.canceled"
    BOOKING_REFUNDED = "booking.refunded"
    PAYMENT_CREATED = "payment.created"
    PAYMENT_OPENED = "payment.opened"
    PAYMENT_PENDING = "payment.pending"
    PAYMENT_COMPLETED = "payment.completed"
    PAYMENT_CANCELED = "payment.canceled"
    PAYMENT_EXPIRED = "payment.expired"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_UNDER_REVIEW = "payment.under_review"
    PAYMENT_PARTIALLY_REFUNDED = "payment.partially_refunded"
    PAYMENT_REFUNDED = "payment.refunded"
    PAYMENT_SURPLUS = "payment.surplus"
    PAYMENT_OUTCOME_UNKNOWN = "payment.outcome_unknown"
    PAYMENT_CONTRADICTED = "payment.contradicted"
    PAYMENT_REFUNDED_OUTSIDE = "payment.refunded_outside"
    PAYMENT_NEEDS_ATTENTION = "payment.needs_attention"
    PAYMENT_RESOLVED = "payment.resolved"
    REFUND_SUBMITTED = "refund.submitted"
    REFUND_CONFIRMED = "refund.confirmed"
    REFUND_REJECTED = "refund.rejected"
    REFUND_OUTCOME_UNKNOWN = "refund.outcome_unknown"


@frozen(kw_only=True)
class Event:
    """One fact. `at` is UTC; `actor` says who caused it (`gateway`, `sewapay`, `customer:42`, `service:...`).

    `data` holds small, scrubbed values only: statuses, amounts in paisa, references. No secret, name or number
    of a person belongs in it.
    """

    kind: EventKind
    at: datetime
    actor: str
    booking_id: BookingId
    payment_id: PaymentId | None = None
    data: EventData = field(default=_NOTHING)
