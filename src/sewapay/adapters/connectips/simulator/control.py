"""connectIPS's own control routes under `/_sim/`, beside those that every stand-in has (`sewapay.standins.control`).

`enter` does what the payer's browser does with the shop's form, `login` what the payer does then, and `fail` what the
payer's bank may do.
"""

from collections.abc import Mapping

from sewapay.adapters.connectips.simulator.ledger import Simulator
from sewapay.adapters.connectips.simulator.payment import TOLD, SimulatedPayment
from sewapay.adapters.connectips.simulator.validation import Wrong
from sewapay.standins.clock import nepal_time
from sewapay.standins.control import Actions, fields_of, happening
from sewapay.standins.exchange import Request
from sewapay.standins.refusals import NotPossible, Refused


def own_actions(simulator: Simulator) -> Actions:
    """What only this stand-in takes."""
    return {
        "/_sim/enter": {"POST": lambda request: _enter(simulator, request)},
        "/_sim/login": {"POST": happening(simulator, simulator.log_in)},
        "/_sim/fail": {"POST": happening(simulator, simulator.fail)},
        "/_sim/payments": {"GET": lambda request: _ledger(simulator, request)},
    }


def _enter(simulator: Simulator, request: Request) -> object:
    """The form's fields as a JSON object of texts, taken or refused as the posted form would be."""
    fields = {name: value for name, value in fields_of(request).items() if isinstance(value, str)}
    simulator.seen["form"] += 1
    try:
        payment = simulator.post(fields)
    except Wrong as wrong:
        kind = NotPossible if wrong.code == "txnid-used" else Refused
        raise kind(str(wrong)) from wrong
    left = simulator.left(payment.txn_id)
    return {"status": left.status, "return_url": left.return_url}


def _ledger(simulator: Simulator, request: Request) -> object:
    """Every payment, the oldest first; `?TXNID=` chooses one."""
    wanted = request.query.get("TXNID")
    return {
        "now": nepal_time(simulator.now()),
        "posts_seen": simulator.seen["form"],
        "lookups_seen": simulator.seen["validatetxn"],
        "details_seen": simulator.seen["gettxndetail"],
        "payments": [_row(simulator, payment) for payment in simulator.payments() if wanted in (None, payment.txn_id)],
    }


def _row(simulator: Simulator, payment: SimulatedPayment) -> Mapping[str, object]:
    """One payment; amounts in paisa. `status` and `status_desc` are connectIPS's words, `step` how far it is."""
    step = payment.step(simulator.now())
    return {
        "TXNID": payment.txn_id,
        "amount": payment.form.amount,
        "status": TOLD[step].status,
        "status_desc": TOLD[step].value,
        "step": step.value,
        "txn_id": payment.number,
        "refunded_amount": payment.refunded_amount,
        "refunds": [{"amount": refund.amount, "at": nepal_time(refund.at)} for refund in payment.refunds],
        "form": payment.form.posted,
        "entered_at": nepal_time(payment.entered_at),
        "dies_at": nepal_time(payment.dies_at) if payment.dies_at else None,
        "posts": payment.posts,
        "lookups": payment.lookups,
    }
