"""What a completed payment means for its booking: the one place where a booking becomes confirmed."""

from datetime import datetime

from sewapay.domain.booking import Booking, BookingStatus
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason

__all__ = ["settle"]


def settle(
    booking: Booking, payment: Payment, *, transaction_seen_before: bool, at: datetime
) -> tuple[Booking, Payment]:
    """Let a completed payment settle its booking, or keep the money in sight when it must not.

    - The first completed payment of a pending booking confirms it.
    - A further one is marked surplus; one whose booking was canceled goes to review.
    - A gateway's transaction that already stands on another payment goes to review (`transaction_seen_before`).
    - Doing it again changes nothing.
    """
    if payment.status is not PaymentStatus.COMPLETED or booking.settled_by == payment.id:
        return booking, payment
    if transaction_seen_before:
        why = f"transaction {payment.transaction_id} already stands on another payment"
        return booking, payment.held_for_review(ReviewReason.TRANSACTION_REPEATED, why, at=at)
    if booking.status is BookingStatus.CANCELED:
        why = "the booking was canceled before the money came"
        return booking, payment.held_for_review(ReviewReason.BOOKING_CANCELED, why, at=at)
    if booking.settled_by is not None:
        return booking, payment.marked_surplus(at=at)
    return booking.confirm(payment.id, at=at), payment
