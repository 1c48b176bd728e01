"""Several workers on one store: nobody writes what another has taken over, and all of them share one pace."""

import asyncio

import pytest

from sewapay.application.reconcile_payments import Reconciled
from sewapay.domain.booking import BookingStatus
from sewapay.domain.payment import PaymentStatus
from tests.backend.unit.world import InterruptedGateway, until
from tests.shop import Shop


async def reconciled(shop: Shop, limit: int = 100) -> Reconciled:
    return await shop.container.reconcile_payments()(limit)


def another_worker(shop: Shop, **environ: str) -> Shop:
    """A process of its own on the same store, before the same gateway."""
    other = Shop(store=shop.store, gateway=shop.gateway, environ=environ)
    other.container.clock.override(shop.container.clock)
    return other


@pytest.mark.fault("F74")
@pytest.mark.invariant("I22")
async def test_a_worker_that_lost_its_lease_writes_nothing() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    payment = await shop.given_an_open_payment()
    gateway.customer_pays(payment)
    shop.clock.advance(minutes=1)

    async def it_sleeps_too_long_and_another_takes_over() -> None:
        shop.clock.advance(seconds=121)
        assert await shop.store.transact(lambda tx: tx.payments.claim_one(payment.id, lease_seconds=120)) is not None

    gateway.while_looking = it_sleeps_too_long_and_another_takes_over
    done = await reconciled(shop)

    assert (done.asked, done.lost, done.changed) == (1, 1, 0)
    assert payment == await shop.stored_payment(payment)
    assert "payment.completed" not in await shop.told(await shop.stored_booking(payment.booking_id))


@pytest.mark.fault("F74")
@pytest.mark.fault("F24")
@pytest.mark.invariant("I22")
async def test_a_worker_that_slept_and_the_one_that_took_over_settle_it_once() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    shop.clock.advance(minutes=1)
    shop.gateway.holds_answers()
    asleep = asyncio.create_task(reconciled(shop))
    await until(lambda: shop.gateway.looked_up == 1)
    shop.clock.advance(seconds=121)

    awake = asyncio.create_task(reconciled(another_worker(shop)))
    await until(lambda: shop.gateway.looked_up == 2)
    shop.gateway.releases_answers()
    slept, took_over = await asleep, await awake

    assert sorted([slept.lost, took_over.lost]) == [0, 1]
    assert (await shop.stored_payment(payment)).status is PaymentStatus.COMPLETED
    booking = await shop.stored_booking(payment.booking_id)
    assert booking.status is BookingStatus.CONFIRMED
    assert (await shop.told(booking)).count("payment.completed") == 1


@pytest.mark.fault("F83")
@pytest.mark.fault("F98")
@pytest.mark.invariant("I21")
async def test_all_workers_together_ask_no_more_than_the_budget() -> None:
    budget = {"SEWAPAY_LOOKUPS_PER_MINUTE": "10"}
    shop = Shop(environ=budget)
    workers = [another_worker(shop, **budget) for _ in range(3)]
    for _ in range(40):
        await shop.given_an_open_payment()
    shop.clock.advance(minutes=1)

    for _ in range(3):
        await asyncio.gather(*(reconciled(worker) for worker in workers))
    in_the_first_minute = shop.gateway.looked_up
    shop.clock.advance(minutes=1)
    await asyncio.gather(*(reconciled(worker) for worker in workers))

    assert (in_the_first_minute, shop.gateway.looked_up) == (10, 20)


@pytest.mark.fault("F06")
async def test_a_refused_key_stops_the_asking_at_once_and_for_all() -> None:
    shop = Shop()
    first = await shop.given_an_open_payment()
    shop.clock.advance(minutes=1)
    shop.gateway.refuses_key()
    await reconciled(shop)
    asked = shop.gateway.looked_up
    shop.gateway.answers_again()
    second = await shop.given_an_open_payment()
    for payment in (first, second):
        shop.gateway.customer_pays(payment)

    shop.clock.advance(minutes=4)
    meanwhile = await reconciled(another_worker(shop))
    shop.clock.advance(minutes=2)
    for _ in range(2):
        await reconciled(shop)

    assert (asked, meanwhile.claimed) == (1, 0)
    for payment in (first, second):
        assert (await shop.stored_payment(payment)).status is PaymentStatus.COMPLETED


@pytest.mark.fault("F06")
@pytest.mark.fault("F98")
async def test_the_road_of_customers_stays_open_while_the_workers_leave_the_gateway_alone() -> None:
    shop = Shop()
    payments = [await shop.given_an_open_payment() for _ in range(8)]
    shop.clock.advance(minutes=1)
    shop.gateway.goes_silent()
    await reconciled(shop)
    shop.gateway.answers_again()
    shop.gateway.customer_pays(payments[0])

    untouched = await reconciled(shop)
    came_back = await shop.when_it_is_verified(payments[0])

    assert untouched.claimed == 0
    assert came_back.booking.status is BookingStatus.CONFIRMED
