"""Rules of the domain that can be broken, one class for each.

    SewapayError                     everything that sewapay raises on purpose
    └── DomainError                  a rule of money, bookings or payments was broken
        ├── InvalidMoney             not a whole number of paisa that we can carry
        ├── InvalidIdentifier        a name or number that cannot be one of ours
        ├── InvalidBooking           a booking that could not be owed or paid
        ├── BookingAlreadyPaid       it is confirmed: nothing is left to pay or to cancel
        ├── BookingIsCanceled        it is canceled: nothing may be paid for it
        ├── InvalidRefund            a refund that could not be made of any payment
        ├── NothingToRefund          the payment holds no money that could be given back
        ├── RefundTooLarge           more than what is left of the payment
        ├── RefundInProgress         another refund of the payment has no known outcome yet
        ├── NotUnderReview           nothing about the payment waits for a person
        └── DecisionNotPossible      this decision does not fit how the payment stands

Every message is one sentence for the person who made the request: what was wrong, and what to do.
"""

__all__ = [
    "BookingAlreadyPaid",
    "BookingIsCanceled",
    "DecisionNotPossible",
    "DomainError",
    "InvalidBooking",
    "InvalidIdentifier",
    "InvalidMoney",
    "InvalidRefund",
    "NotUnderReview",
    "NothingToRefund",
    "RefundInProgress",
    "RefundTooLarge",
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


class InvalidRefund(DomainError):
    """A refund whose amount or reason could not be one."""


class NothingToRefund(DomainError):
    """The payment was never paid, or everything was given back already, or nobody knows how much was."""


class RefundTooLarge(DomainError):
    """More is to be given back than is left of what was paid."""


class RefundInProgress(DomainError):
    """A refund of this payment has no known outcome yet: one at a time, or nobody could tell them apart."""


class NotUnderReview(DomainError):
    """The payment waits for nobody's decision."""


class DecisionNotPossible(DomainError):
    """What was decided cannot be done with the payment as it stands; nothing was changed."""
