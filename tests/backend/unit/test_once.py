"""A request under a key, whose process may die after any transaction: made again, it has one effect and one answer."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import pytest
from attrs import define

from sewapay.adapters.memory.store import MemoryStore
from sewapay.application.cancel_booking import Cancellation
from sewapay.application.idempotency import AlreadyAnswered, Answer, KeyName, Once
from sewapay.application.open_checkout import CheckoutRequest
from sewapay.application.refund_payment import RefundRequest
from sewapay.application.register_booking import NewBooking
from sewapay.application.resolve_payment import Resolution
from sewapay.application.storage import Tx
from sewapay.domain.booking import Booking
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment
from sewapay.domain.resolution import Decision
from tests.backend.unit.world import Killed
from tests.shop import KHALTI, PRICE, SERVICE, SITA, STAFF, Shop, customer

T = TypeVar("T")

MOST_TRANSACTIONS: Final = 12
_A_MINUTE: Final = timedelta(minutes=1)


class DyingStore(MemoryStore):
    """A store whose process dies right after this many commits: what is committed stays, and nobody hears of it."""

    def __init__(self) -> None:
        super().__init__()
        self.dies_after: int | None = None

    async def transact(self, work: Callable[[Tx], T]) -> T:
        result = await super().transact(work)
        if self.dies_after is not None:
            self.dies_after -= 1
            if self.dies_after == 0:
                raise Killed
        return result


@define
class Before:
    """Where a request begins: a booking to pay or cancel, a payment that was paid, and one that waits for a person."""

    shop: Shop
    booking: Booking
    paid: Payment
    waiting: Payment

    async def register(self, once: Once[Any]) -> object:
        return await self.shop.container.register_booking()(
            NewBooking(by=SERVICE, id=None, customer=SITA, title="Deep cleaning", amount=PRICE, once=once)
        )

    async def cancel(self, once: Once[Any]) -> object:
        return await self.shop.container.cancel_booking()(Cancellation(by=STAFF, booking_id=self.booking.id, once=once))

    async def open(self, once: Once[Any]) -> object:
        return await self.shop.container.open_checkout()(
            CheckoutRequest(by=customer(), booking_id=self.booking.id, gateway=KHALTI, once=once)
        )

    async def refund(self, once: Once[Any]) -> object:
        return await self.shop.container.refund_payment()(
            RefundRequest(by=STAFF, payment_id=self.paid.id, amount=Money(1000), reason="late", once=once)
        )

    async def resolve(self, once: Once[Any]) -> object:
        return await self.shop.container.resolve_payment()(
            Resolution(
                by=STAFF,
                payment_id=self.waiting.id,
                decision=Decision.REFUND,
                reason="paid too late",
                version=self.waiting.version,
                once=once,
            )
        )

    def effects(self) -> tuple[int, ...]:
        """How often it was registered, canceled, shown a link, asked to be given back, and decided about."""
        shop = self.shop
        memory = shop.store
        assert isinstance(memory, MemoryStore)
        facts = memory._facts
        told = [event.kind.value for event in facts.events]
        return (
            len(facts.bookings),
            told.count("booking.canceled"),
            sum(payment.has_live_link(shop.clock.now()) for payment in facts.payments.values()),
            len(facts.refunds),
            told.count("payment.resolved"),
        )


async def a_beginning(store: MemoryStore) -> Before:
    shop = Shop(store=store)
    late = await shop.given_an_open_payment()
    await shop.when_the_booking_is_canceled(await shop.stored_booking(late.booking_id))
    shop.gateway.customer_pays(late)
    waiting = (await shop.when_it_is_verified(late)).payment
    paid = (await shop.given_a_paid_booking()).payment
    return Before(shop=shop, booking=await shop.given_a_booking(), paid=paid, waiting=waiting)


def once_for(name: str) -> Once[Any]:
    key = KeyName(principal="staff:7", operation=name, key="the same key")
    return Once(name=key, fingerprint="the same request", render=_rendered)


def _rendered(result: object) -> Answer:
    return Answer(status=200, headers={}, body=repr(result).encode())


async def answered(request: Callable[[Once[Any]], Awaitable[object]], name: str) -> bytes:
    """The answer's bytes, made now or before."""
    try:
        return _rendered(await request(once_for(name))).body
    except AlreadyAnswered as before:
        return before.answer.body


@pytest.mark.fault("F70")
@pytest.mark.invariant("I14")
@pytest.mark.parametrize("name", ["register", "cancel", "open", "refund", "resolve"])
async def test_effect_and_answer_are_stored_together_or_not_at_all(name: str) -> None:
    undisturbed = await a_beginning(DyingStore())
    await answered(getattr(undisturbed, name), name)
    expected = undisturbed.effects()

    for number in range(1, MOST_TRANSACTIONS):
        store = DyingStore()
        before = await a_beginning(store)
        store.dies_after = number
        try:
            await answered(getattr(before, name), name)
        except Killed:
            died = True
        else:
            died = False
        store.dies_after = None
        store._now = lambda then=store._now: then() + _A_MINUTE  # type: ignore[misc]
        before.shop.clock.advance(minutes=1)

        again = [await answered(getattr(before, name), name) for _ in range(3)]
        for _ in range(3):
            before.shop.clock.advance(minutes=1)
            await before.shop.container.reconcile_payments()(100)

        assert expected == before.effects(), f"after {number} transactions"
        assert before.shop.gateway.refunded <= undisturbed.shop.gateway.refunded
        assert len(set(again[1:])) == 1
        if not died:
            return
    raise AssertionError(f"{name} never came to its end")
