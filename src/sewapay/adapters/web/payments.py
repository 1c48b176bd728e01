"""`/v1/payments`: attempts to collect a booking's amount through a gateway."""

from typing import Annotated

from attrs import evolve
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from sewapay.adapters.web.bodies import NewPaymentBody, ResolutionBody
from sewapay.adapters.web.body import ApiRequest
from sewapay.adapters.web.errors import InvalidFields
from sewapay.adapters.web.idempotent import IdempotencyKey, answered, told
from sewapay.adapters.web.openapi import problems
from sewapay.adapters.web.parameters import Cursor, Limit, PaymentInPath, instant_of, page_of, payment_id_of
from sewapay.adapters.web.schemas import PaymentAnswer, PaymentList, Timeline, TimelineEntry
from sewapay.adapters.web.use_cases import Desk
from sewapay.application.idempotency import Answer
from sewapay.application.open_checkout import CheckoutRequest, OpenCheckout, OpenedCheckout
from sewapay.application.queries import ListPayments, ReadPayment, ReadTimeline
from sewapay.application.recording import Verified
from sewapay.application.resolve_payment import Resolution, ResolvePayment
from sewapay.application.storage import PaymentFilter
from sewapay.application.verify_payment import Verification, VerifyPayment
from sewapay.domain.booking import BookingStatus
from sewapay.domain.identifiers import BookingId, GatewayName
from sewapay.domain.payment import PaymentStatus

__all__ = ["list_payments", "open_payment", "read_payment", "read_timeline", "resolve_payment", "verify_payment"]

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
    request: ApiRequest,
    data: JSONBody[NewPaymentBody],
    open_checkout: NamedDependency[Desk[OpenCheckout]],
    idempotency_key: IdempotencyKey = None,
) -> Response[PaymentAnswer]:
    """Open a gateway's page for a booking. 201 for a new payment, 200 for the one that is open already.

    Send the customer on as `next_step` says. Afterwards the customer comes back to `return_url` with a `payment_id` in
    its query (without a return_url: to a page of ours). Asking again gives the same link while it lives.
    """
    wanted = CheckoutRequest(
        by=request.user,
        booking_id=BookingId(data.booking_id),
        gateway=GatewayName(data.gateway),
        return_url=data.return_url,
    )
    open_it, now = open_checkout.use_case, open_checkout.now

    def render(opened: OpenedCheckout) -> Answer:
        shown = PaymentAnswer.of(opened.payment, now(), BookingStatus.PENDING)  # no other is opened
        return told(shown, status=201 if opened.is_new else 200, location=f"/v1/payments/{opened.payment.id}")

    return await answered(request, idempotency_key, render, lambda once: open_it(evolve(wanted, once=once)))


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
    """A payment. While nothing is decided the gateway is asked first, once for all who read, and for a few seconds.

    A payment that is settled, or that was looked up a moment ago, is told as it is stored.
    """
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


@post(
    "/payments/{payment_id:str}/resolution",
    status_code=200,
    summary="Decide about a payment",
    tags=["payments"],
    responses=problems(401, 403, 404, 409, 413, 415, 422, 503),
)
async def resolve_payment(
    request: ApiRequest,
    payment_id: PaymentInPath,
    data: JSONBody[ResolutionBody],
    resolve_payment: NamedDependency[Desk[ResolvePayment]],
    idempotency_key: IdempotencyKey = None,
) -> Response[PaymentAnswer]:
    """Settle a payment that waits for a person. Who decided, what and why becomes part of its timeline.

    `version` is the one that was reviewed: a payment that changed since is refused with 409, and the problem carries
    the `version` to review now. `honour` counts the money for its booking, `refund` gives back what is left, `hold`
    asks the gateway again, `close` ends it; `refund_happened` and `refund_did_not_happen` settle a refund that went
    unanswered.
    """
    if not data.reason.isprintable() or not data.reason.strip():
        raise InvalidFields("reason: 1 to 500 printable characters that say why")
    decided = Resolution(
        by=request.user,
        payment_id=payment_id_of(payment_id),
        decision=data.decision,
        reason=data.reason,
        version=data.version,
    )
    resolve, now = resolve_payment.use_case, resolve_payment.now

    def render(found: Verified) -> Answer:
        return told(PaymentAnswer.of(found.payment, now(), found.booking.status))

    return await answered(request, idempotency_key, render, lambda once: resolve(evolve(decided, once=once)))
