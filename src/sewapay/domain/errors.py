"""Rules of the domain that can be broken, one class for each.

    SewapayError                     everything that sewapay raises on purpose
    └── DomainError                  a rule of money, bookings or payments was broken
        ├── InvalidMoney             not a whole number of paisa that we can carry
        ├── InvalidIdentifier        a name or number that cannot be one of ours
        ├── InvalidBooking           a booking that could not be owed or paid
        ├── BookingAlreadyPaid       it is confirmed: nothing is left to pay or to cancel
        └── BookingIsCanceled        it is canceled: nothing may be paid for it

Every message is one sentence for the person who made the request: what was wrong, and what to do.
"""

__all__ = [
    "BookingAlreadyPaid",
    "BookingIsCanceled",
    "DomainError",
    "InvalidBooking",
    "InvalidIdentifier",
    "InvalidMoney",
    "SewapayError",
]


class SewapayError(Exception):
    """The root: whatever sewapay refuses, and whatever it cannot do, is one of these."""


class DomainError(SewapayError):
    """A rule of the domain was broken; nothing was changed."""


class InvalidMoney(DomainError):
    """An amount that is not a whole number of paisa from 0 to `money.GREATEST_PAISA`."""


class InvalidIdentifier(DomainError):
    """Text or a number that cannot be the identifier it is meant to be."""


class InvalidBooking(DomainError):
    """A booking whose fields could not be owed, shown or paid."""


class BookingAlreadyPaid(DomainError):
    """The booking is confirmed by a payment: it can be neither paid again nor simply canceled."""


class BookingIsCanceled(DomainError):
    """The booking was canceled: no checkout is opened for it."""
