"""connectIPS's own control routes under `/_sim/`, beside those that every stand-in has (`sewapay.standins.control`).

`enter` does what the payer's browser does with the shop's form, `login` what the payer does then, and `fail` what the
payer's bank may do.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sewapay.adapters.connectips.simulator.ledger import Simulator
from sewapay.adapters.connectips.simulator.payment import SimulatedPayment, Told
from sewapay.standins.clock import nepal_time
from sewapay.standins.control import Actions, entering, happening
from sewapay.standins.exchange import Request
from sewapay.standins.statement import Line, Reported, statement

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
        "/_sim/enter": {"POST": entering(simulator, lambda fields: simulator.post(fields).txn_id)},
        "/_sim/login": {"POST": happening(simulator, simulator.log_in)},
        "/_sim/fail": {"POST": happening(simulator, simulator.fail)},
        "/_sim/payments": {"GET": lambda request: _ledger(simulator, request)},
    }


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
    now = simulator.now()
    status = payment.status(now)
    return Line(
        reference=payment.txn_id,
        order_reference=payment.txn_id,
        amount=payment.form.amount,
        status=status.value,
        reported=REPORTED[status],
        transaction_id=None if payment.number is None else str(payment.number),
        returned=payment.refunds,
        own={
            "TXNID": payment.txn_id,
            "step": payment.step(now).value,
            "form": payment.form.posted,
            "entered_at": nepal_time(payment.entered_at),
            "dies_at": nepal_time(payment.dies_at) if payment.dies_at else None,
            "posts": payment.posts,
            "lookups": payment.lookups,
        },
    )
