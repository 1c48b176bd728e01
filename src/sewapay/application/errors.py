"""What a caller may be told, one class for each thing that it can do something about.

    SewapayError
    ├── DomainError                      (domain/errors.py)
    └── ApplicationError
        ├── BookingNotFound              missing, or not the caller's: the two look the same
        ├── PaymentNotFound              likewise
        ├── RefundNotFound               no such refund, or not one that the caller may see
        ├── KeyNotFound                  no such API key
        ├── InvalidCursor                a list's cursor that did not come from the page before
        ├── ReferenceTaken               another payment already has this gateway reference
        ├── BookingExists                the id was registered before
        ├── NotAllowed                   signed in, and not permitted to do this
        ├── ReturnUrlRefused             a return address outside the allowed origins
        ├── AmountDiffers                the caller expected another amount than is owed
        ├── AmountNotTaken               the gateway does not take so little, or so much
        ├── StillBeingChecked            an earlier payment of this booking has no known outcome yet
        ├── CheckoutInProgress           another request is opening this booking's checkout right now
        ├── NotTheReviewedVersion        the payment changed since it was reviewed
        ├── RefundsNotOffered            the gateway gives nothing back by a call of ours
        ├── KeyReused                    an Idempotency-Key that was used for another request
        ├── StillRunning                 the first request under an Idempotency-Key is not answered yet
        ├── UnusableSetting              a setting that nothing can be started with; names it, never its value
        ├── StoreUnavailable             the database is locked, full or away; nothing was changed
        └── GatewayError                 `may_ask_again` says whether it is safe to send the same again
            ├── GatewayNotEnabled        not among the gateways of this service
            ├── GatewayNotConfigured     its key is missing here
            ├── NothingSent              the request certainly never left: may be asked again
            ├── KeyRefused               the gateway did not accept our key: nothing happened there
            ├── CheckoutRefused          the gateway refused what we sent: nothing happened there
            ├── RefundRefused            the gateway refused to give this back; it may have been given back before
            └── OutcomeUnknown           sent, and no usable answer: it may or may not have happened
                └── ProtocolError        an answer came, and it is not one that the gateway documents

A message is one sentence for whoever reads it; it never holds a secret, a person's data or a gateway's whole answer.
"""

from typing import ClassVar

from sewapay.domain.errors import SewapayError

__all__ = [
    "AmountDiffers",
    "AmountNotTaken",
    "ApplicationError",
    "BookingExists",
    "BookingNotFound",
    "CheckoutInProgress",
    "CheckoutRefused",
    "GatewayError",
    "GatewayNotConfigured",
    "GatewayNotEnabled",
    "InvalidCursor",
    "KeyNotFound",
    "KeyRefused",
    "KeyReused",
    "NotAllowed",
    "NotTheReviewedVersion",
    "NothingSent",
    "OutcomeUnknown",
    "PaymentNotFound",
    "ProtocolError",
    "ReferenceTaken",
    "RefundNotFound",
    "RefundRefused",
    "RefundsNotOffered",
    "ReturnUrlRefused",
    "StillBeingChecked",
    "StillRunning",
    "StoreUnavailable",
    "UnusableSetting",
]


class ApplicationError(SewapayError):
    """A request could not be carried out as it was made."""


class BookingNotFound(ApplicationError):
    """No such booking, or not one that the caller may see."""

    def __init__(self) -> None:
        super().__init__("Booking not found or access denied")


class PaymentNotFound(ApplicationError):
    """No such payment, or not one that the caller may see."""

    def __init__(self) -> None:
        super().__init__("Payment not found or access denied")


class RefundNotFound(ApplicationError):
    """No such refund, or not one that the caller may see."""

    def __init__(self) -> None:
        super().__init__("Refund not found or access denied")


class KeyNotFound(ApplicationError):
    """No API key with this id."""


class InvalidCursor(ApplicationError):
    """A cursor is taken from the page before as it is; this one was not."""

    def __init__(self) -> None:
        super().__init__("this cursor is not one of ours: use the next_cursor of the page before, or leave it out")


class ReferenceTaken(ApplicationError):
    """The gateway reference already belongs to another payment; the earlier payment stays as it is."""


class BookingExists(ApplicationError):
    """A booking with this id was registered before; the registered one stays as it is."""


class NotAllowed(ApplicationError):
    """The caller is known, and may not do this."""


class ReturnUrlRefused(ApplicationError):
    """The return address is not one that browsers may be sent to from here."""


class AmountDiffers(ApplicationError):
    """The caller stated an amount, and it is not the one that is owed."""


class AmountNotTaken(ApplicationError):
    """The booking's amount lies outside what the gateway takes."""


class StillBeingChecked(ApplicationError):
    """An earlier payment may have gone through: nobody should pay again before that is known."""


class CheckoutInProgress(ApplicationError):
    """The same booking's checkout is being opened by another request; asking again in a moment gives its link."""


class NotTheReviewedVersion(ApplicationError):
    """The payment was changed since it was reviewed; `version` is the one to review now."""

    def __init__(self, version: int) -> None:
        super().__init__(f"this payment changed since it was reviewed: read it again and decide on version {version}")
        self.version = version


class RefundsNotOffered(ApplicationError):
    """Money that came through this gateway is given back in the gateway's own panel."""


class KeyReused(ApplicationError):
    """The Idempotency-Key belongs to an earlier request with another body."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another request: send a new key with a new request")


class StillRunning(ApplicationError):
    """The first request with this Idempotency-Key is being worked on; `retry_after` in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("the first request with this Idempotency-Key is not answered yet: ask again in a moment")
        self.retry_after = retry_after


class UnusableSetting(ApplicationError):
    """Settings that the service cannot or must not start with: one line for each, naming the variable."""


class StoreUnavailable(ApplicationError):
    """The database cannot be used right now. Nothing was changed by this request."""


class GatewayError(ApplicationError):
    """A gateway could not do what it was asked.

    `may_ask_again` is true only where the same request provably never reached it.
    """

    may_ask_again: ClassVar[bool] = False


class GatewayNotEnabled(GatewayError):
    """The gateway is not among those that this service was started with."""


class GatewayNotConfigured(GatewayError):
    """The gateway's key is missing in this service's settings; nothing was sent."""

    may_ask_again = True


class NothingSent(GatewayError):
    """No byte reached the gateway: refused connection, unknown host, failed TLS, no free connection."""

    may_ask_again = True


class KeyRefused(GatewayError):
    """The gateway did not accept our key, so it did nothing."""


class CheckoutRefused(GatewayError):
    """The gateway refused the request's content, so it opened nothing."""


class RefundRefused(GatewayError):
    """The gateway said no to this refund. A look-up tells whether the money had been given back before."""


class OutcomeUnknown(GatewayError):
    """The request was sent, or may have been, and no usable answer came: timeout, broken connection, 429, 5xx."""


class ProtocolError(OutcomeUnknown):
    """An answer came that the gateway does not document: wrong shape, wrong type, too large, another host."""
