"""connectIPS's own control routes under `/_sim/`, beside those that every stand-in has (`sewapay.standins.control`).

`enter` does what the payer's browser does with the shop's form, `login` what the payer does then, and `fail` what the
payer's bank may do.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sewapay.adapters.connectips.simulator.ledger import Simulator
from sewapay.adapters.connectips.simulator.payment import TOLD, SimulatedPayment, Told
from sewapay.adapters.connectips.simulator.validation import Wrong
from sewapay.standins.clock import nepal_time
from sewapay.standins.control import Actions, fields_of, happening
from sewapay.standins.exchange import Request
from sewapay.standins.refusals import NotPossible, Refused
from sewapay.standins.statement import Line, Reported, Returned, statement

REPORTED: Final[Mapping[Told, Reported]] = MappingProxyType(
    {
        Told.SUCCESSFUL: "completed",
        Told.UNSUCCESSFUL: "failed",
        Told.INCOMPLETE: "absent",
        Told.NOT_FOUND: "absent",
    }
)


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
    return statement(
        "connectips",
        (_line(simulator, payment) for payment in simulator.payments()),
        now=simulator.now(),
        query=request.query,
        counts={
            "posts_seen": simulator.seen["form"],
            "lookups_seen": simulator.seen["validatetxn"],
            "details_seen": simulator.seen["gettxndetail"],
        },
    )


def _line(simulator: Simulator, payment: SimulatedPayment) -> Line:
    """One payment. `status` is what a look-up says when it does not lag, `step` how far the payment is.

    That money went back stands in `refunds` alone, since no look-up tells of it.
    """
    step = payment.step(simulator.now())
    return Line(
        reference=payment.txn_id,
        order_reference=payment.txn_id,
        amount=payment.form.amount,
        status=TOLD[step].value,
        reported=REPORTED[TOLD[step]],
        transaction_id=None if payment.number is None else str(payment.number),
        returned=tuple(Returned(amount=refund.amount, at=refund.at, by="panel") for refund in payment.refunds),
        own={
            "TXNID": payment.txn_id,
            "step": step.value,
            "form": payment.form.posted,
            "entered_at": nepal_time(payment.entered_at),
            "dies_at": nepal_time(payment.dies_at) if payment.dies_at else None,
            "posts": payment.posts,
            "lookups": payment.lookups,
        },
    )
