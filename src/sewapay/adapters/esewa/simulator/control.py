"""eSewa's own control routes under `/_sim/`, beside those that every stand-in has (`sewapay.standins.control`).

`enter` does what the payer's browser does with the shop's form, `login` and `ambiguous` what the payer does then.
"""

from collections.abc import Mapping

from sewapay.adapters.esewa.simulator.ledger import Simulator
from sewapay.adapters.esewa.simulator.payment import SimulatedPayment
from sewapay.adapters.esewa.simulator.validation import Wrong
from sewapay.standins.clock import nepal_time
from sewapay.standins.control import Actions, fields_of, happening
from sewapay.standins.exchange import Request
from sewapay.standins.refusals import NotPossible, Refused


def own_actions(simulator: Simulator) -> Actions:
    """What only this stand-in takes."""
    return {
        "/_sim/enter": {"POST": lambda request: _enter(simulator, request)},
        "/_sim/login": {"POST": happening(simulator, simulator.log_in)},
        "/_sim/ambiguous": {"POST": happening(simulator, simulator.leave_ambiguous)},
        "/_sim/payments": {"GET": lambda request: _ledger(simulator, request)},
    }


def _enter(simulator: Simulator, request: Request) -> object:
    """The form's fields as a JSON object of texts, taken or refused as the posted form would be."""
    fields = {name: value for name, value in fields_of(request).items() if isinstance(value, str)}
    simulator.seen["form"] += 1
    try:
        payment = simulator.post(fields)
    except Wrong as wrong:
        kind = NotPossible if wrong.code == "transaction-uuid-used" else Refused
        raise kind(str(wrong)) from wrong
    left = simulator.left(payment.transaction_uuid)
    return {"status": left.status, "return_url": left.return_url}


def _ledger(simulator: Simulator, request: Request) -> object:
    """Every payment, the oldest first; `?transaction_uuid=` chooses one."""
    wanted = request.query.get("transaction_uuid")
    return {
        "now": nepal_time(simulator.now()),
        "posts_seen": simulator.seen["form"],
        "lookups_seen": simulator.seen["status"],
        "payments": [
            _row(simulator, payment) for payment in simulator.payments() if wanted in (None, payment.transaction_uuid)
        ],
    }


def _row(simulator: Simulator, payment: SimulatedPayment) -> Mapping[str, object]:
    """One payment; amounts in paisa. `status` is eSewa's word for it, `step` how far it is."""
    now = simulator.now()
    return {
        "transaction_uuid": payment.transaction_uuid,
        "product_code": payment.form.product_code,
        "amount": payment.form.total,
        "status": payment.status(now).value,
        "step": payment.step(now).value,
        "transaction_code": payment.transaction_code,
        "refunded_amount": payment.refunded_amount,
        "refunds": [{"amount": refund.amount, "at": nepal_time(refund.at)} for refund in payment.refunds],
        "success_url": payment.form.success_url,
        "failure_url": payment.form.failure_url,
        "form": payment.form.posted,
        "posted_at": nepal_time(payment.posted_at),
        "dies_at": nepal_time(payment.dies_at) if payment.dies_at else None,
        "posts": payment.posts,
        "lookups": payment.lookups,
    }
