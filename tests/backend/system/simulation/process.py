"""One process of the service: its own container over the shared database, and tasks that die with it."""

import asyncio
import random
import uuid
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from dependency_injector import providers

from sewapay.application.errors import StoreUnavailable
from sewapay.application.ports import Order, RefundOrder
from sewapay.application.storage import Tx, View
from sewapay.domain.identifiers import GatewayName, OrderReference, PaymentId, RefundId
from sewapay.entrypoints.container import Container, build_container
from tests.backend.system.simulation.database import Database
from tests.backend.system.simulation.gateway import CALM, CAN, SimulatedGateway, Weather
from tests.backend.system.simulation.till import Till
from tests.backend.system.simulation.turns import Turns, VirtualClock

__all__ = ["Process", "Shared"]

T = TypeVar("T")

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Shared:
    """What all processes have in common: the machine, the database, the gateways, and what the seed decided."""

    def __init__(self, chance: random.Random, turns: Turns, clock: VirtualClock, database: Database) -> None:
        self.chance = chance
        self.turns = turns
        self.clock = clock
        self.database = database
        self.tills = {name: Till(name, by_form=can.single_entry) for name, can in CAN.items()}
        self.weather: dict[GatewayName, Weather] = dict.fromkeys(CAN, CALM)
        self.database_is_away = False
        self.commits_go_unheard = 0.0
        self.facts_change = 0.0
        self.trace: list[str] = []
        self.complaints: list[str] = []

    def note(self, line: str) -> None:
        self.trace.append(f"{self.clock.now():%dT%H:%M:%S.%f} {line}")

    def happens(self, rate: float) -> bool:
        return rate > 0 and self.chance.random() < rate


class Process:
    """Runs use cases. Once it is dead, nothing that it began gets any further."""

    def __init__(self, name: str, shared: Shared, environ: Mapping[str, str]) -> None:
        self.name = name
        self.is_alive = True
        self.chance = shared.chance
        self.answers: list[tuple[str, bool]] = []
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self.container: Container = build_container(environ)
        gateways = {
            name: SimulatedGateway(self, till, partial(shared.weather.__getitem__, name))
            for name, till in shared.tills.items()
        }
        for provider, part in (
            (self.container.gateways, gateways),
            (self.container.store, self),
            (self.container.clock, self),
            (self.container.ids, self),
        ):
            provider.override(providers.Object(part))

    # --- what the gateway and the use cases are given ----------------------------------------------------------------

    def now(self) -> datetime:
        return self._shared.clock.now()

    async def turn(self) -> None:
        await self._shared.turns.wait()
        if not self.is_alive:
            await self._loop.create_future()

    async def pause(self, seconds: float) -> None:
        await self._shared.clock.pause(seconds)
        await self.turn()

    def note(self, line: str) -> None:
        self._shared.note(f"{self.name}: {line}")

    def complain(self, text: str) -> None:
        self._shared.complaints.append(text)

    def heard(self, name: str, *, is_true: bool) -> None:
        """What a gateway answered here about a payment, in the order of the answers."""
        self.answers.append((name, is_true))

    def is_of(self, order: Order, gateway: GatewayName) -> bool:
        return self._shared.database.read(lambda view: view.payments.get(order.payment_id).gateway == gateway)

    def is_written_down(self, order: Order, wanted: RefundOrder | None) -> bool:
        def stored(view: View) -> bool:
            payment = view.payments.get(order.payment_id)
            if wanted is None:
                return payment.order_reference == order.reference
            refunds = view.refunds.of_payment(payment.id)
            is_explained = any(refund.is_open and refund.amount == wanted.amount for refund in refunds)
            return is_explained and payment.amount_reserved == wanted.amount

        return self._shared.database.read(stored)

    # --- the store ---------------------------------------------------------------------------------------------------

    async def transact(self, work: Callable[[Tx], T]) -> T:
        """Run it inline. Both before it and after its commit anything else may happen, this process's end included."""
        shared = self._shared
        await self.turn()
        if shared.database_is_away:
            raise StoreUnavailable("the database is away")
        result = shared.database.transact(work, runs_twice=shared.happens(shared.facts_change))
        await self.turn()
        if shared.happens(shared.commits_go_unheard):
            self.note("does not hear of its commit")
            raise StoreUnavailable("the connection to the database broke")
        return result

    async def read(self, work: Callable[[View], T]) -> T:
        await self.turn()
        if self._shared.database_is_away:
            raise StoreUnavailable("the database is away")
        return self._shared.database.read(work)

    # --- names that the seed gives -----------------------------------------------------------------------------------

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def payment_id(self) -> PaymentId:
        return PaymentId(self._uuid())

    def refund_id(self) -> RefundId:
        return RefundId(self._uuid())

    def order_reference(self) -> OrderReference:
        return OrderReference("".join(self.chance.choices(_LETTERS, k=20)))

    def secret(self) -> str:
        return f"{self.chance.getrandbits(256):064x}"

    # --- its life ----------------------------------------------------------------------------------------------------

    def crash(self) -> None:
        """It is gone, with everything that it was doing. Its leases stay."""
        self.is_alive = False
        self.note("dies")

    def start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        return self._loop.create_task(work)
