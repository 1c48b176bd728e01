"""A booking: what is owed, by whom. It is confirmed exactly once, by exactly one payment."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from attrs import Attribute, evolve, field, frozen

from sewapay.domain.errors import BookingAlreadyPaid, BookingIsCanceled, InvalidBooking
from sewapay.domain.events import Event, EventData, EventKind
from sewapay.domain.identifiers import BookingId, CustomerId, PaymentId
from sewapay.domain.money import Money

__all__ = ["Booking", "BookingStatus", "Customer"]

LONGEST_TITLE = 200
LONGEST_CONTACT = 254


def _title(_instance: object, _attribute: "Attribute[Any]", title: str) -> None:
    if not 1 <= len(title) <= LONGEST_TITLE or not title.isprintable() or not title.strip():
        raise InvalidBooking(f"a booking's title is 1 to {LONGEST_TITLE} printable characters")


def _contact(_instance: object, attribute: "Attribute[Any]", text: str | None) -> None:
    if text is not None and (not 1 <= len(text) <= LONGEST_CONTACT or not text.isprintable()):
        raise InvalidBooking(f"a customer's {attribute.name} has 1 to {LONGEST_CONTACT} printable characters, if any")


def _something_owed(_instance: object, _attribute: "Attribute[Any]", amount: Money) -> None:
    if amount.paisa == 0:
        raise InvalidBooking("a booking is owed at least 1 paisa")


class BookingStatus(StrEnum):
    """Where a booking stands; only a payment that the gateway vouches for confirms it."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELED = "canceled"
    REFUNDED = "refunded"


@frozen(kw_only=True)
class Customer:
    """Who owes. `id` is how the merchant's tokens name them; the rest is passed on to the gateway when given."""

    id: CustomerId
    name: str | None = field(default=None, validator=_contact, repr=False)
    email: str | None = field(default=None, validator=_contact, repr=False)
    phone: str | None = field(default=None, validator=_contact, repr=False)


@frozen(kw_only=True)
class Booking:
    """What is being paid for. The amount is frozen at registration, tax included; it is all that is owed.

    `settled_by` names the one payment that confirmed it. `version` counts the saved changes (0: never saved), and
    `events` holds what happened since it was read.
    """

    id: BookingId
    customer: Customer
    title: str = field(validator=_title)
    amount: Money = field(validator=_something_owed)
    registered_at: datetime
    status: BookingStatus = BookingStatus.PENDING
    settled_by: PaymentId | None = None
    version: int = 0
    events: tuple[Event, ...] = field(default=(), eq=False, repr=False)

    @classmethod
    def register(
        cls, *, id: BookingId, customer: Customer, title: str, amount: Money, actor: str, at: datetime
    ) -> Self:
        """A new booking that waits for its payment. Raises `InvalidBooking` for what could not be owed."""
        booking = cls(id=id, customer=customer, title=title, amount=amount, registered_at=at)
        return booking._telling(EventKind.BOOKING_REGISTERED, actor, at, data={"amount": amount.paisa})

    def require_payable(self) -> None:
        """Raise `BookingAlreadyPaid` or `BookingIsCanceled` unless a checkout may be opened."""
        if self.status is BookingStatus.CONFIRMED:
            raise BookingAlreadyPaid(f"booking {self.id} is already paid: nothing is left to pay")
        if self.status is BookingStatus.REFUNDED:
            raise BookingAlreadyPaid(f"booking {self.id} was paid and given back: register a new booking to pay for it")
        if self.status is BookingStatus.CANCELED:
            raise BookingIsCanceled(f"booking {self.id} is canceled: register a new booking to pay for it")

    def confirm(self, payment_id: PaymentId, *, at: datetime) -> Self:
        """Settle the booking by this payment. Whether it may be settled is `settlement.settle`'s to decide."""
        self.require_payable()
        confirmed = evolve(self, status=BookingStatus.CONFIRMED, settled_by=payment_id)
        return confirmed._telling(EventKind.BOOKING_CONFIRMED, "sewapay", at, payment_id=payment_id)

    def reinstate(self, payment_id: PaymentId, *, at: datetime) -> Self:
        """Confirm a canceled booking by money that came all the same, as was decided."""
        if self.status is not BookingStatus.CANCELED:
            return self.confirm(payment_id, at=at)
        return evolve(self, status=BookingStatus.PENDING).confirm(payment_id, at=at)

    def refund(self, payment_id: PaymentId, *, at: datetime) -> Self:
        """The payment that settled it was given back as a whole."""
        if self.status is not BookingStatus.CONFIRMED or self.settled_by != payment_id:
            return self
        refunded = evolve(self, status=BookingStatus.REFUNDED)
        return refunded._telling(EventKind.BOOKING_REFUNDED, "sewapay", at, payment_id=payment_id)

    def cancel(self, *, actor: str, at: datetime) -> Self:
        """Cancel an unpaid booking; canceling it again changes nothing.

        Raises `BookingAlreadyPaid` when it is confirmed: money is given back by a refund, not by a cancellation.
        """
        if self.status is BookingStatus.CANCELED:
            return self
        if self.status in (BookingStatus.CONFIRMED, BookingStatus.REFUNDED):
            raise BookingAlreadyPaid(f"booking {self.id} is paid: it can be refunded, not simply canceled")
        return evolve(self, status=BookingStatus.CANCELED)._telling(EventKind.BOOKING_CANCELED, actor, at)

    def _telling(
        self,
        kind: EventKind,
        actor: str,
        at: datetime,
        *,
        payment_id: PaymentId | None = None,
        data: EventData | None = None,
    ) -> Self:
        event = Event(kind=kind, at=at, actor=actor, booking_id=self.id, payment_id=payment_id, data=data or {})
        return evolve(self, events=(*self.events, event))
