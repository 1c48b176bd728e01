"""A booking that will not be paid any more."""

from attrs import frozen

from sewapay.application.access import Operation, Principal
from sewapay.application.errors import BookingNotFound
from sewapay.application.idempotency import Once
from sewapay.application.ports import Clock
from sewapay.application.storage import Transact, Tx
from sewapay.domain.booking import Booking
from sewapay.domain.identifiers import BookingId

__all__ = ["CancelBooking", "Cancellation"]


@frozen(kw_only=True)
class Cancellation:
    """Which booking, and who says so. `once`: made again, the same answer."""

    by: Principal
    booking_id: BookingId
    once: Once[Booking] | None = None


@frozen
class CancelBooking:
    """Cancel a booking that is not paid.

    - A paid booking is refused: its money is given back by a refund.
    - Canceling twice changes nothing.
    - Money that still comes for a canceled booking is kept and reviewed; it never confirms the booking.
    """

    transact: Transact
    clock: Clock

    async def __call__(self, cancellation: Cancellation) -> Booking:
        """Cancel it. Raises `NotAllowed`, `BookingNotFound`, `BookingAlreadyPaid`, `StoreUnavailable`."""
        cancellation.by.require(Operation.CANCEL_BOOKING)

        def record(tx: Tx) -> Booking:
            booking = tx.bookings.get(cancellation.booking_id)
            if not cancellation.by.may_see(booking):
                raise BookingNotFound
            if cancellation.once is not None:
                cancellation.once.check(tx)
            canceled = booking.cancel(actor=cancellation.by.actor, at=self.clock.now())
            kept = booking if canceled is booking else tx.bookings.save(canceled)
            if cancellation.once is not None:
                cancellation.once.finish(tx, kept)
            return kept

        return await self.transact(record)
