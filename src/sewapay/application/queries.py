"""What can be read: bookings, payments, and a payment's story. Nothing here asks a gateway or changes anything."""

from attrs import evolve, frozen

from sewapay.application.access import Operation, Principal
from sewapay.application.errors import BookingNotFound, PaymentNotFound
from sewapay.application.storage import BookingFilter, Page, PaymentFilter, Read, View
from sewapay.application.timeline import TimelineItem, timeline
from sewapay.domain.booking import Booking
from sewapay.domain.identifiers import BookingId, PaymentId
from sewapay.domain.payment import Payment

__all__ = [
    "BookingAndPayments",
    "ListBookings",
    "ListPayments",
    "PaymentAndBooking",
    "ReadBooking",
    "ReadPayment",
    "ReadTimeline",
]


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
    """One payment and its booking, as they are stored.

    - `by` is None for a browser that came back from the gateway: whoever knows the payment's id may see how it stands.
    """

    read: Read

    async def __call__(self, payment_id: PaymentId, by: Principal | None) -> PaymentAndBooking:
        """Raises `NotAllowed`, `PaymentNotFound`, `StoreUnavailable`."""
        if by is not None:
            by.require(Operation.READ_PAYMENT)
        return await self.read(lambda view: _payment_in_sight(view, payment_id, by))


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
