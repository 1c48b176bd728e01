"""Gateways, stores and clocks that let a test choose what happens at which moment."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sewapay.adapters.fake.gateway import FakeGateway
from sewapay.adapters.memory.store import MemoryStore
from sewapay.application.ports import Order, Payer, Urls
from sewapay.application.storage import Tx
from sewapay.domain.checkout import Checkout
from sewapay.domain.observation import Observation
from tests.shop import KHALTI, ManualClock

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone: nothing after this point runs, and nobody catches it."""


class InterruptedGateway(FakeGateway):
    """A fake gateway in whose calls other things happen: while it is asked, and while its answer is on its way."""

    def __init__(self) -> None:
        super().__init__(name=KHALTI)
        self.orders: list[Order] = []
        self.urls: list[Urls] = []
        self.payers: list[Payer] = []
        self.while_opening: Callable[[], Awaitable[object]] | None = None
        self.while_looking: Callable[[], Awaitable[object]] | None = None
        self.gives_reference: str | None = None

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        self.orders.append(order)
        self.urls.append(urls)
        self.payers.append(payer)
        checkout = await super().open_checkout(order, urls, payer)
        happens, self.while_opening = self.while_opening, None
        if happens is not None:
            await happens()
        reference = self.gives_reference or checkout.gateway_reference
        return Checkout(next_step=checkout.next_step, gateway_reference=reference, expires_at=checkout.expires_at)

    async def look_up(self, order: Order) -> Observation:
        seen = await super().look_up(order)
        happens, self.while_looking = self.while_looking, None
        if happens is not None:
            await happens()
        return seen


class PatientClock(ManualClock):
    """A clock that stands still while somebody waits, so that others get on with their work."""

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(0)


class RerunningStore(MemoryStore):
    """A store that runs every transaction twice, as stores do when facts changed underneath; the first run is lost."""

    async def transact(self, work: Callable[[Tx], T]) -> T:
        class Lost(Exception):
            pass

        def lost(tx: Tx) -> None:
            work(tx)
            raise Lost

        with contextlib.suppress(Lost):
            await super().transact(lost)
        return await super().transact(work)


class FailingStore(MemoryStore):
    """A store that is away for the transaction of this number (counted from the moment it was asked to fail)."""

    def __init__(self) -> None:
        super().__init__()
        self._countdown = 0

    def fails_at(self, number: int) -> None:
        self._countdown = number

    async def transact(self, work: Callable[[Tx], T]) -> T:
        self._countdown -= 1
        if self._countdown == 0:
            self.break_down()
            try:
                return await super().transact(work)
            finally:
                self.repair()
        return await super().transact(work)


async def until(claim: Callable[[], bool]) -> None:
    """Let other tasks run until this is so."""
    for _ in range(10_000):
        if claim():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never happened")
