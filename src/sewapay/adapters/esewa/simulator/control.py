"""eSewa's own control routes under `/_sim/`, beside those that every stand-in has (`sewapay.standins.control`).

`enter` does what the payer's browser does with the shop's form, `login` and `ambiguous` what the payer does then.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sewapay.adapters.esewa.simulator.ledger import Simulator
from sewapay.adapters.esewa.simulator.payment import SimulatedPayment, Status
from sewapay.standins.clock import nepal_time
from sewapay.standins.control import Actions, entering, happening
from sewapay.standins.exchange import Request
from sewapay.standins.statement import Line, Reported, statement

REPORTED: Final[Mapping[Status, Reported]] = MappingProxyType(
    {
        Status.NOT_FOUND: "absent",
        Status.PENDING: "pending",
        Status.COMPLETE: "completed",
        Status.AMBIGUOUS: "ambiguous",
        Status.CANCELED: "canceled",
        Status.PARTIAL_REFUND: "partially_refunded",
        Status.FULL_REFUND: "refunded",
    }
)


def own_actions(simulator: Simulator) -> Actions:
    """What only this stand-in takes."""
    return {
        "/_sim/enter": {"POST": entering(simulator, lambda fields: simulator.post(fields).transaction_uuid)},
        "/_sim/login": {"POST": happening(simulator, simulator.log_in)},
        "/_sim/ambiguous": {"POST": happening(simulator, simulator.leave_ambiguous)},
        "/_sim/payments": {"GET": lambda request: _ledger(simulator, request)},
    }


def _ledger(simulator: Simulator, request: Request) -> object:
    """Every payment, the oldest first; `?transaction_uuid=` chooses one."""
    return statement(
        "esewa",
        (_line(simulator, payment) for payment in simulator.payments()),
        now=simulator.now(),
        query=request.query,
        counts={"posts_seen": simulator.seen["form"], "lookups_seen": simulator.seen["status"]},
    )


def _line(simulator: Simulator, payment: SimulatedPayment) -> Line:
    """One payment. `status` is what a look-up says when it does not lag, `step` how far the payment is."""
    now = simulator.now()
    status = payment.status(now)
    return Line(
        reference=payment.transaction_uuid,
        order_reference=payment.transaction_uuid,
        amount=payment.form.total,
        status=status.value,
        reported=REPORTED[status],
        transaction_id=payment.transaction_code,
        returned=payment.refunds,
        own={
            "transaction_uuid": payment.transaction_uuid,
            "product_code": payment.form.product_code,
            "step": payment.step(now).value,
            "transaction_code": payment.transaction_code,
            "success_url": payment.form.success_url,
            "failure_url": payment.form.failure_url,
            "form": payment.form.posted,
            "posted_at": nepal_time(payment.posted_at),
            "dies_at": nepal_time(payment.dies_at) if payment.dies_at else None,
            "posts": payment.posts,
            "lookups": payment.lookups,
        },
    )
