"""A gateway in memory that does as it is told. It keeps its own ledger and passes the contract of every gateway."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self
from urllib.parse import quote

from attrs import define, evolve, field, frozen

from sewapay.adapters.fake.faults import (
    LOST_ANSWERS,
    LOST_REFUNDS,
    NO_CHECKOUTS,
    NO_CONNECTION,
    NO_REFUNDS,
    NONSENSE,
    SILENCE,
    WRONG_KEY,
    Fault,
    On,
)
from sewapay.application.errors import RefundRefused
from sewapay.application.ports import (
    Authenticity,
    Capabilities,
    CheckoutKind,
    Order,
    Payer,
    RefundKind,
    RefundOrder,
    ReturnHint,
    ReturnMessage,
    Urls,
)
from sewapay.domain.checkout import Checkout, PostForm, Redirect
from sewapay.domain.identifiers import Environment, GatewayName
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment

__all__ = ["FAKE_CAPABILITIES", "FAKE_FORM_CAPABILITIES", "FakeGateway", "FakePayment", "Pays"]

FAKE_CAPABILITIES: Final = Capabilities(
    label="Fake",
    checkout=CheckoutKind.REDIRECT,
    signed_return=False,
    refunds=RefundKind.PARTIAL,
    least=Money(1),
    greatest=None,
    reference_charset=r"[A-Z0-9]",
    reference_length=20,
    default_life=timedelta(minutes=30),
)

FAKE_FORM_CAPABILITIES: Final = evolve(
    FAKE_CAPABILITIES,
    label="Fake by form",
    checkout=CheckoutKind.POST_FORM,
    refunds=RefundKind.NONE,
    single_entry=True,
    panel="the fake's panel",
)
"""Of a gateway that is sent a form by the browser: it hears of a payment only then, gives no reference, takes each form
once and gives nothing back.
"""

_LONGEST_CLAIM: Final = 64
_NOTHING_HERE: Final = Observation(reported=Reported.ABSENT, said="absent")


class Pays(StrEnum):
    """What customers do without being told."""

    ALWAYS = "always"
    NEVER = "never"


@frozen(kw_only=True)
class FakePayment:
    """One payment in the fake's own ledger. `answer` is what a look-up says about it, and `given_back` what went back.

    After a refund the next `stale_looks` look-ups still say `stale`.
    """

    order: Order
    reference: str
    answer: Observation
    given_back: tuple[Money, ...] = ()
    stale: Observation | None = None
    stale_looks: int = 0

    @property
    def left(self) -> Money:
        """What was paid and has not gone back."""
        paid = self.answer.amount or self.order.amount
        return paid - sum(self.given_back, NOTHING)

    def gave_back(self, amount: Money, stale_looks: int) -> "FakePayment":
        """The payment after this much of it went back."""
        reported = Reported.REFUNDED if amount == self.left else Reported.PARTIALLY_REFUNDED
        return evolve(
            self,
            answer=evolve(self.answer, reported=reported, said=str(reported), refunded=reported is Reported.REFUNDED),
            given_back=(*self.given_back, amount),
            stale=self.answer,
            stale_looks=stale_looks,
        )


@define(kw_only=True, eq=False)
class FakeGateway:
    """A `PaymentGateway` and `RefundGateway` whose customers, answers and faults are scripted.

    Whatever happens is told by the payment, its order reference or the gateway's own reference. `initiated`,
    `looked_up` and `refunded` count the calls that arrived, answered or not; `payments` is the ledger. It is
    deterministic: the reference of a payment is made of its order reference, so that a restart does not give one out
    twice.

        gateway = FakeGateway()
        ... a checkout is opened ...
        gateway.customer_pays(payment)
    """

    name: GatewayName = field(default=GatewayName("fake"))
    environment: Environment = Environment.SANDBOX
    capabilities: Capabilities = FAKE_CAPABILITIES
    pays: Pays = Pays.NEVER
    initiated: int = field(default=0, init=False)
    looked_up: int = field(default=0, init=False)
    refunded: int = field(default=0, init=False)
    _ledger: dict[str, FakePayment] = field(factory=dict, init=False, repr=False)
    _fault: Fault | None = field(default=None, init=False, repr=False)
    _stale_looks: int = field(default=0, init=False, repr=False)
    _may_answer: asyncio.Event | None = field(default=None, init=False, repr=False)

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        """Open one, or fail as scripted. A silent gateway opened it all the same, and nobody knows its reference.

        A form is made here and nothing is asked: it cannot fail.
        """
        reference = f"fake_{order.reference}"
        if self._is_by_form:
            self._add(order, reference)
            fields = {"reference": reference, "amount": str(order.amount.paisa)}
            return Checkout(next_step=PostForm(urls.return_url, fields))
        fault = await self._arrives(On.OPENING)
        self.initiated += 1
        if fault is None or fault.has_effect:
            self._add(order, reference)
        await self._answers(fault)
        is_paid = self.pays is Pays.ALWAYS
        url = f"{urls.return_url}?reference={quote(reference)}&status={'paid' if is_paid else 'unpaid'}"
        return Checkout(next_step=Redirect(url), gateway_reference=reference)

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        """What a return claims; never signed."""
        values = dict(reversed(message.values))
        claims = values.get("status", "")
        reference = values.get("reference", "")
        return ReturnHint(
            authenticity=Authenticity.UNSIGNED,
            claims=claims if 0 < len(claims) <= _LONGEST_CLAIM and claims.isprintable() else None,
            gateway_reference=reference if 0 < len(reference) <= _LONGEST_CLAIM and reference.isprintable() else None,
        )

    async def look_up(self, order: Order) -> Observation:
        """What the ledger says about the order, as of the moment when the question arrives."""
        fault = await self._arrives(On.LOOK_UP)
        self.looked_up += 1
        known = self._known(order)
        if known is None:
            answer = _NOTHING_HERE if self._is_by_form else Observation(reported=Reported.NOT_FOUND, said="not found")
        elif known.stale is not None and known.stale_looks > 0:
            answer = known.stale
            self._ledger[known.reference] = evolve(known, stale_looks=known.stale_looks - 1)
        else:
            answer = known.answer
        await self._answers(fault)
        return answer

    @property
    def refunds(self) -> Self | None:
        """Itself, unless its capabilities say that it gives nothing back."""
        return None if self.capabilities.refunds is RefundKind.NONE else self

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        """Give it back, or fail as scripted: `RefundRefused` for what was not paid or would be too much.

        All of it means whatever is left. A silent gateway gave it back all the same.
        """
        fault = await self._arrives(On.REFUND)
        self.refunded += 1
        known = self._known(order)
        if fault is None or fault.has_effect:
            self._give_back(known, order, wanted)
        await self._answers(fault)
        return "refunded"

    @property
    def payments(self) -> Mapping[str, FakePayment]:
        """The ledger by gateway reference, the oldest first."""
        return MappingProxyType(self._ledger)

    def customer_pays(
        self, payment: Payment | str, amount: Money | None = None, *, transaction_id: str | None = None
    ) -> None:
        """The customer pays `amount` (what is owed, unless given); a second time changes the transaction only."""
        known = self._find(payment)
        completed = evolve(
            known.answer,
            reported=Reported.COMPLETED,
            said="completed",
            amount=amount or known.order.amount,
            transaction_id=transaction_id or f"fake_t_{known.order.reference}",
            order_reference=str(known.order.reference) if self._is_by_form else None,
            fee=NOTHING,
            refunded=False,
        )
        self.answers(known.reference, completed)

    def customer_cancels(self, payment: Payment | str) -> None:
        """The customer gives up at the gateway's page."""
        self.says(payment, "canceled", Reported.CANCELED)

    def leaves_pending(self, payment: Payment | str) -> None:
        """The customer's money is on its way, or lost at a bank."""
        self.says(payment, "pending", Reported.PENDING)

    def link_expires(self, payment: Payment | str) -> None:
        """Nobody used the link in time."""
        self.says(payment, "expired", Reported.EXPIRED)

    def fails(self, payment: Payment | str) -> None:
        """The gateway gives the payment up."""
        self.says(payment, "failed", Reported.FAILED)

    def merchant_refunds(self, payment: Payment | str, amount: Money | None = None, *, partly: bool = False) -> None:
        """The merchant gives `amount` back in the gateway's own panel: all that is left, or `partly` half of it."""
        known = self._find(payment)
        amount = amount or (Money(known.left.paisa // 2) if partly else known.left)
        self._ledger[known.reference] = known.gave_back(amount, self._stale_looks)

    def forgets(self, payment: Payment | str) -> None:
        """The gateway no longer knows the payment."""
        del self._ledger[self._find(payment).reference]

    def says(self, payment: Payment | str, word: str, reported: Reported = Reported.UNKNOWN) -> None:
        """The gateway uses this word about the payment; one that nobody knows, unless `reported` says otherwise."""
        self.answers(payment, evolve(self._find(payment).answer, reported=reported, said=word))

    def answers(self, payment: Payment | str, answer: Observation) -> None:
        """Look-ups get exactly this answer, however contradictory: another amount, another reference."""
        known = self._find(payment)
        self._ledger[known.reference] = evolve(known, answer=answer, stale_looks=0)

    def goes_silent(self) -> None:
        """Requests arrive and have their effect; no answer comes back."""
        self._fault = SILENCE

    def talks_nonsense(self) -> None:
        """Requests arrive and have their effect; the answers cannot be read."""
        self._fault = NONSENSE

    def refuses_connections(self) -> None:
        """No request arrives, and we know it."""
        self._fault = NO_CONNECTION

    def refuses_key(self) -> None:
        """Requests arrive and are turned away for their key."""
        self._fault = WRONG_KEY

    def refuses_checkouts(self) -> None:
        """Requests arrive and are turned away for their content."""
        self._fault = NO_CHECKOUTS

    def refuses_refunds(self) -> None:
        """Refunds arrive and are turned away; everything else goes on."""
        self._fault = NO_REFUNDS

    def loses_refunds(self) -> None:
        """Refunds arrive, have no effect and get no answer; everything else goes on."""
        self._fault = LOST_REFUNDS

    def loses_refund_answers(self) -> None:
        """Refunds arrive, have their effect and get no answer; everything else goes on."""
        self._fault = LOST_ANSWERS

    def lags_refunds(self, looks: int) -> None:
        """After each refund from now on, this many look-ups of its payment still say what they said before."""
        self._stale_looks = looks

    def answers_again(self) -> None:
        """All is well again."""
        self._fault = None

    def holds_answers(self) -> None:
        """Requests arrive and have their effect; their answers wait until `releases_answers`, and are old by then."""
        self._may_answer = asyncio.Event()

    def releases_answers(self) -> None:
        """Every held answer leaves, and later ones are not held."""
        if self._may_answer is not None:
            self._may_answer.set()
        self._may_answer = None

    @property
    def _is_by_form(self) -> bool:
        return self.capabilities.checkout is CheckoutKind.POST_FORM

    async def _arrives(self, on: On) -> Fault | None:
        """What will go wrong with the call, if anything; raises when it does not even get here."""
        await asyncio.sleep(0)
        fault = self._fault if self._fault is not None and on in self._fault.on else None
        if fault is NO_CONNECTION:
            raise fault.raised()
        return fault

    async def _answers(self, fault: Fault | None) -> None:
        may_answer = self._may_answer
        if may_answer is not None:
            await may_answer.wait()
        if fault is not None:
            raise fault.raised()

    def _give_back(self, known: FakePayment | None, order: Order, wanted: RefundOrder) -> None:
        if known is None or order.transaction_id is None or order.transaction_id != known.answer.transaction_id:
            raise RefundRefused("the fake gateway knows no such transaction")
        if known.answer.reported not in (Reported.COMPLETED, Reported.PARTIALLY_REFUNDED):
            raise RefundRefused(f"the fake gateway gives nothing back of what is {known.answer.said}")
        amount = known.left if wanted.is_all else wanted.amount
        if not NOTHING < amount <= known.left:
            raise RefundRefused(f"the fake gateway has {known.left.paisa} paisa left to give back")
        self._ledger[known.reference] = known.gave_back(amount, self._stale_looks)

    def _add(self, order: Order, reference: str) -> FakePayment:
        answer = _NOTHING_HERE
        if not self._is_by_form:
            answer = Observation(
                reported=Reported.INITIATED, said="initiated", amount=order.amount, gateway_reference=reference
            )
        self._ledger[reference] = FakePayment(order=order, reference=reference, answer=answer)
        return self._ledger[reference]

    def _known(self, order: Order) -> FakePayment | None:
        """The order's payment. Where customers always pay, one that is not here was opened by another process."""
        reference = order.gateway_reference or f"fake_{order.reference}"
        if self.pays is Pays.ALWAYS:
            known = self._ledger.get(reference) or self._add(order, reference)
            if known.answer.reported in (Reported.INITIATED, Reported.ABSENT):
                self.customer_pays(reference)
        return self._ledger.get(reference)

    def _find(self, payment: Payment | str) -> FakePayment:
        """Raises `LookupError` when no such checkout was opened here."""
        names = {payment.gateway_reference, payment.order_reference} if isinstance(payment, Payment) else {payment}
        for known in self._ledger.values():
            if known.reference in names or known.order.reference in names:
                return known
        raise LookupError(f"the fake gateway opened no checkout for {' or '.join(sorted(filter(None, names)))}")
