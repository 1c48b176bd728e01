"""Every error that an answer can tell of, in one table: its status, its name, its cause and what helps.

The same table makes the answers, the live pages under `/problems/` and `docs/problems.md`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sewapay.adapters.web import errors as web
from sewapay.adapters.web.problem_kind import ProblemKind
from sewapay.application import errors as application
from sewapay.application.auditing.truth import UnreadableStatement
from sewapay.domain import errors as domain
from sewapay.domain.errors import SewapayError

__all__ = ["PROBLEMS", "ProblemKind", "problem_of"]


_INTERNAL: Final = ProblemKind(
    "internal-error",
    500,
    "Something went wrong here",
    "A mistake in sewapay or in the way that it is set up. The log holds it, under the answer's request_id.",
    "Nothing that you sent is at fault. Look the request_id up in the log, and report what you find. A payment that "
    "was under way is not lost: read it again.",
)

PROBLEMS: Final[Mapping[type[SewapayError], ProblemKind]] = MappingProxyType(
    {
        web.NotSignedIn: ProblemKind(
            "not-signed-in",
            401,
            "Not signed in",
            "The Authorization header is missing, or its token is not accepted: forged, expired, without an exp, for "
            "somebody else (audience, issuer), a refresh token, or an API key that was revoked.",
            "Send Authorization: Bearer with a token of your own login (HS256, with exp), or with an API key made by "
            "`sewapay keys create`.",
        ),
        web.MalformedBody: ProblemKind(
            "malformed-body",
            400,
            "The body cannot be read",
            "The body is empty, cut off, not JSON, or not UTF-8.",
            "Send one JSON object in UTF-8.",
        ),
        web.InvalidFields: ProblemKind(
            "invalid-fields",
            422,
            "A field is not what it should be",
            "A field, query value or header is missing, unknown, given twice, of the wrong type or out of its bounds. "
            "Amounts are whole paisa: 113000, and neither 1130.0 nor text.",
            "The detail names the field. Unknown fields are refused so that a misspelt one is never ignored.",
        ),
        web.BodyTooLarge: ProblemKind(
            "body-too-large",
            413,
            "The body is too large",
            "A body has at most 64 KiB.",
            "Send less; nothing in this API needs more.",
        ),
        web.NotJson: ProblemKind(
            "not-json",
            415,
            "The body is not sent as JSON",
            "The Content-Type header is missing, or is not application/json.",
            "Send Content-Type: application/json.",
        ),
        web.NoSuchAddress: ProblemKind(
            "no-such-address",
            404,
            "Nothing lives at this address",
            "The path is not one of this API's.",
            "Compare the path with the document at /schema.",
        ),
        web.MethodNotAllowed: ProblemKind(
            "method-not-allowed",
            405,
            "This address does not answer to that method",
            "The path exists, and takes other methods than the one that was used.",
            "Use one of the methods that the Allow header lists.",
        ),
        web.TooManyRequests: ProblemKind(
            "too-many-requests",
            429,
            "Too many requests",
            "More requests came than are taken at once.",
            "Wait for as many seconds as Retry-After says.",
            retry_after=5,
        ),
        web.InternalError: _INTERNAL,
        domain.InvalidMoney: ProblemKind(
            "invalid-amount",
            422,
            "Not an amount",
            "An amount is a whole number of paisa between 1 and 9007199254740991.",
            "Send Rs 1,130.00 as 113000.",
        ),
        domain.InvalidIdentifier: ProblemKind(
            "invalid-identifier",
            422,
            "Not a name or number that could exist",
            "A booking's id is a whole number from 1 to 9007199254740992; a gateway's name is like khalti; a "
            "customer's id has 1 to 128 printable characters without spaces around them.",
            "The detail says which of them it is.",
        ),
        domain.InvalidBooking: ProblemKind(
            "invalid-booking",
            422,
            "Not a booking that could be paid",
            "A title or a customer's contact is empty, too long, or holds control characters; or nothing is owed.",
            "The detail says which of them it is.",
        ),
        domain.BookingAlreadyPaid: ProblemKind(
            "booking-already-paid",
            409,
            "The booking is already paid",
            "A payment settled this booking, and may have been given back since: it can be neither paid again nor "
            "simply canceled.",
            "Show the customer that it is paid. Money is given back by a refund; what is to be paid again is a new "
            "booking.",
        ),
        domain.BookingIsCanceled: ProblemKind(
            "booking-canceled",
            409,
            "The booking is canceled",
            "The booking was canceled, so no payment is opened for it.",
            "Register a new booking if the customer still wants it.",
        ),
        domain.InvalidRefund: ProblemKind(
            "invalid-refund",
            422,
            "Not a refund that could be made",
            "The amount is nothing, or the reason is blank, longer than 500 characters, or holds control characters.",
            "Give back at least 1 paisa, and say why in 1 to 500 printable characters.",
        ),
        domain.NothingToRefund: ProblemKind(
            "nothing-to-refund",
            409,
            "There is nothing to give back",
            "The payment was never paid, or was given back as a whole already. Or some of it was given back in the "
            "gateway's own panel, and the gateway does not say how much.",
            "Read the payment: amount_paid and amount_refunded say how it stands. What was begun in the gateway's "
            "panel is finished there.",
        ),
        domain.RefundTooLarge: ProblemKind(
            "refund-too-large",
            422,
            "More than what is left of the payment",
            "amount is more than amount_paid less amount_refunded.",
            "Ask for what is left at most; without an amount all that is left is given back.",
        ),
        domain.RefundInProgress: ProblemKind(
            "refund-in-progress",
            409,
            "Another refund of this payment is under way",
            "A refund of the payment has no known outcome yet. Refunds of one payment go one by one, or nobody could "
            "tell them apart.",
            "Read the payment's refunds. One that is submitted has its outcome in a moment: ask again then. One that "
            "is unknown is looked up until it has; staff can settle it by a resolution.",
            retry_after=30,
        ),
        domain.NotUnderReview: ProblemKind(
            "not-under-review",
            409,
            "Nothing waits for a decision",
            "The payment is not under review, and no refund of it waits for its outcome.",
            "Read the payment: somebody else may have decided, or the gateway answered meanwhile.",
        ),
        domain.DecisionNotPossible: ProblemKind(
            "decision-not-possible",
            409,
            "This decision does not fit the payment",
            "What was decided cannot be done with the payment as it stands, such as honouring money that never came.",
            "The detail says which decisions are left.",
        ),
        application.BookingNotFound: ProblemKind(
            "booking-not-found",
            404,
            "No such booking",
            "There is no booking of this id, or it is not the caller's: the two look the same.",
            "Check the id, and that the token is the one of the customer whom the booking was registered for.",
        ),
        application.PaymentNotFound: ProblemKind(
            "payment-not-found",
            404,
            "No such payment",
            "There is no payment of this id, or it is not the caller's: the two look the same.",
            "Check the id, and that the token is the one of the customer whose booking it pays.",
        ),
        application.RefundNotFound: ProblemKind(
            "refund-not-found",
            404,
            "No such refund",
            "There is no refund of this id, or it is not the caller's: the two look the same.",
            "Check the id, and that the token is the one of the customer whose payment it gives back.",
        ),
        application.KeyNotFound: ProblemKind(
            "key-not-found",
            404,
            "No such API key",
            "There is no API key of this id.",
            "`sewapay keys list` shows them.",
        ),
        application.InvalidCursor: ProblemKind(
            "invalid-cursor",
            422,
            "Not one of our cursors",
            "The cursor did not come from the page before.",
            "Send next_cursor of the page before as it is, or leave cursor out for the first page.",
        ),
        application.ReferenceTaken: ProblemKind(
            "reference-taken",
            502,
            "The gateway gave a reference twice",
            "The gateway named a new payment like an earlier one. The earlier one stays as it is.",
            "Ask again for a checkout. If it comes again, report it to the gateway.",
        ),
        application.BookingExists: ProblemKind(
            "booking-exists",
            409,
            "The booking exists already",
            "A booking of this id was registered before; it stays as it is.",
            "Read it with GET /v1/bookings/{id}. If it is another one, use another id.",
        ),
        application.NotAllowed: ProblemKind(
            "not-allowed",
            403,
            "Not allowed",
            "The caller is known, and may not do this: a customer's token where a service or staff is needed, or an "
            "API key without the scope.",
            "The detail says what is needed. `sewapay keys create --scope ...` makes a key with it.",
        ),
        application.ReturnUrlRefused: ProblemKind(
            "return-url-refused",
            422,
            "Customers may not be sent to this address",
            "return_url is not a plain http(s) address, or its origin is not among SEWAPAY_RETURN_ORIGINS.",
            "Have the operator add the origin of your page to SEWAPAY_RETURN_ORIGINS.",
        ),
        application.AmountDiffers: ProblemKind(
            "amount-differs",
            422,
            "Another amount is owed",
            "expected_amount is not what the booking owes: the customer was shown another price.",
            "Show the customer the amount that is owed, or register a booking with the right one.",
        ),
        application.AmountNotTaken: ProblemKind(
            "amount-not-taken",
            422,
            "The gateway does not take this amount",
            "The booking's amount is under the gateway's least or over its greatest amount.",
            "GET /v1/gateways says what each gateway takes.",
        ),
        application.StillBeingChecked: ProblemKind(
            "still-being-checked",
            409,
            "An earlier payment is still being checked",
            "A payment of this booking may have gone through, and the gateway has not said so or denied it yet.",
            "Do not let the customer pay again. Ask in a minute, or read the payment to see what became of it.",
            retry_after=60,
        ),
        application.CheckoutInProgress: ProblemKind(
            "checkout-in-progress",
            409,
            "The checkout is being opened",
            "Another request is opening this booking's checkout right now.",
            "Send the same request again in a few seconds: it gives that checkout's link.",
            retry_after=3,
        ),
        application.NotTheReviewedVersion: ProblemKind(
            "not-the-reviewed-version",
            409,
            "The payment changed since it was reviewed",
            "The version in the request is not the payment's: the gateway answered meanwhile, or somebody decided.",
            "Read the payment again, and decide on the version that stands in this problem's member version.",
        ),
        application.RefundsNotOffered: ProblemKind(
            "refunds-not-offered",
            409,
            "This gateway gives nothing back by itself",
            "The gateway has no call for refunds, or for refunds of a part.",
            "Give the money back where the detail says, such as eSewa's merchant portal, which the next look-up "
            "notices. GET /v1/gateways says what each can do.",
        ),
        application.KeyReused: ProblemKind(
            "idempotency-key-reused",
            422,
            "The Idempotency-Key belongs to another request",
            "The same caller used this key before, for the same operation with another body.",
            "Send a new request with a new key, and the same request with the same key.",
        ),
        application.StillRunning: ProblemKind(
            "still-running",
            409,
            "The first request is not answered yet",
            "A request with the same Idempotency-Key is being worked on.",
            "Send the same request again after Retry-After: it gets the first one's answer.",
            retry_after=2,
        ),
        application.UnusableSetting: ProblemKind(
            "unusable-setting",
            500,
            "The service is set up wrongly",
            "A setting is missing or unsafe. The service says so when it starts.",
            "`sewapay check-settings` names the variable.",
        ),
        UnreadableStatement: ProblemKind(
            "unreadable-statement",
            422,
            "Not a gateway's statement",
            "`sewapay audit` was given something else than what a stand-in's ledger shows.",
            "The detail names the first line that is not one. Fetch the statement again.",
        ),
        application.StoreUnavailable: ProblemKind(
            "store-unavailable",
            503,
            "The database does not answer",
            "The database is locked, full or away. This request changed nothing, unless the connection broke in the "
            "very moment of saving.",
            "Send the request again after Retry-After. A payment made meanwhile is not lost: it is looked up later.",
            retry_after=5,
        ),
        application.GatewayNotEnabled: ProblemKind(
            "gateway-not-enabled",
            422,
            "This gateway is not enabled here",
            "The gateway is not among SEWAPAY_GATEWAYS, or the payment was opened in another environment of it.",
            "GET /v1/gateways lists the enabled ones.",
        ),
        application.GatewayNotConfigured: ProblemKind(
            "gateway-not-configured",
            503,
            "The gateway is not set up here",
            "The service runs without one of this gateway's own settings, such as its key: it cannot ask it anything.",
            "Set the gateway's own settings (its page names them) and start the service again.",
            retry_after=60,
        ),
        application.NothingSent: ProblemKind(
            "gateway-unreachable",
            503,
            "The gateway cannot be reached",
            "No connection to the gateway could be made, so nothing was sent to it.",
            "Send the request again after Retry-After: it begins anew, and nobody pays twice by that.",
            retry_after=10,
        ),
        application.KeyRefused: ProblemKind(
            "gateway-key-refused",
            502,
            "The gateway refused our key",
            "The gateway does not accept the key that this service is set up with. Nothing happened there.",
            "Check the key and that it belongs to the environment (sandbox or production) of the gateway's address.",
        ),
        application.CheckoutRefused: ProblemKind(
            "checkout-refused",
            502,
            "The gateway refused the request",
            "The gateway did not take what we sent for this booking. Nothing was opened; the payment is under review.",
            "Read the payment's reason and timeline: they hold the gateway's words. Then open a checkout again.",
        ),
        application.RefundRefused: ProblemKind(
            "refund-refused",
            502,
            "The gateway refused the refund",
            "The gateway did not give this back: it may have been given back before.",
            "Read the refund: said holds the gateway's words. A look-up tells whether it was given back before.",
        ),
        application.OutcomeUnknown: ProblemKind(
            "gateway-silent",
            504,
            "The gateway gave no usable answer",
            "The gateway was asked, and its answer was lost, late or an error of its own. Nobody has the link that it "
            "may have made, so nobody can pay it.",
            "Send the request again after Retry-After: it begins anew, and nobody pays twice by that.",
            retry_after=10,
        ),
        application.ProtocolError: ProblemKind(
            "gateway-answer-unusable",
            502,
            "The gateway's answer could not be used",
            "The gateway answered in a way that it does not document.",
            "Send the request again after Retry-After. If it comes again, look at the gateway's status page.",
            retry_after=10,
        ),
    }
)


def problem_of(error: BaseException) -> ProblemKind:
    """The row of this error, or of the nearest kind that it is one of; a bug of ours when there is none."""
    for kind in type(error).__mro__:
        if kind in PROBLEMS:
            return PROBLEMS[kind]
    return _INTERNAL
