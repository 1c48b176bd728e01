"""A gateway in memory that does as it is told. It keeps its own ledger and passes the contract of every gateway."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from attrs import define, evolve, field, frozen

from sewapay.application.errors import (
    CheckoutRefused,
    GatewayError,
    KeyRefused,
    NothingSent,
    OutcomeUnknown,
    ProtocolError,
)
from sewapay.application.ports import (
    Authenticity,
    Capabilities,
    CheckoutKind,
    Order,
    Payer,
    RefundKind,
    ReturnHint,
    ReturnMessage,
    Urls,
)
from sewapay.domain.checkout import Checkout, Redirect
from sewapay.domain.identifiers import Environment, GatewayName
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment

__all__ = ["FAKE_CAPABILITIES", "FakeGateway", "FakePayment", "Pays"]

FAKE_CAPABILITIES: Final = Capabilities(
    label="Fake",
    checkout=CheckoutKind.REDIRECT,
    signed_return=False,
    refunds=RefundKind.NONE,
    least=Money(1),
    greatest=None,
    reference_charset=r"[A-Z0-9]",
    reference_length=20,
    default_life=timedelta(minutes=30),
)

_LONGEST_CLAIM: Final = 64


class Pays(StrEnum):
    """What customers do without being told."""

    ALWAYS = "always"
    NEVER = "never"


@frozen(kw_only=True)
class FakePayment:
    """One payment in the fake's own ledger. `answer` is what a look-up says about it."""

    order: Order
    reference: str
    answer: Observation


@define(kw_only=True, eq=False)
class FakeGateway:
    """A `PaymentGateway` whose customers, answers and faults are scripted.

    Whatever happens is told by the payment, its order reference or the gateway's own reference. `initiated` and
    `looked_up` count the calls that arrived, answered or not; `payments` is the ledger. It is deterministic: the
    reference of a payment is made of its order reference, so that a restart does not give one out twice.

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
    _ledger: dict[str, FakePayment] = field(factory=dict, init=False, repr=False)
    _fault: Callable[[], GatewayError] | None = field(default=None, init=False, repr=False)
    _may_answer: asyncio.Event | None = field(default=None, init=False, repr=False)

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        """Open one, or fail as scripted. A silent gateway opened it all the same, and nobody knows its reference."""
        await self._arrives()
        self.initiated += 1
        reference = f"fake_{order.reference}"
        if self._fault in (None, _silence, _nonsense):
            self._add(order, reference)
        await self._answers(self._fault)
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
        await self._arrives()
        self.looked_up += 1
        reference = order.gateway_reference or f"fake_{order.reference}"
        if self.pays is Pays.ALWAYS:
            self._is_paid_unasked(order, reference)
        known = self._ledger.get(reference)
        answer = known.answer if known else Observation(reported=Reported.NOT_FOUND, said="not found")
        await self._answers(None if self._fault is _refusal else self._fault)
        return answer

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

    def refunds(self, payment: Payment | str, *, partly: bool = False) -> None:
        """The merchant gives the money back in the gateway's own panel."""
        reported = Reported.PARTIALLY_REFUNDED if partly else Reported.REFUNDED
        answer = evolve(self._find(payment).answer, reported=reported, said=str(reported), refunded=not partly)
        self.answers(payment, answer)

    def forgets(self, payment: Payment | str) -> None:
        """The gateway no longer knows the payment."""
        del self._ledger[self._find(payment).reference]

    def says(self, payment: Payment | str, word: str, reported: Reported = Reported.UNKNOWN) -> None:
        """The gateway uses this word about the payment; one that nobody knows, unless `reported` says otherwise."""
        self.answers(payment, evolve(self._find(payment).answer, reported=reported, said=word))

    def answers(self, payment: Payment | str, answer: Observation) -> None:
        """Look-ups get exactly this answer, however contradictory: another amount, another reference."""
        known = self._find(payment)
        self._ledger[known.reference] = evolve(known, answer=answer)

    def goes_silent(self) -> None:
        """Requests arrive and have their effect; no answer comes back."""
        self._fault = _silence

    def talks_nonsense(self) -> None:
        """Requests arrive and have their effect; the answers cannot be read."""
        self._fault = _nonsense

    def refuses_connections(self) -> None:
        """No request arrives, and we know it."""
        self._fault = _no_connection

    def refuses_key(self) -> None:
        """Requests arrive and are turned away for their key."""
        self._fault = _wrong_key

    def refuses_checkouts(self) -> None:
        """Requests arrive and are turned away for their content."""
        self._fault = _refusal

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

    async def _arrives(self) -> None:
        await asyncio.sleep(0)
        if self._fault is _no_connection:
            raise _no_connection()

    async def _answers(self, fault: Callable[[], GatewayError] | None) -> None:
        may_answer = self._may_answer
        if may_answer is not None:
            await may_answer.wait()
        if fault is not None:
            raise fault()

    def _add(self, order: Order, reference: str) -> FakePayment:
        answer = Observation(
            reported=Reported.INITIATED, said="initiated", amount=order.amount, gateway_reference=reference
        )
        self._ledger[reference] = FakePayment(order=order, reference=reference, answer=answer)
        return self._ledger[reference]

    def _is_paid_unasked(self, order: Order, reference: str) -> None:
        """Pay an open one. One that is not here was opened by another process, or before a restart."""
        known = self._ledger.get(reference) or self._add(order, reference)
        if known.answer.reported is Reported.INITIATED:
            self.customer_pays(reference)

    def _find(self, payment: Payment | str) -> FakePayment:
        """Raises `LookupError` when no such checkout was opened here."""
        names = {payment.gateway_reference, payment.order_reference} if isinstance(payment, Payment) else {payment}
        for known in self._ledger.values():
            if known.reference in names or known.order.reference in names:
                return known
        raise LookupError(f"the fake gateway opened no checkout for {' or '.join(sorted(filter(None, names)))}")


def _silence() -> GatewayError:
    return OutcomeUnknown("the fake gateway is silent")


def _nonsense() -> GatewayError:
    return ProtocolError("the fake gateway talks nonsense")


def _no_connection() -> GatewayError:
    return NothingSent("the fake gateway refuses connections")


def _wrong_key() -> GatewayError:
    return KeyRefused("the fake gateway does not take this key")


def _refusal() -> GatewayError:
    return CheckoutRefused("the fake gateway does not take this checkout")
