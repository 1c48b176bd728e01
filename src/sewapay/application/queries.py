"""What can be read: bookings, payments, refunds, events, and a payment's story.

Nothing here changes anything, but for one thing: whoever reads an undecided payment has it looked up, once for all
readers and not again for a moment.
"""

from typing import Final

from attrs import evolve, frozen

from sewapay.application.access import Operation, Principal
from sewapay.application.errors import BookingNotFound, PaymentNotFound, RefundNotFound
from sewapay.application.peek_at_payment import FRESH_FOR, PeekAtPayment
from sewapay.application.ports import Clock, Flights
from sewapay.application.storage import BookingFilter, Page, PaymentFilter, Read, Told, Transact, View
from sewapay.application.timeline import TimelineItem, timeline
from sewapay.domain.booking import Booking
from sewapay.domain.identifiers import BookingId, PaymentId, RefundId
from sewapay.domain.payment import Payment
from sewapay.domain.refund import Refund

__all__ = [
    "BookingAndPayments",
    "ListBookings",
    "ListEvents",
    "ListPayments",
    "PaymentAndBooking",
    "ReadBooking",
    "ReadPayment",
    "ReadRefund",
    "ReadRefunds",
    "ReadTimeline",
]

READERS_WAIT_SECONDS: Final = 4.0


@frozen
class BookingAndPayments:
    """A booking and all attempts to pay it, oldest first."""

    booking: Booking
    payments: list[Payment]


@frozen
class PaymentAndBooking:
    """A payment and what it is for."""

    payment: Payment
    booking: Booking


def _payment_in_sight(view: View, payment_id: PaymentId, by: Principal | None) -> PaymentAndBooking:
    payment = view.payments.get(payment_id)
    booking = view.bookings.get(payment.booking_id)
    if by is not None and not by.may_see(booking):
        raise PaymentNotFound
    return PaymentAndBooking(payment, booking)


@frozen
class ReadBooking:
    """One booking and its payments. A customer's own; somebody else's does not exist for them."""

    read: Read

    async def __call__(self, booking_id: BookingId, by: Principal) -> BookingAndPayments:
        """Raises `NotAllowed`, `BookingNotFound`, `StoreUnavailable`."""
        by.require(Operation.READ_BOOKING)

        def find(view: View) -> BookingAndPayments:
            booking = view.bookings.get(booking_id)
            if not by.may_see(booking):
                raise BookingNotFound
            return BookingAndPayments(booking, view.payments.of_booking(booking_id))

        return await self.read(find)


@frozen
class ListBookings:
    """Bookings, newest first: a customer's own, everyone's for staff and services."""

    read: Read

    async def __call__(self, wanted: BookingFilter, page: Page, by: Principal) -> tuple[list[Booking], str | None]:
        """The items and the next page's cursor. Raises `NotAllowed`, `InvalidCursor`, `StoreUnavailable`."""
        by.require(Operation.LIST_BOOKINGS)
        mine = evolve(wanted, customer_id=by.only_customer or wanted.customer_id)
        return await self.read(lambda view: view.bookings.page(mine, page))


@frozen
class ReadPayment:
    """One payment and its booking; while nothing is decided, after a look at the gateway.

    - `by` is None for a browser that came back from the gateway: whoever knows the payment's id may see how it stands.
    - A hundred readers make one look, over all processes, and none while the last one is fresh. A reader waits for a
      few seconds at most; the look goes on to its end.
    """

    read: Read
    peek: PeekAtPayment
    flights: Flights
    clock: Clock

    async def __call__(self, payment_id: PaymentId, by: Principal | None) -> PaymentAndBooking:
        """Raises `NotAllowed`, `PaymentNotFound`, `StoreUnavailable`."""
        if by is not None:
            by.require(Operation.READ_PAYMENT)
        found = await self.read(lambda view: _payment_in_sight(view, payment_id, by))
        if not self._is_worth_a_look(found.payment):
            return found
        await self.flights.joined(f"read {payment_id}", lambda: self.peek(payment_id), seconds=READERS_WAIT_SECONDS)
        return await self.read(lambda view: _payment_in_sight(view, payment_id, by))

    def _is_worth_a_look(self, payment: Payment) -> bool:
        if not payment.can_be_looked_up or not payment.is_undecided:
            return False
        last = payment.looked_at or payment.opened_at or payment.created_at
        return self.clock.now() >= last + FRESH_FOR


@frozen
class ListPayments:
    """Payments, newest first: a customer's own, everyone's for staff and services."""

    read: Read

    async def __call__(self, wanted: PaymentFilter, page: Page, by: Principal) -> tuple[list[Payment], str | None]:
        """The items and the next page's cursor. Raises `NotAllowed`, `InvalidCursor`, `StoreUnavailable`."""
        by.require(Operation.LIST_PAYMENTS)
        mine = evolve(wanted, customer_id=by.only_customer or wanted.customer_id)
        return await self.read(lambda view: view.payments.page(mine, page))


@frozen
class ReadTimeline:
    """What happened to a payment, in order: what we did, what the gateway said, who decided."""

    read: Read

    async def __call__(self, payment_id: PaymentId, by: Principal) -> list[TimelineItem]:
        """Oldest first. Raises `NotAllowed`, `PaymentNotFound`, `StoreUnavailable`."""
        by.require(Operation.READ_PAYMENT)

        def tell(view: View) -> list[TimelineItem]:
            found = _payment_in_sight(view, payment_id, by)
            return timeline(payment_id, view.events.of_booking(found.booking.id), view.payments.evidence(payment_id))

        return await self.read(tell)


@frozen
class ReadRefund:
    """One refund. A customer sees those of their own payments; somebody else's does not exist for them."""

    read: Read

    async def __call__(self, refund_id: RefundId, by: Principal) -> Refund:
        """Raises `NotAllowed`, `RefundNotFound`, `StoreUnavailable`."""
        by.require(Operation.READ_REFUND)

        def find(view: View) -> Refund:
            refund = view.refunds.get(refund_id)
            if not by.may_see(view.bookings.get(refund.booking_id)):
                raise RefundNotFound
            return refund

        return await self.read(find)


@frozen
class ReadRefunds:
    """All refunds of one payment. A customer sees those of their own; no other payment exists for them."""

    read: Read

    async def __call__(self, payment_id: PaymentId, by: Principal) -> list[Refund]:
        """Oldest first. Raises `NotAllowed`, `PaymentNotFound`, `StoreUnavailable`."""
        by.require(Operation.READ_REFUND)

        def find(view: View) -> list[Refund]:
            _payment_in_sight(view, payment_id, by)
            return view.refunds.of_payment(payment_id)

        return await self.read(find)


@frozen
class ListEvents:
    """What happened, of all bookings, oldest first: each event once, a booking's events in their order."""

    transact: Transact

    async def __call__(self, page: Page, by: Principal) -> tuple[list[Told], str | None]:
        """The events after the page's cursor, and the cursor to go on from, also when there are none yet.

        Raises `NotAllowed`, `InvalidCursor`, `StoreUnavailable`.
        """
        by.require(Operation.READ_EVENTS)
        return await self.transact(lambda tx: tx.events.feed(page))
