"""`/v1/payments`: attempts to collect a booking's amount through a gateway."""

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from sewapay.adapters.web.body import ApiRequest
from sewapay.adapters.web.openapi import problems
from sewapay.adapters.web.parameters import Cursor, Limit, PaymentInPath, instant_of, page_of, payment_id_of
from sewapay.adapters.web.schemas import NewPaymentBody, PaymentAnswer, PaymentList, Timeline, TimelineEntry
from sewapay.adapters.web.use_cases import Desk
from sewapay.application.open_checkout import CheckoutRequest, OpenCheckout
from sewapay.application.queries import ListPayments, ReadPayment, ReadTimeline
from sewapay.application.storage import PaymentFilter
from sewapay.application.verify_payment import Verification, VerifyPayment
from sewapay.domain.booking import BookingStatus
from sewapay.domain.identifiers import BookingId, GatewayName
from sewapay.domain.payment import PaymentStatus

__all__ = ["list_payments", "open_payment", "read_payment", "read_timeline", "verify_payment"]

OfBooking = Annotated[int | None, QueryParameter(ge=1, le=2**53, description="Only this booking's payments.")]
InStatus = Annotated[PaymentStatus | None, QueryParameter(description="Only payments in this status.")]
OfGateway = Annotated[
    str | None, QueryParameter(min_length=1, max_length=32, description="Only payments through this gateway.")
]
Instant = Annotated[
    str | None,
    QueryParameter(
        min_length=1, max_length=40, description="Created from (included) or until (not included); with an offset."
    ),
]
NeedsAttention = Annotated[
    bool | None, QueryParameter(description="Under review, surplus or with an unknown outcome; or none of these.")
]


@post(
    "/payments",
    summary="Open a checkout",
    tags=["payments"],
    responses=problems(401, 403, 404, 409, 413, 415, 422, 502, 503, 504),
)
async def open_payment(
    request: ApiRequest, data: JSONBody[NewPaymentBody], open_checkout: NamedDependency[Desk[OpenCheckout]]
) -> Response[PaymentAnswer]:
    """Open a gateway's page for a booking. 201 for a new payment, 200 for the one that is open already.

    Send the customer on as `next_step` says. Afterwards the customer comes back to `return_url` with a `payment_id` in
    its query (without a return_url: to a page of ours). Asking again gives the same link while it lives.
    """
    opened = await open_checkout.use_case(
        CheckoutRequest(
            by=request.user,
            booking_id=BookingId(data.booking_id),
            gateway=GatewayName(data.gateway),
            return_url=data.return_url,
        )
    )
    answer = PaymentAnswer.of(opened.payment, open_checkout.now(), BookingStatus.PENDING)  # no other is opened
    headers = {"Location": f"/v1/payments/{opened.payment.id}"}
    return Response(answer, status_code=201 if opened.is_new else 200, headers=headers)


@get("/payments", summary="List payments", tags=["payments"], responses=problems(401, 403, 422, 503))
async def list_payments(
    request: ApiRequest,
    list_payments: NamedDependency[Desk[ListPayments]],
    booking_id: OfBooking = None,
    status: InStatus = None,
    gateway: OfGateway = None,
    created_from: Instant = None,
    created_to: Instant = None,
    needs_attention: NeedsAttention = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> PaymentList:
    """Payments, newest first: a customer's own, everyone's for staff and services. `next_step` is not in lists."""
    wanted = PaymentFilter(
        booking_id=None if booking_id is None else BookingId(booking_id),
        status=status,
        gateway=None if gateway is None else GatewayName(gateway),
        created_from=instant_of("created_from", created_from),
        created_to=instant_of("created_to", created_to),
        needs_attention=needs_attention,
    )
    found, next_cursor = await list_payments.use_case(wanted, page_of(cursor, limit), request.user)
    now = list_payments.now()
    return PaymentList([PaymentAnswer.of(payment, now, None) for payment in found], next_cursor)


@get(
    "/payments/{payment_id:str}",
    summary="Read a payment",
    tags=["payments"],
    responses=problems(401, 403, 404, 422, 503),
)
async def read_payment(
    request: ApiRequest, payment_id: PaymentInPath, read_payment: NamedDependency[Desk[ReadPayment]]
) -> PaymentAnswer:
    """A payment as it is stored; no gateway is asked."""
    found = await read_payment.use_case(payment_id_of(payment_id), request.user)
    return PaymentAnswer.of(found.payment, read_payment.now(), found.booking.status)


@get(
    "/payments/{payment_id:str}/timeline",
    summary="A payment's story",
    tags=["payments"],
    responses=problems(401, 403, 404, 422, 503),
)
async def read_timeline(
    request: ApiRequest, payment_id: PaymentInPath, read_timeline: NamedDependency[Desk[ReadTimeline]]
) -> Timeline:
    """What happened to a payment, oldest first: what we did, what the gateway said, who decided."""
    items = await read_timeline.use_case(payment_id_of(payment_id), request.user)
    return Timeline([TimelineEntry.of(item) for item in items])


@post(
    "/payments/{payment_id:str}/verification",
    status_code=200,
    summary="Ask the gateway now",
    tags=["payments"],
    responses=problems(401, 403, 404, 422, 503),
)
async def verify_payment(
    request: ApiRequest, payment_id: PaymentInPath, verify_payment: NamedDependency[Desk[VerifyPayment]]
) -> PaymentAnswer:
    """Ask the gateway what became of a payment and record its answer, also when the payment is settled already.

    A gateway that does not answer is no error: the payment comes back with `outcome_unknown`.
    """
    verification = Verification(by=request.user, payment=payment_id_of(payment_id), even_if_settled=True)
    verified = await verify_payment.use_case(verification)
    return PaymentAnswer.of(verified.payment, verify_payment.now(), verified.booking.status)
