"""The two URLs of SewaBazaar's Khalti guide, in its envelopes. The same use cases as `/v1`, nothing of their own.

What its front end does decides the shape (it was read and run): it shows the reason of a `success: false` with status
200, hides the reason of every 4xx, replaces the page on a 5xx, and says "Payment Failed" for everything that is not a
success. So the sentence for an undecided payment must say that we are still checking.
"""

import asyncio
import math
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import structlog
from attrs import evolve
from litestar import Response, Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.types import BeforeRequestHookHandler

from sewapay.adapters.web.bodies import CallbackBody, InitiationBody
from sewapay.adapters.web.body import ApiRequest
from sewapay.adapters.web.errors import InvalidFields
from sewapay.adapters.web.idempotent import IdempotencyKey, answered, told
from sewapay.adapters.web.openapi import SIGNED_IN, guide_errors
from sewapay.adapters.web.schemas import CallbackFailure, CallbackSuccess, Initiation, InitiationAnswer
from sewapay.adapters.web.use_cases import Desk
from sewapay.application.errors import AmountDiffers, GatewayNotEnabled, PaymentNotFound, ProtocolError
from sewapay.application.idempotency import Answer
from sewapay.application.open_checkout import CheckoutRequest, OpenCheckout, OpenedCheckout
from sewapay.application.recording import Verified
from sewapay.application.verify_payment import GatewayReference, Verification, VerifyPayment
from sewapay.domain.checkout import Redirect
from sewapay.domain.errors import InvalidMoney
from sewapay.domain.identifiers import BookingId, GatewayName
from sewapay.domain.money import GREATEST_PAISA, Money
from sewapay.domain.payment import Payment, PaymentStatus, ReturnStyle

__all__ = ["IN_KHALTIS_WORDS", "guide_routes", "told_in_khaltis_words"]

KHALTI: Final = GatewayName("khalti")
PATIENCE_SECONDS: Final = 13
_LOG: Any = structlog.get_logger("sewapay.web")

# The front end counts `Completed` only, and calls all others a failure (Khalti's documentation, look-up statuses). So
# there is no word here for money that came and went back: those who ask about it stay on our page.
IN_KHALTIS_WORDS: Final[Mapping[PaymentStatus, str]] = MappingProxyType(
    {
        PaymentStatus.COMPLETED: "Completed",
        PaymentStatus.CANCELED: "User canceled",
        PaymentStatus.EXPIRED: "Expired",
        PaymentStatus.FAILED: "Failed",
    }
)

_STILL_CHECKING: Final = "We are still checking this payment with Khalti. Please do not pay again; look again soon."
_SENTENCES: Final[Mapping[PaymentStatus, str]] = MappingProxyType(
    {
        PaymentStatus.CREATED: _STILL_CHECKING,
        PaymentStatus.OPEN: "Khalti has not reported this payment as paid yet. If you paid, we are still checking.",
        PaymentStatus.PENDING: _STILL_CHECKING,
        PaymentStatus.CANCELED: "The payment was canceled at Khalti. Nothing was paid; you can try again.",
        PaymentStatus.EXPIRED: "The payment link expired before it was paid. Nothing was paid; you can try again.",
        PaymentStatus.FAILED: "The payment did not go through at Khalti. Nothing was paid; you can try again.",
        PaymentStatus.UNDER_REVIEW: "A person is looking at this payment. Please do not pay again; you will hear more.",
        PaymentStatus.REFUNDED: "This payment has been given back to you.",
    }
)
_PAID: Final = "Payment completed successfully"
_PAID_TWICE: Final = "Payment received. The booking was paid already: we will look into this second payment."
_NOT_OF_THIS_BOOKING: Final = "This payment does not belong to this booking."
_KHALTI_IS_OFF: Final = "Payments with Khalti are not available here right now. Please ask the shop."


@post(
    "/initiate_khalti_payment",
    status_code=200,
    summary="Open Khalti's page for a booking",
    responses=guide_errors(401, 403, 404, 409, 413, 415, 429, 503),
)
async def initiate_khalti_payment(
    request: ApiRequest,
    data: JSONBody[InitiationBody],
    open_checkout: NamedDependency[Desk[OpenCheckout]],
    idempotency_key: IdempotencyKey = None,
) -> Response[InitiationAnswer]:
    """Open Khalti's page for a booking of the signed-in customer, or hand out the link that is open already.

    `expected_amount` (rupees) is compared with what is owed; `voucher_code` and unknown fields are ignored.
    """
    _require_address("website_url", data.website_url)
    _note_voucher(data.voucher_code, data.booking_id)
    wanted = CheckoutRequest(
        by=request.user,
        booking_id=BookingId(data.booking_id),
        gateway=KHALTI,
        return_url=data.return_url,
        return_style=ReturnStyle.KHALTI_WORDS,
        expected_amount=None if data.expected_amount is None else _in_paisa(data.expected_amount),
    )
    open_it = open_checkout.use_case

    def render(opened: OpenedCheckout) -> Answer:
        return told(InitiationAnswer(success=True, data=_initiation(opened.payment, open_checkout)))

    return await answered(request, idempotency_key, render, lambda once: open_it(evolve(wanted, once=once)))


@post(
    "/process_khalti_callback",
    status_code=200,
    summary="Ask Khalti whether a booking is paid",
    responses=guide_errors(401, 403, 404, 413, 415, 429, 503),
)
async def process_khalti_callback(
    request: ApiRequest, data: JSONBody[CallbackBody], verify_payment: NamedDependency[Desk[VerifyPayment]]
) -> CallbackSuccess | CallbackFailure:
    """Ask Khalti what became of the payment; its answer decides, and repeating the call gives the same answer.

    Of the body only `pidx` and `booking_id` count. `transaction_id`, `purchase_order_id` and `expected_amount` came
    through a browser: they are compared and logged. `success` is false while nothing is decided, with a sentence that
    says so.
    """
    _note_voucher(data.voucher_code, data.booking_id)
    verification = Verification(
        by=request.user, payment=GatewayReference(KHALTI, data.pidx), booking_id=BookingId(data.booking_id)
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            verified = await verify_payment.use_case(verification)
    except PaymentNotFound:
        return CallbackFailure(success=False, error=_NOT_OF_THIS_BOOKING, status=None)
    except GatewayNotEnabled:
        return CallbackFailure(success=False, error=_KHALTI_IS_OFF, status=None)
    except TimeoutError:
        return CallbackFailure(success=False, error=_STILL_CHECKING, status=None)
    _note_differences(data, verified.payment)
    return _outcome(verified)


def guide_routes(signed_in: BeforeRequestHookHandler) -> Router:
    """Both, with and without a slash at their end."""
    return Router(
        "/api/bookings/payments",
        route_handlers=[initiate_khalti_payment, process_khalti_callback],
        before_request=signed_in,
        security=SIGNED_IN,
        tags=["guide"],
    )


def told_in_khaltis_words(payment: Payment) -> str:
    """The query that SewaBazaar's callback page reads, from what we know and not from what the browser brought."""
    return urlencode(
        {
            "pidx": payment.gateway_reference or "",
            "status": IN_KHALTIS_WORDS[payment.status],
            "transaction_id": payment.transaction_id or "",
            "purchase_order_id": payment.order_reference,
            "amount": str(payment.amount.paisa),
        }
    )


def _initiation(payment: Payment, desk: Desk[OpenCheckout]) -> Initiation:
    if not isinstance(payment.next_step, Redirect) or payment.gateway_reference is None:
        raise ProtocolError("Khalti gave no link that a browser can be sent to")
    left = 0.0 if payment.expires_at is None else (payment.expires_at - desk.now()).total_seconds()
    return Initiation(
        pidx=payment.gateway_reference,
        payment_url=payment.next_step.url,
        expires_at=payment.expires_at,
        expires_in=max(0, math.ceil(left)),
    )


def _outcome(verified: Verified) -> CallbackSuccess | CallbackFailure:
    payment, booking = verified.payment, verified.booking
    has_arrived = booking.settled_by == payment.id or payment.surplus
    if has_arrived and payment.status is not PaymentStatus.REFUNDED:
        return CallbackSuccess(
            success=True,
            payment_id=payment.id,
            transaction_id=payment.order_reference,
            khalti_transaction_id=payment.transaction_id,
            booking_status=booking.status,
            message=_PAID_TWICE if payment.surplus else _PAID,
        )
    said = _STILL_CHECKING if payment.outcome_unknown else _SENTENCES.get(payment.status, _STILL_CHECKING)
    return CallbackFailure(success=False, error=said, status=payment.status)


def _in_paisa(rupees: int | float | str) -> Money:
    """What the customer was shown, to the paisa. The noise of a binary number (1129.9900000000002) is no difference.

    Raises `InvalidMoney` for text that is not plain rupees, `AmountDiffers` for what no booking can owe.
    """
    if isinstance(rupees, str):
        return Money.from_rupees(rupees)
    if 0 <= rupees <= GREATEST_PAISA // 100:
        paisa = Decimal(str(rupees)) * 100
        nearest = paisa.to_integral_value()
        if abs(paisa - nearest) < Decimal("0.0001"):
            return Money(int(nearest))
    raise AmountDiffers("Amount mismatch: expected_amount is not what this booking owes")


def _require_address(name: str, text: str) -> None:
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address:
        raise InvalidFields(f"{name}: expected an http(s) address")


def _note_voucher(voucher: object, booking_id: int) -> None:
    if voucher is not None:
        _LOG.info("voucher ignored: the registered amount is what is owed", booking_id=booking_id)


def _note_differences(claimed: CallbackBody, payment: Payment) -> None:
    """Log which of the browser's claims differ from what we know; never what they were."""
    differs = []
    if claimed.transaction_id is not None and claimed.transaction_id != payment.transaction_id:
        differs.append("transaction_id")
    if claimed.purchase_order_id not in (None, payment.order_reference) and not _made_by_the_front_end(claimed):
        differs.append("purchase_order_id")
    if claimed.expected_amount is not None and not _is_owed(claimed.expected_amount, payment):
        differs.append("expected_amount")
    if differs:
        _LOG.info("callback differs from the look-up", payment_id=payment.id, differs=differs)


def _made_by_the_front_end(claimed: CallbackBody) -> bool:
    """SewaBazaar's page invents `booking_<id>_<milliseconds>` for each call, so that it differs says nothing."""
    invented = claimed.purchase_order_id
    return isinstance(invented, str) and invented.startswith(f"booking_{claimed.booking_id}_")


def _is_owed(expected: object, payment: Payment) -> bool:
    if isinstance(expected, bool) or not isinstance(expected, (int, float, str)):
        return False
    try:
        return _in_paisa(expected) == payment.amount
    except (InvalidMoney, AmountDiffers):
        return False
