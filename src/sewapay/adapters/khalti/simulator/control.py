"""The ledger that Khalti's stand-in shows under `/_sim/`; what every stand-in takes is in `standins/control.py`."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from sewapay.adapters.khalti.simulator.ledger import Simulator
from sewapay.adapters.khalti.simulator.payments import SimulatedPayment, Status
from sewapay.standins.clock import nepal_time
from sewapay.standins.control import Actions
from sewapay.standins.exchange import Request
from sewapay.standins.statement import Line, Reported, statement

REPORTED: Final[Mapping[Status, Reported]] = MappingProxyType(
    {
        Status.INITIATED: "initiated",
        Status.PENDING: "pending",
        Status.COMPLETED: "completed",
        Status.USER_CANCELED: "canceled",
        Status.EXPIRED: "expired",
        Status.PARTIALLY_REFUNDED: "partially_refunded",
        Status.REFUNDED: "refunded",
    }
)


def own_actions(simulator: Simulator) -> Actions:
    """The routes that only this stand-in has."""
    return {"/_sim/payments": {"GET": partial(_ledger, simulator)}}


def _ledger(simulator: Simulator, request: Request) -> object:
    """Every payment, the oldest first; `?pidx=` and `?purchase_order_id=` choose among them."""
    return statement(
        "khalti",
        (_line(simulator, payment) for payment in simulator.payments()),
        now=simulator.now(),
        query=request.query,
        counts={
            "initiates_seen": simulator.initiates_seen,
            "lookups_seen": simulator.lookups_seen,
            "refunds_seen": simulator.refunds_seen,
        },
    )


def _line(simulator: Simulator, payment: SimulatedPayment) -> Line:
    purchase, status = payment.purchase, payment.status(simulator.now())
    return Line(
        reference=payment.pidx,
        order_reference=purchase.purchase_order_id,
        amount=purchase.amount,
        status=status.value,
        reported=REPORTED[status],
        transaction_id=payment.transaction_id,
        returned=payment.refunds,
        own={
            "pidx": payment.pidx,
            "purchase_order_id": purchase.purchase_order_id,
            "purchase_order_name": purchase.purchase_order_name,
            "key_digest": payment.key_digest,
            "return_url": purchase.return_url,
            "website_url": purchase.website_url,
            "merchant_extras": dict(purchase.merchant_extras),
            "created_at": nepal_time(payment.created_at),
            "expires_at": nepal_time(payment.expires_at),
            "initiates": simulator.order_initiates(payment),
            "lookups": payment.lookups,
        },
    )
