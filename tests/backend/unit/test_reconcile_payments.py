"""What nobody comes back for is settled all the same: the reconciler over a store in memory and a fake gateway."""

import asyncio
from datetime import timedelta

import pytest
from attrs import evolve
from dependency_injector import providers

from sewapay.application.errors import StoreUnavailable
from sewapay.application.ports import Order
from sewapay.application.reconcile_payments import LeftAlone, Reconciled
from sewapay.domain.booking import BookingStatus
from sewapay.domain.identifiers import Environment, GatewayName
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from tests.shop import PRICE, Shop


async def reconciled(shop: Shop, limit: int = 100) -> Reconciled:
    return await shop.container.reconcile_payments()(limit)


async def looks_at(shop: Shop, payment: Payment, *, minutes: int) -> list[float]:
    """At which minutes after the beginning the gateway was asked, looking every ten seconds."""
    asked, begun = [], shop.clock.now()
    for _ in range(minutes * 6):
        shop.clock.advance(seconds=10)
        before = shop.gateway.looked_up
        await reconciled(shop)
        if shop.gateway.looked_up > before:
            asked.append((shop.clock.now() - begun) / timedelta(minutes=1))
    return asked


@pytest.mark.fault("F20")
async def test_a_customer_who_pays_and_never_comes_back_is_confirmed_after_a_minute() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)

    shop.clock.advance(seconds=59)
    too_early = await reconciled(shop)
    shop.clock.advance(seconds=1)
    done = await reconciled(shop)

    assert (too_early.claimed, done.claimed, done.changed) == (0, 1, 1)
    assert (await shop.stored_booking(payment.booking_id)).status is BookingStatus.CONFIRMED
    assert (await shop.stored_payment(payment)).paid_at == shop.clock.now()


async def test_an_open_payment_is_looked_at_by_the_plan() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()

    asked = await looks_at(shop, payment, minutes=45)

    first, *later = asked
    assert first == 1
    for planned, actual in zip((2, 5, 10, 20, 30, 40), later, strict=True):
        assert planned <= actual <= planned * 1.1 + 0.2, asked


async def test_a_look_that_changes_nothing_changes_no_version() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.clock.advance(minutes=1)

    await reconciled(shop)

    kept = await shop.stored_payment(payment)
    assert kept.version == payment.version
    assert kept.looked_at == shop.clock.now()
    assert kept.next_check_at is not None
    assert kept.next_check_at > shop.clock.now()


@pytest.mark.fault("F49")
async def test_a_payment_that_is_pending_for_a_day_is_put_before_a_person_and_still_settles() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.leaves_pending(payment)
    for _ in range(30):
        shop.clock.advance(minutes=60)
        await reconciled(shop)
    stuck = await shop.stored_payment(payment)
    assert (stuck.status, stuck.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.STUCK)
    assert stuck.next_check_at is not None

    shop.gateway.customer_pays(payment)
    shop.clock.advance(days=1, minutes=30)
    await reconciled(shop)

    assert (await shop.stored_booking(payment.booking_id)).status is BookingStatus.CONFIRMED


@pytest.mark.fault("F40")
async def test_a_gateway_that_never_answers_leads_to_a_person_and_never_to_failed() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.goes_silent()
    seen = set()
    for _ in range(9 * 24):
        shop.clock.advance(minutes=60)
        await reconciled(shop)
        seen.add((await shop.stored_payment(payment)).status)

    given_up = await shop.stored_payment(payment)
    assert seen == {PaymentStatus.OPEN, PaymentStatus.UNDER_REVIEW}
    assert (given_up.review_reason, given_up.next_check_at) == (ReviewReason.STUCK, None)


@pytest.mark.fault("F46")
async def test_a_reference_that_the_gateway_does_not_know_is_put_before_a_person_after_several_looks() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.forgets(payment)

    for _ in range(4):
        shop.clock.advance(minutes=60)
        await reconciled(shop)
    unsure = await shop.stored_payment(payment)
    shop.clock.advance(minutes=120)
    await reconciled(shop)

    lost = await shop.stored_payment(payment)
    assert (unsure.status, unsure.outcome_unknown) == (PaymentStatus.OPEN, True)
    assert (lost.status, lost.review_reason) == (PaymentStatus.UNDER_REVIEW, ReviewReason.ORPHANED_REFERENCE)


@pytest.mark.fault("F08")
@pytest.mark.fault("F01")
async def test_a_link_that_nobody_was_shown_ends_expired_and_is_never_asked_about() -> None:
    shop = Shop()
    booking = await shop.given_a_booking()
    shop.gateway.goes_silent()
    with pytest.raises(Exception, match="silent"):
        await shop.when_the_customer_opens_a_checkout(booking)
    (begun,) = await shop.stored_payments(booking)
    assert begun.outcome_unknown

    shop.clock.advance(days=1)
    await reconciled(shop)

    ended = await shop.stored_payment(begun)
    assert (ended.status, ended.reason, ended.outcome_unknown) == (PaymentStatus.EXPIRED, "link never shown", False)
    assert ended.next_check_at is None
    assert shop.gateway.looked_up == 0


async def test_a_soft_ending_is_looked_at_once_more_and_a_late_payment_counts() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_cancels(payment)
    shop.clock.advance(minutes=1)
    await reconciled(shop)
    assert (await shop.stored_payment(payment)).status is PaymentStatus.CANCELED

    shop.gateway.customer_pays(payment)
    shop.clock.advance(minutes=40)
    await reconciled(shop)

    assert (await shop.stored_booking(payment.booking_id)).status is BookingStatus.CONFIRMED


@pytest.mark.fault("F40")
async def test_the_last_look_at_a_soft_ending_is_made_again_until_it_is_answered() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.link_expires(payment)
    await shop.when_it_is_verified(payment)
    shop.gateway.customer_pays(payment)
    shop.clock.advance(minutes=45)
    shop.gateway.goes_silent()
    in_vain = await reconciled(shop)

    shop.gateway.answers_again()
    shop.clock.advance(minutes=1)
    await reconciled(shop)

    assert in_vain.silent == 1
    assert (await shop.stored_payment(payment)).status is PaymentStatus.COMPLETED


@pytest.mark.fault("F50")
async def test_money_given_back_in_the_gateways_panel_is_noticed_without_anybody_asking() -> None:
    shop = Shop()
    paid = await shop.given_a_paid_booking()
    shop.gateway.merchant_refunds(paid.payment)

    shop.clock.advance(minutes=61)
    await reconciled(shop)

    noticed = await shop.stored_payment(paid.payment)
    assert (noticed.status, noticed.review_reason) == (PaymentStatus.REFUNDED, ReviewReason.REFUNDED_OUTSIDE)
    assert noticed.needs_attention
    assert (await shop.stored_booking(paid.booking)).status is BookingStatus.REFUNDED


async def test_the_policy_says_whether_somebody_has_to_know_of_money_given_back_elsewhere() -> None:
    shop = Shop(environ={"SEWAPAY_ON_REFUNDED_OUTSIDE": "honour", "SEWAPAY_ON_FULL_REFUND": "keep"})
    paid = await shop.given_a_paid_booking()
    shop.gateway.merchant_refunds(paid.payment)

    shop.clock.advance(minutes=61)
    await reconciled(shop)

    noticed = await shop.stored_payment(paid.payment)
    assert (noticed.status, noticed.needs_attention) == (PaymentStatus.REFUNDED, False)
    assert (await shop.stored_booking(paid.booking)).status is BookingStatus.CONFIRMED


async def two_payments_of_one_booking(shop: Shop) -> tuple[Payment, Payment]:
    """The first link was canceled before the second was opened, and then both are paid."""
    first = await shop.given_an_open_payment()
    shop.gateway.customer_cancels(first)
    second = await shop.when_the_customer_opens_a_checkout(await shop.stored_booking(first.booking_id))
    shop.gateway.customer_pays(first)
    shop.gateway.customer_pays(second)
    return first, second


@pytest.mark.fault("F60")
async def test_surplus_waits_for_a_person_unless_a_policy_gives_it_back() -> None:
    for policy, refunded, attention in (("hold", 0, True), ("honour", 0, False), ("refund", 1, False)):
        shop = Shop(environ={"SEWAPAY_ON_SURPLUS": policy})
        payments = await two_payments_of_one_booking(shop)
        for _ in range(3):
            shop.clock.advance(minutes=60)
            await reconciled(shop)

        kept = [await shop.stored_payment(payment) for payment in payments]
        (surplus,) = [payment for payment in kept if payment.surplus]
        assert (shop.gateway.refunded, surplus.needs_attention) == (refunded, attention), policy
        assert (surplus.status is PaymentStatus.REFUNDED) == (policy == "refund")
        assert surplus.amount_reserved == NOTHING
        booking = await shop.stored_booking(surplus.booking_id)
        assert (booking.status, booking.settled_by == surplus.id) == (BookingStatus.CONFIRMED, False)


async def test_surplus_that_is_to_be_given_back_is_given_back_by_the_very_next_run() -> None:
    shop = Shop(environ={"SEWAPAY_ON_SURPLUS": "refund"})
    await two_payments_of_one_booking(shop)
    shop.clock.advance(minutes=60)
    await reconciled(shop)

    await reconciled(shop)

    assert shop.gateway.refunded == 1


@pytest.mark.fault("F61")
async def test_money_for_a_canceled_booking_is_held_given_back_or_honoured_as_the_policy_says() -> None:
    expected = {
        "hold": (PaymentStatus.UNDER_REVIEW, BookingStatus.CANCELED),
        "refund": (PaymentStatus.REFUNDED, BookingStatus.CANCELED),
        "honour": (PaymentStatus.COMPLETED, BookingStatus.CONFIRMED),
    }
    for policy, outcome in expected.items():
        shop = Shop(environ={"SEWAPAY_ON_PAID_LATE": policy})
        payment = await shop.given_an_open_payment()
        await shop.when_the_booking_is_canceled(await shop.stored_booking(payment.booking_id))
        shop.gateway.customer_pays(payment)
        for _ in range(3):
            shop.clock.advance(minutes=60)
            await reconciled(shop)

        kept = await shop.stored_payment(payment)
        assert (kept.status, (await shop.stored_booking(payment.booking_id)).status) == outcome, policy


@pytest.mark.fault("F47")
async def test_another_amount_is_honoured_only_where_it_is_more_than_is_owed() -> None:
    for policy, paid, outcome in (
        ("hold", Money(113001), (PaymentStatus.UNDER_REVIEW, BookingStatus.PENDING)),
        ("honour", Money(113001), (PaymentStatus.COMPLETED, BookingStatus.CONFIRMED)),
        ("honour", Money(1130), (PaymentStatus.UNDER_REVIEW, BookingStatus.PENDING)),
        ("refund", Money(1130), (PaymentStatus.REFUNDED, BookingStatus.PENDING)),
    ):
        shop = Shop(environ={"SEWAPAY_ON_AMOUNT_MISMATCH": policy})
        payment = await shop.given_an_open_payment()
        shop.gateway.customer_pays(payment, paid)
        for _ in range(3):
            shop.clock.advance(minutes=60)
            await reconciled(shop)

        kept = await shop.stored_payment(payment)
        assert (kept.status, (await shop.stored_booking(payment.booking_id)).status) == outcome, (policy, paid)


@pytest.mark.fault("F06")
@pytest.mark.fault("F40")
async def test_a_gateway_that_is_away_is_left_alone_for_a_while_and_tried_by_one_call() -> None:
    shop = Shop()
    payments = [await shop.given_an_open_payment() for _ in range(40)]
    shop.gateway.goes_silent()
    shop.clock.advance(minutes=1)

    first = await reconciled(shop)
    while_away = await reconciled(shop)
    shop.gateway.answers_again()
    for payment in payments:
        shop.gateway.customer_pays(payment)
    shop.clock.advance(minutes=6)
    probe = await reconciled(shop)
    rest = await reconciled(shop)

    assert first.silent + first.skipped == 40
    assert first.skipped > 0
    assert first.left_alone == ()
    assert while_away.claimed == 0
    assert (probe.claimed, probe.changed) == (1, 1)
    assert rest.changed == 39


async def test_a_run_that_takes_nothing_because_a_gateway_is_away_does_not_say_that_nothing_is_due() -> None:
    shop = Shop()
    for _ in range(5):
        await shop.given_an_open_payment()
    shop.gateway.goes_silent()
    shop.clock.advance(minutes=1)
    await reconciled(shop)

    while_away = await reconciled(shop)

    half_a_minute_later = shop.clock.now() + timedelta(seconds=30)
    assert while_away == Reconciled(left_alone=(LeftAlone(gateway=shop.gateway.name, until=half_a_minute_later),))


async def test_a_run_that_takes_nothing_because_the_budget_is_spent_says_so() -> None:
    shop = Shop(environ={"SEWAPAY_LOOKUPS_PER_MINUTE": "1"})
    for _ in range(2):
        await shop.given_an_open_payment()
    shop.clock.advance(minutes=1)
    await reconciled(shop)

    afterwards = await reconciled(shop)

    assert afterwards == Reconciled(left_alone=(LeftAlone(gateway=shop.gateway.name, until=None),))


async def test_the_budget_of_a_minute_is_kept_and_refilled_by_time() -> None:
    shop = Shop(environ={"SEWAPAY_LOOKUPS_PER_MINUTE": "10"})
    for _ in range(25):
        await shop.given_an_open_payment()
    shop.clock.advance(minutes=1)

    at_once = [(await reconciled(shop)).asked for _ in range(3)]
    shop.clock.advance(seconds=30)
    half_a_minute_later = await reconciled(shop)

    assert (at_once, half_a_minute_later.asked) == ([10, 0, 0], 5)


async def test_a_payment_that_breaks_the_reconciler_is_put_off_and_reported_and_the_rest_flows() -> None:
    shop = Shop()
    payments = [await shop.given_an_open_payment() for _ in range(5)]
    for payment in payments:
        shop.gateway.customer_pays(payment)
    poison, honest = payments[2], shop.gateway.look_up

    async def breaks_on_one(order: Order) -> Observation:
        if order.payment_id == poison.id:
            raise ZeroDivisionError
        return await honest(order)

    shop.container.gateways.override(providers.Object({shop.gateway.name: _Wrapped(shop.gateway, breaks_on_one)}))
    shop.clock.advance(minutes=1)
    done = await reconciled(shop)

    assert [claim.payment.id for claim, _ in done.broken] == [poison.id]
    assert done.changed == 4
    put_off = await shop.stored_payment(poison)
    assert put_off.next_check_at is not None
    assert put_off.next_check_at >= shop.clock.now() + timedelta(minutes=59)


async def test_a_gateway_that_breaks_a_whole_run_is_reported_and_the_others_go_on() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    tiny = GatewayName("tinypay")
    gateways = {tiny: _Nowhere(shop.gateway, shop.gateway.look_up), shop.gateway.name: shop.gateway}
    shop.container.gateways.override(providers.Object(gateways))
    shop.clock.advance(minutes=1)

    done = await reconciled(shop)

    assert [(name, type(error)) for name, error in done.stopped] == [(tiny, ZeroDivisionError)]
    assert (await shop.stored_payment(payment)).status is PaymentStatus.COMPLETED


async def test_a_store_that_is_away_stops_the_run() -> None:
    shop = Shop()
    await shop.given_an_open_payment()
    shop.memory.break_down()

    with pytest.raises(StoreUnavailable):
        await reconciled(shop)


class _Wrapped:
    """A gateway whose look-ups go another way."""

    def __init__(self, gateway: object, look_up: object) -> None:
        self._gateway = gateway
        self.look_up = look_up

    def __getattr__(self, name: str) -> object:
        return getattr(self._gateway, name)


class _Nowhere(_Wrapped):
    """A gateway that cannot say where it is, so that nothing can be taken for it."""

    @property
    def environment(self) -> Environment:
        raise ZeroDivisionError


async def test_a_hundred_readers_make_one_look_and_see_its_answer() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    shop.clock.advance(seconds=30)
    read = shop.container.read_payment

    seen = await asyncio.gather(*(read()(payment.id, None) for _ in range(100)))

    assert shop.gateway.looked_up == 1
    assert {found.payment.status for found in seen} == {PaymentStatus.COMPLETED}
    assert (await shop.stored_booking(payment.booking_id)).status is BookingStatus.CONFIRMED


async def test_readers_in_several_processes_make_one_look_and_it_is_fresh_for_a_moment() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.becomes_several_processes()
    shop.clock.advance(seconds=30)

    await asyncio.gather(*(shop.container.read_payment()(payment.id, None) for _ in range(100)))
    at_once = shop.gateway.looked_up
    shop.clock.advance(seconds=4)
    await shop.container.read_payment()(payment.id, None)
    a_moment_later = shop.gateway.looked_up
    shop.clock.advance(seconds=2)
    await shop.container.read_payment()(payment.id, None)

    assert (at_once, a_moment_later, shop.gateway.looked_up) == (1, 1, 2)


async def test_reading_a_settled_payment_asks_nobody() -> None:
    shop = Shop()
    paid = await shop.given_a_paid_booking()
    before = shop.gateway.looked_up
    shop.clock.advance(days=3)

    await shop.container.read_payment()(paid.payment.id, None)

    assert shop.gateway.looked_up == before


async def test_the_ledger_tells_every_paisa_that_came_and_went() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    answer = shop.gateway.payments[str(payment.gateway_reference)].answer
    shop.gateway.answers(payment, evolve(answer, reported=Reported.COMPLETED, fee=Money(3390)))
    shop.clock.advance(minutes=1)
    await reconciled(shop)
    shop.gateway.merchant_refunds(payment)
    shop.clock.advance(minutes=61)
    await reconciled(shop)

    postings = await shop.store.read(lambda view: view.ledger.of_payment(payment.id))

    assert [{entry.account.value: entry.paisa for entry in posting.entries} for posting in postings] == [
        {"customer_funds": -113000, "merchant_receivable": 109610, "gateway_fee": 3390},
        {"merchant_receivable": -113000, "refunds": 113000},
    ]
    assert Money(113000) == PRICE
