"""`/v1/payments/{id}/refunds` and `/v1/refunds`: giving money back."""

from attrs import evolve
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from sewapay.adapters.web.bodies import NewRefundBody
from sewapay.adapters.web.body import ApiRequest
from sewapay.adapters.web.idempotent import IdempotencyKey, answered, told
from sewapay.adapters.web.openapi import problems
from sewapay.adapters.web.parameters import PaymentInPath, RefundInPath, payment_id_of, refund_id_of
from sewapay.adapters.web.schemas import RefundAnswer, RefundList
from sewapay.adapters.web.use_cases import Desk
from sewapay.application.idempotency import Answer
from sewapay.application.queries import ReadRefund, ReadRefunds
from sewapay.application.refund_payment import RefundPayment, RefundRequest
from sewapay.domain.money import Money
from sewapay.domain.refund import Refund

__all__ = ["read_refund", "read_refunds", "refund_payment"]


@post(
    "/payments/{payment_id:str}/refunds",
    summary="Give money back",
    tags=["refunds"],
    responses=problems(401, 403, 404, 409, 413, 415, 422, 503),
)
async def refund_payment(
    request: ApiRequest,
    payment_id: PaymentInPath,
    data: JSONBody[NewRefundBody],
    refund_payment: NamedDependency[Desk[RefundPayment]],
    idempotency_key: IdempotencyKey = None,
) -> Response[RefundAnswer]:
    """Give a payment's money back: `amount` of it, or without one all that is left.

    A refund whose outcome is `unknown` was sent, and nobody answered. **Do not repeat it**: its amount stays reserved,
    the gateway is looked up until it says what happened, and `GET /v1/refunds/{id}` tells. `submitted` was taken by the
    gateway, and waits until a look-up shows it; `rejected` gave nothing back, and `said` tells why.
    """
    wanted = RefundRequest(
        by=request.user,
        payment_id=payment_id_of(payment_id),
        amount=None if data.amount is None else Money(data.amount),
        reason=data.reason,
    )
    refund = refund_payment.use_case
    return await answered(request, idempotency_key, _created, lambda once: refund(evolve(wanted, once=once)))


@get(
    "/payments/{payment_id:str}/refunds",
    summary="A payment's refunds",
    tags=["refunds"],
    responses=problems(401, 403, 404, 422, 503),
)
async def read_refunds(
    request: ApiRequest, payment_id: PaymentInPath, read_refunds: NamedDependency[Desk[ReadRefunds]]
) -> RefundList:
    """Everything that was asked to be given back of a payment, oldest first, also what was rejected."""
    found = await read_refunds.use_case(payment_id_of(payment_id), request.user)
    return RefundList([RefundAnswer.of(refund) for refund in found])


@get("/refunds/{refund_id:str}", summary="Read a refund", tags=["refunds"], responses=problems(401, 403, 404, 422, 503))
async def read_refund(
    request: ApiRequest, refund_id: RefundInPath, read_refund: NamedDependency[Desk[ReadRefund]]
) -> RefundAnswer:
    """A refund as it stands. A customer sees those of their own payments."""
    return RefundAnswer.of(await read_refund.use_case(refund_id_of(refund_id), request.user))


def _created(refund: Refund) -> Answer:
    return told(RefundAnswer.of(refund), status=201, location=f"/v1/refunds/{refund.id}")
