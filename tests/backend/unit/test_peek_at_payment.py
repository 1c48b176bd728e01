"""A look because somebody reads: one at a time over all processes, within the budget, and it counts for the pace."""

from datetime import timedelta

import pytest

from sewapay.application.errors import PaymentNotFound
from sewapay.application.pacing import Pace
from sewapay.application.storage import Tx
from sewapay.domain.booking import BookingStatus
from sewapay.domain.identifiers import PaymentId
from sewapay.domain.payment import Payment, PaymentStatus
from tests.backend.unit.world import InterruptedGateway
from tests.shop import Shop


async def peeked(shop: Shop, payment: Payment) -> Payment:
    await shop.container.peek_at_payment()(payment.id)
    return await shop.stored_payment(payment)


async def pace_of(shop: Shop) -> Pace:
    return await shop.store.transact(lambda tx: tx.paces.get(shop.gateway.name, shop.gateway.environment))


async def given_it_is_away(shop: Shop) -> None:
    """Five calls in a row went unanswered just now."""

    def note(tx: Tx) -> None:
        pace = tx.paces.get(shop.gateway.name, shop.gateway.environment)
        tx.paces.save(
            shop.gateway.name, shop.gateway.environment, pace.heard(answered=0, silent=5, now=shop.clock.now())
        )

    await shop.store.transact(note)


async def test_a_look_records_what_the_gateway_says() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)

    now = await peeked(shop, payment)

    assert now.status is PaymentStatus.COMPLETED
    assert (await shop.stored_booking(payment.booking_id)).status is BookingStatus.CONFIRMED


async def test_a_look_without_an_answer_is_counted_and_looked_for_again() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.goes_silent()

    now = await peeked(shop, payment)

    assert (now.status, now.outcome_unknown, now.silences) == (PaymentStatus.OPEN, True, 1)
    assert now.next_check_at == shop.clock.now() + timedelta(seconds=15)
    assert (await pace_of(shop)).silences == 1


async def test_what_was_looked_at_a_moment_ago_is_not_looked_at_again() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    await peeked(shop, payment)
    shop.clock.advance(seconds=4)
    await peeked(shop, payment)
    a_moment_later = shop.gateway.looked_up
    shop.clock.advance(seconds=1)

    await peeked(shop, payment)

    assert (a_moment_later, shop.gateway.looked_up) == (1, 2)


async def test_what_is_settled_is_not_looked_at_and_costs_no_budget() -> None:
    shop = Shop()
    paid = await shop.given_a_paid_booking()
    before, asked = await pace_of(shop), shop.gateway.looked_up

    await peeked(shop, paid.payment)

    assert (await pace_of(shop), shop.gateway.looked_up) == (before, asked)


async def test_while_somebody_else_looks_nobody_looks_beside_them() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.gateway = gateway
    payment = await shop.given_an_open_payment()
    gateway.while_looking = lambda: peeked(shop, payment)

    await peeked(shop, payment)

    assert gateway.looked_up == 1


@pytest.mark.fault("F74")
@pytest.mark.invariant("I22")
async def test_whoever_lost_the_payment_meanwhile_writes_nothing() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.gateway = gateway
    payment = await shop.given_an_open_payment()
    seen: list[Payment] = []

    async def sleeps_past_its_lease_while_somebody_else_looks() -> None:
        shop.clock.advance(seconds=31)
        gateway.customer_cancels(payment)
        seen.append(await peeked(shop, payment))

    gateway.while_looking = sleeps_past_its_lease_while_somebody_else_looks
    now = await peeked(shop, payment)

    assert gateway.looked_up == 2
    assert now == seen[0]
    assert now.status is PaymentStatus.CANCELED


async def test_readers_leave_half_of_the_minutes_budget_to_the_workers() -> None:
    shop = Shop(environ={"SEWAPAY_LOOKUPS_PER_MINUTE": "10"})
    payments = [await shop.given_an_open_payment() for _ in range(30)]
    shop.clock.advance(minutes=1)

    for payment in payments:
        await peeked(shop, payment)
    by_readers = shop.gateway.looked_up
    done = await shop.container.reconcile_payments()(100)

    assert (by_readers, done.asked) == (5, 5)


@pytest.mark.fault("F40")
async def test_while_the_gateway_is_away_readers_leave_it_alone() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    await given_it_is_away(shop)
    shop.clock.advance(seconds=29)

    await peeked(shop, payment)

    assert shop.gateway.looked_up == 0


@pytest.mark.fault("F40")
async def test_a_reader_who_finds_it_back_brings_it_back_for_the_workers() -> None:
    shop = Shop()
    payments = [await shop.given_an_open_payment() for _ in range(3)]
    await given_it_is_away(shop)
    shop.clock.advance(minutes=2)

    await peeked(shop, payments[0])
    done = await shop.container.reconcile_payments()(100)

    assert (await pace_of(shop)).is_undisturbed
    assert done.asked == 2


async def test_a_reader_of_what_was_just_looked_at_does_not_use_up_the_one_call_that_sees_whether_it_is_back() -> None:
    shop = Shop()
    payments = [await shop.given_an_open_payment() for _ in range(2)]
    await given_it_is_away(shop)
    shop.clock.advance(minutes=2)
    paid = payments[1]
    shop.gateway.customer_pays(paid)
    await shop.when_it_is_verified(paid)

    await peeked(shop, paid)
    done = await shop.container.reconcile_payments()(100)

    assert done.asked == 1


@pytest.mark.fault("F06")
async def test_a_key_that_is_refused_stops_readers_and_workers() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.refuses_key()

    await peeked(shop, payment)

    assert (await pace_of(shop)).away_until == shop.clock.now() + timedelta(minutes=5)


async def test_a_payment_that_is_not_there_is_not_found() -> None:
    with pytest.raises(PaymentNotFound):
        await Shop().container.peek_at_payment()(PaymentId("00000000-0000-4000-8000-000000000000"))
