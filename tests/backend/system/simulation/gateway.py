"""The gateways as one process sees them: each till behind a network on which everything goes wrong that can."""

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Protocol, TypeVar

from attrs import asdict, evolve, frozen

from sewapay.application.errors import (
    CheckoutRefused,
    GatewayError,
    KeyRefused,
    NothingSent,
    OutcomeUnknown,
    ProtocolError,
    RefundRefused,
)
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
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from tests.backend.system.simulation.till import FEE, LIFE, Held, Paid, Till

__all__ = ["BANK", "CALM", "CAN", "FORMS", "KHALTI", "SimulatedGateway", "Surroundings", "Weather"]

T = TypeVar("T")

KHALTI: Final = GatewayName("khalti")
FORMS: Final = GatewayName("forms")
BANK: Final = GatewayName("bank")
_REDIRECT: Final = Capabilities(
    label="Simulated",
    checkout=CheckoutKind.REDIRECT,
    signed_return=False,
    refunds=RefundKind.PARTIAL,
    least=Money(1000),
    greatest=None,
    reference_charset=r"[A-Z0-9]",
    reference_length=20,
    default_life=LIFE,
)
_FORM: Final = evolve(_REDIRECT, checkout=CheckoutKind.POST_FORM, refunds=RefundKind.NONE, single_entry=True)
# One that gives links and gives money back; one that is sent forms; one more, whose return address is registered.
CAN: Final[Mapping[GatewayName, Capabilities]] = MappingProxyType(
    {KHALTI: _REDIRECT, FORMS: evolve(_FORM, signed_return=True), BANK: evolve(_FORM, registered_return=True)}
)
_DEADLINE: Final = 10.0
_LIES_UNTIL: Final = timedelta(days=25)  # after a death: a lie at the very last look would be believed for ever


@frozen(kw_only=True)
class Weather:
    """How often each thing goes wrong with a call. `frozen`: the process stands still before it asks, or hears.

    The last ones are lies: nothing is known of what is there, it is not known what became of it, a word that nobody
    knows, another amount, and the answer about another payment.
    """

    nothing_sent: float = 0
    lost_request: float = 0
    lost_answer: float = 0
    key_refused: float = 0
    refused: float = 0
    nonsense: float = 0
    not_found: float = 0
    lag: float = 0
    slow: float = 0
    frozen: float = 0
    ambiguous: float = 0
    strange_word: float = 0
    wrong_amount: float = 0
    another: float = 0

    @classmethod
    def of(cls, chance: random.Random) -> "Weather":
        """Mostly fair; now and then one thing goes wrong all the time."""
        return cls(**{fault: chance.choice((0, 0, 0.02, 0.08, 0.3)) for fault in asdict(CALM)})


CALM: Final = Weather()


class Surroundings(Protocol):
    """What a process gives its gateways: turns, time, and somebody to tell what must not happen."""

    @property
    def chance(self) -> random.Random: ...

    def now(self) -> datetime: ...

    async def turn(self) -> None: ...

    async def pause(self, seconds: float) -> None: ...

    def note(self, line: str) -> None: ...

    def heard(self, name: str, *, is_true: bool) -> None: ...

    def is_written_down(self, order: Order, wanted: RefundOrder | None) -> bool: ...

    def is_of(self, order: Order, gateway: GatewayName) -> bool: ...

    def complain(self, text: str) -> None: ...


class SimulatedGateway:
    """A `PaymentGateway`, and where it can a `RefundGateway`, over a till. `weather` tells what goes wrong now."""

    environment: Final = Environment.SANDBOX

    def __init__(self, around: Surroundings, till: Till, weather: Callable[[], Weather]) -> None:
        self.name = GatewayName(till.gateway)
        self.capabilities = CAN[self.name]
        self._around = around
        self._till = till
        self._weather = weather

    @property
    def refunds(self) -> "SimulatedGateway | None":
        return None if self.capabilities.refunds is RefundKind.NONE else self

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        """What comes as `signed` is: the gateway's word that the payment of this reference was made."""
        signed = dict(message.values).get("signed")
        if signed is None:
            return ReturnHint(authenticity=Authenticity.UNSIGNED)
        return ReturnHint(authenticity=Authenticity.SIGNED, order_reference=signed, says_paid=True)

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        around = self._around

        def opened() -> Checkout:
            if not around.is_written_down(order, None):
                around.complain(f"I9 order {order.reference} reached the gateway before it was stored")
            paid = self._till.open(str(order.reference), order.amount.paisa, around.now())
            around.note(f"{self.name} opens {paid.name}")
            if self._till.by_form:
                return Checkout(next_step=PostForm("https://pay.example/form", _fields(paid)))
            return Checkout(
                next_step=Redirect(f"https://pay.example/{paid.name}"), gateway_reference=paid.name, life=LIFE
            )

        if self._till.by_form:  # made here: nobody is asked
            await around.turn()
            return opened()
        return await self._call("open", order, opened, refused=CheckoutRefused("not like this"))

    async def look_up(self, order: Order) -> Observation:
        around, name = self._around, self._name_of(order)
        is_true = True

        def seen() -> Observation:
            nonlocal is_true
            late = timedelta(seconds=around.chance.randrange(1, 300)) if self._happens(self._weather().lag) else None
            held = self._till.look(name, around.now(), as_it_was=late)
            answer = self._told(order, held)
            lie = self._lie(order, answer)
            is_true = lie is None and held == self._till.look(name, around.now())
            return lie or answer

        answer = await self._call("look", order, seen)
        around.heard(name, is_true=is_true)
        around.note(f"{self.name} says {name} is {answer.said}{'' if is_true else ', which is not true'}")
        return answer

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        around = self._around

        def given_back() -> str:
            if not around.is_written_down(order, wanted):
                around.complain(f"I9 a refund of {order.reference} reached the gateway before it was stored")
            if self.refunds is None:
                around.complain(f"{self.name} was asked to give {order.reference} back, and has no such call")
            amount = None if wanted.is_all else wanted.amount.paisa
            done = self._till.give_back(self._name_of(order), amount, around.now(), by="api")
            around.note(f"{self.name} gives back {amount or 'all'} of {self._name_of(order)}: {done}")
            if not done:
                raise RefundRefused("there is not so much left")
            return "refunded"

        return await self._call("refund", order, given_back, refused=RefundRefused("not like this"))

    def _name_of(self, order: Order) -> str:
        return str(order.reference) if self._till.by_form else str(order.gateway_reference)

    def _told(self, order: Order, held: Held | None) -> Observation:
        """The answer about what is held."""
        if held is None:
            return Observation(reported=Reported.NOT_FOUND, said="not found")
        if held.status == "absent":
            return Observation(reported=Reported.ABSENT, said="absent")
        if self._till.by_form and order.form != _fields(self._till.payments[str(order.reference)]):
            self._around.complain(f"{order.reference} is asked about as {order.form}, which nobody posted")
        return Observation(
            reported=Reported(held.status),
            said=held.status,
            amount=Money(held.amount),
            fee=Money(FEE) if held.transaction_id is not None else None,
            transaction_id=held.transaction_id,
            gateway_reference=None if self._till.by_form else order.gateway_reference,
            order_reference=str(order.reference) if self._till.by_form else None,
            refunded=held.status == "refunded",
        )

    def _lie(self, order: Order, answer: Observation) -> Observation | None:
        """What is said instead, if anything."""
        sky, chance = self._weather(), self._around.chance
        if self._happens(sky.not_found):
            if not self._till.by_form:
                return Observation(reported=Reported.NOT_FOUND, said="not found")
            return Observation(reported=Reported.ABSENT, said="absent") if self._may_lie(order) else None
        if not self._may_lie(order):
            return None
        if self._happens(sky.ambiguous):
            return evolve(answer, reported=Reported.AMBIGUOUS, said="AMBIGUOUS")
        if self._happens(sky.strange_word):
            return evolve(answer, reported=Reported.UNKNOWN, said="zzz")
        if self._happens(sky.another):
            others = [paid for paid in self._till.payments.values() if paid.order_reference != order.reference]
            other = chance.choice(others) if others else None
            if other is not None and other.held.status != "absent":
                said = self._told(evolve(order, form=_fields(self._till.payments[self._name_of(order)])), other.held)
                if self._till.by_form:
                    return evolve(said, order_reference=other.name)
                return evolve(said, gateway_reference=other.name)
        there = self._till.payments[self._name_of(order)]
        is_as_owed = there.held.amount == there.order_amount  # else nobody could ever tell what is right
        if self._happens(sky.wrong_amount) and is_as_owed and answer.reported is Reported.COMPLETED:
            there.was_lied_about = True
            return evolve(answer, amount=Money(there.order_amount + chance.choice((-1, 1))))
        return None

    def _may_lie(self, order: Order) -> bool:
        paid = self._till.payments.get(self._name_of(order))
        return paid is not None and self._around.now() < paid.dies_at + _LIES_UNTIL

    async def _call(
        self, what: str, order: Order, effect: Callable[[], T], *, refused: GatewayError | None = None
    ) -> T:
        around, sky = self._around, self._weather()
        if not around.is_of(order, self.name):
            around.complain(f"{self.name} is asked to {what} {order.reference}, which is another gateway's")
        await around.turn()
        await self._may_stand_still(sky.frozen / 2)
        if self._happens(sky.nothing_sent):
            raise self._fails(what, NothingSent("no connection"))
        if self._happens(sky.slow):
            await around.pause(around.chance.uniform(0.1, _DEADLINE - 1))
        if self._happens(sky.lost_request):
            await around.pause(_DEADLINE)
            raise self._fails(what, OutcomeUnknown("no answer"))
        if self._happens(sky.key_refused / 4):
            raise self._fails(what, KeyRefused("a wrong key"))
        if refused is not None and self._happens(sky.refused):
            raise self._fails(what, refused)
        result = effect()
        await around.turn()
        if self._happens(sky.lost_answer):
            await around.pause(_DEADLINE)
            raise self._fails(what, OutcomeUnknown("no answer"))
        if self._happens(sky.nonsense):
            raise self._fails(what, ProtocolError("<html>"))
        if self._happens(sky.slow):
            await around.pause(around.chance.uniform(0.1, _DEADLINE - 1))
        await self._may_stand_still(sky.frozen)
        return result

    async def _may_stand_still(self, rate: float) -> None:
        """The whole machine may: longer than an opening, a sending or a lease."""
        if self._happens(rate):
            await self._around.pause(self._around.chance.choice((25, 45, 150, 300)))

    def _happens(self, rate: float) -> bool:
        return rate > 0 and self._around.chance.random() < rate

    def _fails(self, what: str, error: GatewayError) -> GatewayError:
        self._around.note(f"{self.name} fails to {what}: {type(error).__name__} {error}")
        return error


def _fields(paid: Paid) -> dict[str, str]:
    """The form that a customer's browser posts for it."""
    return {"reference": paid.order_reference, "amount": str(paid.order_amount)}
