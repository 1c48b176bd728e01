"""The ledger that Khalti's stand-in shows under `/_sim/`; what every stand-in takes is in `standins/control.py`."""

from functools import partial

from sewapay.adapters.khalti.simulator.ledger import Simulator
from sewapay.adapters.khalti.simulator.payments import SimulatedPayment
from sewapay.standins.clock import nepal_time
from sewapay.standins.control import Actions
from sewapay.standins.exchange import Request


def own_actions(simulator: Simulator) -> Actions:
    """The routes that only this stand-in has."""
    return {"/_sim/payments": {"GET": partial(_ledger, simulator)}}


def _ledger(simulator: Simulator, request: Request) -> object:
    """Every payment, the oldest first; `?pidx=` and `?purchase_order_id=` choose among them."""
    wanted = {name: request.query[name] for name in ("pidx", "purchase_order_id") if name in request.query}
    rows = [_row(simulator, payment) for payment in simulator.payments()]
    return {
        "now": nepal_time(simulator.now()),
        "initiates_seen": simulator.initiates_seen,
        "lookups_seen": simulator.lookups_seen,
        "refunds_seen": simulator.refunds_seen,
        "payments": [row for row in rows if all(row[name] == value for name, value in wanted.items())],
    }


def _row(simulator: Simulator, payment: SimulatedPayment) -> dict[str, object]:
    purchase = payment.purchase
    return {
        "pidx": payment.pidx,
        "purchase_order_id": purchase.purchase_order_id,
        "purchase_order_name": purchase.purchase_order_name,
        "amount": purchase.amount,
        "status": payment.status(simulator.now()).value,
        "transaction_id": payment.transaction_id,
        "refunded_amount": payment.refunded_amount,
        "refunds": [
            {"amount": refund.amount, "at": nepal_time(refund.at), "by": refund.by} for refund in payment.refunds
        ],
        "key_digest": payment.key_digest,
        "return_url": purchase.return_url,
        "website_url": purchase.website_url,
        "merchant_extras": dict(purchase.merchant_extras),
        "created_at": nepal_time(payment.created_at),
        "expires_at": nepal_time(payment.expires_at),
        "initiates": simulator.order_initiates(payment),
        "lookups": payment.lookups,
    }
