"""Gateways that are sent a form by the customer's browser, beside Khalti: each one with a ledger of its own.

Nothing is asked when a form is made, and a form that nobody posted yet is absent there. What goes wrong is armed for
the next look-ups, one each, as at Khalti's stand-in.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from attrs import define, evolve, field

from sewapay.application.errors import GatewayError, KeyRefused, NothingSent, OutcomeUnknown, ProtocolError
from sewapay.application.ports import (
    Authenticity,
    Capabilities,
    Order,
    Payer,
    ReturnHint,
    ReturnMessage,
    Urls,
)
from sewapay.domain.checkout import Checkout, PostForm
from sewapay.domain.identifiers import Environment, GatewayName
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from tests.backend.system.promises import AtGateway
from tests.backend.system.simulation.gateway import CAN
from tests.backend.system.simulation.till import Till

__all__ = ["FAULTS", "LIES", "FormGateway"]

SILENCES: Final[dict[str, GatewayError]] = {
    "silence": OutcomeUnknown("no answer"),
    "no connection": NothingSent("no connection"),
    "wrong key": KeyRefused("a wrong key"),
    "nonsense": ProtocolError("<html>"),
}
LIES: Final = (
    "absent",
    "ambiguous",
    "strange word",
    "one paisa less",
    "one paisa more",
    "another payment",
    "as it was",
    "paid meanwhile",
)
FAULTS: Final = (*SILENCES, *LIES)
# In the words of promises.py, which are Khalti's as far as it has any.
WORDS: Final = {
    "absent": "Absent",
    "pending": "Pending",
    "ambiguous": "Ambiguous",
    "canceled": "User canceled",
    "completed": "Completed",
    "partially_refunded": "Partially Refunded",
    "refunded": "Refunded",
}


@define
class FormGateway:
    """One of them. `now` is the service's time: its clock and ours are one here. `doubted`: of these it said, without a
    reason in its ledger, that it does not know what became of them.

    With a registered return, browsers come back to one address, and bring our reference along as `TXNID`. What comes as
    `signed` is taken to be signed: the gateway's word that the payment of this reference was made.
    """

    name: GatewayName
    now: Callable[[], datetime]
    till: Till = field(init=False)
    armed: list[str] = field(factory=list, init=False)
    doubted: set[str] = field(factory=set, init=False)
    environment: Final = Environment.SANDBOX
    refunds: None = field(default=None, init=False)

    @till.default
    def _empty(self) -> Till:
        return Till(self.name, by_form=True)

    @property
    def capabilities(self) -> Capabilities:
        return CAN[self.name]

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        self.till.open(str(order.reference), order.amount.paisa, self.now())
        fields = {"reference": str(order.reference), "amount": str(order.amount.paisa)}
        return Checkout(next_step=PostForm("https://forms.example/pay", fields))

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        values = dict(message.values)
        if "signed" in values:
            return ReturnHint(authenticity=Authenticity.SIGNED, order_reference=values["signed"], says_paid=True)
        return ReturnHint(
            authenticity=Authenticity.UNSIGNED, claims=values.get("status"), order_reference=values.get("TXNID")
        )

    async def look_up(self, order: Order) -> Observation:
        fault = self.armed.pop(0) if self.armed else None
        if fault in SILENCES:
            raise SILENCES[fault]
        answer = self._answer(str(order.reference))
        match fault:
            case "absent":
                return Observation(reported=Reported.ABSENT, said="absent")
            case "ambiguous":
                self.doubted.add(str(order.reference))
                return evolve(answer, reported=Reported.AMBIGUOUS, said="AMBIGUOUS")
            case "strange word":
                return evolve(answer, reported=Reported.UNKNOWN, said="zzz")
            case "one paisa less" | "one paisa more" if answer.amount is not None:
                return evolve(answer, amount=Money(answer.amount.paisa + (1 if fault == "one paisa more" else -1)))
            case "another payment":
                others = [name for name in self.till.payments if name != order.reference]
                return self._answer(others[-1]) if others else answer
            case "as it was":
                return self._answer(str(order.reference), as_it_was=True)
            case "paid meanwhile":  # the answer is on its way, and is old when it comes
                self.till.pay(str(order.reference), self.now())
        return answer

    def _answer(self, name: str, *, as_it_was: bool = False) -> Observation:
        paid = self.till.payments[name]
        held = paid.was[-1][1] if as_it_was and paid.was else paid.held
        if held.status == "absent":
            return Observation(reported=Reported.ABSENT, said="absent")
        return Observation(
            reported=Reported(held.status),
            said=held.status,
            amount=Money(held.amount),
            transaction_id=held.transaction_id,
            order_reference=name,
            refunded=held.status == "refunded",
        )

    def forget(self) -> None:
        """A new day: an empty ledger, and nothing goes wrong."""
        self.till = self._empty()
        self.armed.clear()
        self.doubted.clear()

    def ledger(self) -> dict[str, AtGateway]:
        """Everything that it knows, by our references."""
        return {
            name: AtGateway(
                gateway=str(self.name),
                order=paid.order_reference,
                amount=paid.held.amount,
                status=WORDS[paid.held.status],
                transaction_id=paid.held.transaction_id,
                ever=frozenset(WORDS[held.status] for held in (paid.held, *(was for _, was in paid.was)))
                | ({"Ambiguous"} if name in self.doubted else set()),
            )
            for name, paid in self.till.payments.items()
        }
