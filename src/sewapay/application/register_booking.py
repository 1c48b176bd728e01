"""A merchant tells sewapay what is owed, by whom."""

from attrs import frozen

from sewapay.application.access import Operation, Principal
from sewapay.application.idempotency import Once
from sewapay.application.ports import Clock
from sewapay.application.storage import Transact, Tx
from sewapay.domain.booking import Booking, Customer
from sewapay.domain.identifiers import BookingId
from sewapay.domain.money import Money

__all__ = ["NewBooking", "RegisterBooking"]


@frozen(kw_only=True)
class NewBooking:
    """What to register. Without an `id` the booking gets the next number. `once`: made again, the same answer."""

    by: Principal
    id: BookingId | None = None
    customer: Customer
    title: str
    amount: Money
    once: Once[Booking] | None = None


@frozen
class RegisterBooking:
    """Register a booking that waits for its payment.

    - The amount is all that is owed, tax included; it does not change afterwards.
    - An id that was registered before is refused, and the booking of that id stays as it is.
    """

    transact: Transact
    clock: Clock

    async def __call__(self, new: NewBooking) -> Booking:
        """Register it. Raises `NotAllowed`, `BookingExists`, `InvalidBooking`, `StoreUnavailable`."""
        new.by.require(Operation.REGISTER_BOOKING)

        def record(tx: Tx) -> Booking:
            if new.once is not None:
                new.once.check(tx)
            booking = Booking.register(
                id=tx.bookings.next_id() if new.id is None else new.id,
                customer=new.customer,
                title=new.title,
                amount=new.amount,
                actor=new.by.actor,
                at=self.clock.now(),
            )
            added = tx.bookings.add(booking)
            if new.once is not None:
                new.once.finish(tx, added)
            return added

        return await self.transact(record)
