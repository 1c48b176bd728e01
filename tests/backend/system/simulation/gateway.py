"""The gateway as one process sees it: the till behind a network on which everything goes wrong that can."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from attrs import asdict, frozen

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
from sewapay.domain.checkout import Checkout, Redirect
from sewapay.domain.identifiers import Environment, GatewayName
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from tests.backend.system.simulation.till import FEE, LIFE, Till

__all__ = ["CALM", "SimulatedGateway", "Surroundings", "Weather"]

T = TypeVar("T")

_CAN: Final = Capabilities(
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
_DEADLINE: Final = 10.0


@frozen(kw_only=True)
class Weather:
    """How often each thing goes wrong with a call. `frozen`: the process stands still before it asks, or hears."""

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

    @classmethod
    def of(cls, chance: random.Random) -> "Weather":
        """Mostly fair; now and then one thing goes wrong all the time."""
        return cls(**{fault: chance.choice((0, 0, 0.02, 0.08, 0.3)) for fault in asdict(CALM)})


CALM: Final = Weather()


class Surroundings(Protocol):
    """What a process gives its gateway: turns, time, and somebody to tell what must not happen."""

    @property
    def chance(self) -> random.Random: ...

    @property
    def weather(self) -> Weather: ...

    @property
    def till(self) -> Till: ...

    def now(self) -> datetime: ...

    async def turn(self) -> None: ...

    async def pause(self, seconds: float) -> None: ...

    def note(self, line: str) -> None: ...

    def is_written_down(self, order: Order, wanted: RefundOrder | None) -> bool: ...

    def complain(self, text: str) -> None: ...


class SimulatedGateway:
    """A `PaymentGateway` and `RefundGateway` over the till."""

    name: Final = GatewayName("khalti")
    environment: Final = Environment.SANDBOX
    capabilities: Final = _CAN

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    @property
    def refunds(self) -> "SimulatedGateway":
        return self

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        return ReturnHint(authenticity=Authenticity.UNSIGNED)

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        around = self._around

        def opened() -> Checkout:
            if not around.is_written_down(order, None):
                around.complain(f"I9 order {order.reference} reached the gateway before it was stored")
            paid = around.till.open(str(order.reference), order.amount.paisa, around.now())
            around.note(f"gateway opens {paid.pidx}")
            return Checkout(
                next_step=Redirect(f"https://pay.example/{paid.pidx}"), gateway_reference=paid.pidx, life=LIFE
            )

        return await self._call("open", opened, refused=CheckoutRefused("not like this"))

    async def look_up(self, order: Order) -> Observation:
        around = self._around

        def seen() -> Observation:
            if self._happens(around.weather.not_found):
                return Observation(reported=Reported.NOT_FOUND, said="not found")
            late = timedelta(seconds=around.chance.randrange(1, 300)) if self._happens(around.weather.lag) else None
            held = around.till.look(order.gateway_reference, around.now(), as_it_was=late)
            if held is None:
                return Observation(reported=Reported.NOT_FOUND, said="not found")
            is_paid = held.transaction_id is not None
            return Observation(
                reported=Reported(held.status),
                said=held.status,
                amount=Money(held.amount),
                fee=Money(FEE) if is_paid else None,
                transaction_id=held.transaction_id,
                gateway_reference=order.gateway_reference,
                refunded=held.status == "refunded",
            )

        answer = await self._call("look", seen)
        around.note(f"gateway says {order.gateway_reference} is {answer.said}")
        return answer

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        around = self._around

        def given_back() -> str:
            if not around.is_written_down(order, wanted):
                around.complain(f"I9 a refund of {order.reference} reached the gateway before it was stored")
            amount = None if wanted.is_all else wanted.amount.paisa
            done = around.till.give_back(str(order.gateway_reference), amount, around.now(), by="api")
            around.note(f"gateway gives back {amount or 'all'} of {order.gateway_reference}: {done}")
            if not done:
                raise RefundRefused("there is not so much left")
            return "refunded"

        return await self._call("refund", given_back, refused=RefundRefused("not like this"))

    async def _call(self, what: str, effect: Callable[[], T], *, refused: GatewayError | None = None) -> T:
        around, sky = self._around, self._around.weather
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
        self._around.note(f"gateway fails to {what}: {type(error).__name__} {error}")
        return error
