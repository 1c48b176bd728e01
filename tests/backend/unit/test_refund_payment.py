"""Giving money back, the rest of it: what refuses, waits, takes over, is decided by a policy, and ends a booking."""

import asyncio
from collections import Counter

import pytest
from attrs import evolve
from dependency_injector import providers

from sewapay.application.access import Operation
from sewapay.application.errors import (
    GatewayNotConfigured,
    NotAllowed,
    PaymentNotFound,
    RefundNotFound,
    RefundsNotOffered,
    StoreUnavailable,
)
from sewapay.application.idempotency import AlreadyAnswered, Answer, KeyName, Once
from sewapay.application.ports import Order, RefundKind, RefundOrder
from sewapay.application.refund_payment import RefundRequest
from sewapay.application.resolve_payment import Resolution
from sewapay.application.storage import Tx
from sewapay.domain.booking import BookingStatus
from sewapay.domain.errors import InvalidRefund, NothingToRefund, RefundInProgress, RefundTooLarge
from sewapay.domain.identifiers import PaymentId, RefundId
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.refund import Refund, RefundStatus
from sewapay.domain.resolution import Decision
from tests.backend.unit.world import FailingStore, InterruptedGateway, Killed, PatientClock, until
from tests.shop import RAM, SERVICE, STAFF, Shop, customer

NOBODYS = "00000000-0000-4000-8000-000000000000"


class ToldGateway(InterruptedGateway):
    """A gateway in whose refunds something happens first, and which notes whether the intent was stored by then."""

    def __init__(self, shop_of: list[Shop]) -> None:
        super().__init__()
        self.stored_before: list[tuple[RefundStatus, Money]] = []
        self.raises: BaseException | None = None
        self.held: asyncio.Event | None = None
        self._shop_of = shop_of

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        (shop,) = self._shop_of
        payment = await shop.stored_payment(order.payment_id)
        (*_, refund) = await refunds_of(shop, payment)
        self.stored_before.append((refund.status, payment.amount_reserved))
        if self.held is not None:
            await self.held.wait()
        if self.raises is not None:
            raise self.raises
        return await super().refund(order, wanted)


def a_told_shop(**environ: str) -> tuple[Shop, ToldGateway]:
    known: list[Shop] = []
    gateway = ToldGateway(known)
    known.append(Shop(gateway=gateway, environ=environ))
    known[0].gateway = gateway
    return known[0], gateway


async def given_back(
    shop: Shop, payment: Payment, amount: Money | None = None, *, once: Once[Refund] | None = None
) -> Refund:
    request = RefundRequest(by=STAFF, payment_id=payment.id, amount=amount, reason="the cleaner was ill", once=once)
    return await shop.container.refund_payment()(request)


async def refunds_of(shop: Shop, payment: Payment) -> list[Refund]:
    return await shop.store.read(lambda view: view.refunds.of_payment(payment.id))


async def reconciled(shop: Shop, *, times: int = 1, minutes: float = 10) -> None:
    for _ in range(times):
        shop.clock.advance(minutes=minutes)
        await shop.container.reconcile_payments()(100)


async def surplus(shop: Shop) -> Payment:
    """The second of two payments of one booking, as it stands once both were noticed by the reconciler."""
    first = await shop.given_an_open_payment()
    shop.gateway.customer_cancels(first)
    second = await shop.when_the_customer_opens_a_checkout(await shop.stored_booking(first.booking_id))
    for payment in (first, second):
        shop.gateway.customer_pays(payment)
    await reconciled(shop, times=2, minutes=45)
    (found,) = [kept for kept in (await shop.stored_payment(first), await shop.stored_payment(second)) if kept.surplus]
    return found


def gateways_books(shop: Shop, payment: Payment) -> int:
    return sum(shop.gateway.payments[str(payment.gateway_reference)].given_back, NOTHING).paisa


@pytest.mark.fault("F66")
@pytest.mark.invariant("I9")
async def test_the_intent_and_its_amount_are_stored_before_the_gateway_hears_of_it() -> None:
    shop, gateway = a_told_shop()
    payment = (await shop.given_a_paid_booking()).payment

    await given_back(shop, payment, Money(13000))

    assert gateway.stored_before == [(RefundStatus.SUBMITTED, Money(13000))]


@pytest.mark.fault("F62")
@pytest.mark.parametrize(("amount", "error"), [(Money(0), InvalidRefund), (Money(113001), RefundTooLarge)])
async def test_an_amount_that_cannot_be_reserves_nothing_and_no_gateway_hears_of_it(
    amount: Money, error: type[Exception]
) -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment

    with pytest.raises(error):
        await given_back(shop, payment, amount)

    assert await shop.stored_payment(payment) == payment
    assert (await refunds_of(shop, payment), shop.gateway.refunded) == ([], 0)


async def test_what_went_back_as_a_whole_is_not_given_back_again() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    await given_back(shop, payment)

    with pytest.raises(NothingToRefund):
        await given_back(shop, payment)

    assert gateways_books(shop, payment) == 113000


async def test_a_payment_that_is_not_there_is_not_found() -> None:
    with pytest.raises(PaymentNotFound):
        await Shop().container.refund_payment()(
            RefundRequest(by=STAFF, payment_id=PaymentId(NOBODYS), amount=None, reason="a mistake")
        )


async def test_where_a_gateway_gives_nothing_back_nothing_is_written_down() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.gateway.capabilities = evolve(shop.gateway.capabilities, refunds=RefundKind.NONE)

    with pytest.raises(RefundsNotOffered, match="in its own panel"):
        await given_back(shop, payment)

    assert await refunds_of(shop, payment) == []


@pytest.mark.fault("F63")
@pytest.mark.invariant("I12")
@pytest.mark.invariant("I13")
async def test_of_fifty_refunds_of_all_at_once_one_is_made() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.container.clock.override(providers.Object(PatientClock()))

    outcomes = await asyncio.gather(*(given_back(shop, payment) for _ in range(50)), return_exceptions=True)

    assert Counter(type(outcome) for outcome in outcomes) == {Refund: 1, NothingToRefund: 49}
    assert (shop.gateway.refunded, gateways_books(shop, payment)) == (1, 113000)


@pytest.mark.fault("F63")
@pytest.mark.invariant("I12")
async def test_of_fifty_refunds_of_a_part_and_of_the_rest_at_once_never_more_goes_back_than_was_paid() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.container.clock.override(providers.Object(PatientClock()))
    wanted = [Money(50000) if number % 5 else None for number in range(1, 51)]

    outcomes = await asyncio.gather(*(given_back(shop, payment, one) for one in wanted), return_exceptions=True)

    made = [outcome.amount.paisa for outcome in outcomes if isinstance(outcome, Refund)]
    refused = {type(outcome) for outcome in outcomes if not isinstance(outcome, Refund)}
    assert sum(made) == gateways_books(shop, payment) == 113000
    assert shop.gateway.refunded == len(made)
    assert refused == {RefundTooLarge, NothingToRefund} or refused == {NothingToRefund}
    assert (await shop.stored_payment(payment)).status is PaymentStatus.REFUNDED


async def test_whoever_waits_for_another_refund_is_told_after_a_while() -> None:
    shop, gateway = a_told_shop()
    payment = (await shop.given_a_paid_booking()).payment
    gateway.held = asyncio.Event()
    first = asyncio.create_task(given_back(shop, payment, Money(13000)))
    await until(lambda: bool(gateway.stored_before))
    begun = shop.clock.now()

    with pytest.raises(RefundInProgress):
        await given_back(shop, payment, Money(13000))
    waited = (shop.clock.now() - begun).total_seconds()
    gateway.held.set()

    assert 15 <= waited < 15.2
    assert (await first).status is RefundStatus.CONFIRMED
    assert gateways_books(shop, payment) == 13000


async def test_nobody_waits_for_a_refund_whose_sender_is_gone() -> None:
    shop, gateway = a_told_shop()
    payment = (await shop.given_a_paid_booking()).payment
    gateway.raises = Killed()
    with pytest.raises(Killed):
        await given_back(shop, payment, Money(13000))
    shop.clock.advance(seconds=30)
    begun = shop.clock.now()

    with pytest.raises(RefundInProgress):
        await given_back(shop, payment, Money(13000))

    assert shop.clock.now() == begun


@pytest.mark.fault("F66")
@pytest.mark.fault("F71")
@pytest.mark.invariant("I13")
async def test_a_refund_whose_request_was_dropped_half_way_is_found_and_never_sent_again() -> None:
    shop, gateway = a_told_shop()
    payment = (await shop.given_a_paid_booking()).payment
    gateway.held = asyncio.Event()
    request = asyncio.create_task(given_back(shop, payment))
    await until(lambda: bool(gateway.stored_before))

    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    (cut_off,) = await refunds_of(shop, payment)
    await reconciled(shop, minutes=1)
    (unknown,) = await refunds_of(shop, payment)
    await reconciled(shop, times=8)

    (settled,) = await refunds_of(shop, payment)
    assert [refund.status for refund in (cut_off, unknown, settled)] == [
        RefundStatus.SUBMITTED,
        RefundStatus.UNKNOWN,
        RefundStatus.REJECTED,
    ]
    assert (len(gateway.stored_before), gateways_books(shop, payment)) == (1, 0)
    assert (await shop.stored_payment(payment)).amount_reserved == NOTHING


@pytest.mark.fault("F64")
@pytest.mark.fault("F66")
async def test_while_the_gateway_is_silent_a_cut_off_refund_is_unknown_and_soon_a_persons_to_decide() -> None:
    shop, gateway = a_told_shop()
    payment = (await shop.given_a_paid_booking()).payment
    gateway.raises = Killed()
    with pytest.raises(Killed):
        await given_back(shop, payment)
    shop.gateway.goes_silent()

    await reconciled(shop, minutes=1)
    (unknown,) = await refunds_of(shop, payment)
    await reconciled(shop, times=12)

    kept = await shop.stored_payment(payment)
    assert unknown.status is RefundStatus.UNKNOWN
    assert (kept.review_reason, kept.amount_reserved) == (ReviewReason.REFUND_UNKNOWN, Money(113000))
    assert kept.next_check_at is not None
    assert kept.next_check_at > shop.clock.now()


@pytest.mark.fault("F64")
async def test_a_part_that_the_gateway_shows_after_its_silence_is_confirmed_by_it() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.gateway.loses_refund_answers()
    shop.gateway.lags_refunds(1)

    refund = await given_back(shop, payment, Money(13000))
    shop.gateway.answers_again()
    await reconciled(shop)

    (found,) = await refunds_of(shop, payment)
    assert (refund.status, found.status) == (RefundStatus.UNKNOWN, RefundStatus.CONFIRMED)
    assert (await shop.stored_payment(payment)).amount_refunded == Money(13000)


@pytest.mark.fault("F65")
async def test_a_yes_that_the_gateway_does_not_show_for_a_day_is_still_only_submitted() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.gateway.lags_refunds(40)

    await given_back(shop, payment)
    await reconciled(shop, times=24, minutes=60)
    (waiting,) = await refunds_of(shop, payment)
    await reconciled(shop, times=24 * 10, minutes=60)

    (confirmed,) = await refunds_of(shop, payment)
    assert (waiting.status, confirmed.status) == (RefundStatus.SUBMITTED, RefundStatus.CONFIRMED)
    assert shop.gateway.refunded == 1


@pytest.mark.fault("F66")
@pytest.mark.invariant("I11")
async def test_an_answer_from_before_the_refund_does_not_put_off_looking_for_it() -> None:
    shop, gateway = a_told_shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.becomes_several_processes()
    shop.clock.advance(days=31)  # no look of the payment's own is planned any more
    answer = shop.gateway.payments[str(payment.gateway_reference)].answer
    shop.gateway.answers(payment, evolve(answer, fee=Money(3390)))
    gateway.raises = Killed()

    async def another_process_is_killed_in_a_refund() -> None:
        with pytest.raises(Killed):
            await given_back(shop, payment)

    gateway.while_looking = another_process_is_killed_in_a_refund
    await shop.when_it_is_verified(payment, even_if_settled=True)
    await reconciled(shop, minutes=1)

    (refund,) = await refunds_of(shop, payment)
    assert refund.status is RefundStatus.UNKNOWN


@pytest.mark.parametrize("fault", ["refuses_connections", "refuses_key", "refuses_refunds"])
async def test_what_certainly_did_not_happen_is_rejected_and_its_amount_is_free(fault: str) -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    getattr(shop.gateway, fault)()

    rejected = await given_back(shop, payment)
    shop.gateway.answers_again()
    again = await given_back(shop, payment)

    assert (rejected.status, again.status) == (RefundStatus.REJECTED, RefundStatus.CONFIRMED)
    assert gateways_books(shop, payment) == 113000


async def test_without_a_key_nothing_is_sent_and_the_amount_is_free() -> None:
    shop, gateway = a_told_shop()
    payment = (await shop.given_a_paid_booking()).payment
    gateway.raises = GatewayNotConfigured("its key is missing here")

    rejected = await given_back(shop, payment)

    assert (rejected.status, rejected.said) == (RefundStatus.REJECTED, "not sent: its key is missing here")
    assert (await shop.stored_payment(payment)).amount_reserved == NOTHING


async def test_an_answer_that_comes_after_it_was_settled_changes_nothing() -> None:
    shop, gateway = a_told_shop()
    payment = (await shop.given_a_paid_booking()).payment
    gateway.held = asyncio.Event()
    slow = asyncio.create_task(given_back(shop, payment, Money(13000)))
    await until(lambda: bool(gateway.stored_before))
    await reconciled(shop, times=8)
    (given_up,) = await refunds_of(shop, payment)

    gateway.held.set()
    await slow

    assert given_up.status is RefundStatus.REJECTED
    assert await refunds_of(shop, payment) == [given_up]


# what a policy wants


@pytest.mark.fault("F60")
@pytest.mark.invariant("I13")
async def test_surplus_that_a_policy_gives_back_is_sent_once_and_not_again_after_a_refusal() -> None:
    shop = Shop(environ={"SEWAPAY_ON_SURPLUS": "refund"})
    shop.gateway.refuses_refunds()

    payment = await surplus(shop)
    await reconciled(shop, times=60, minutes=60)

    kept = await shop.stored_payment(payment)
    assert shop.gateway.refunded == 1
    assert [refund.status for refund in await refunds_of(shop, payment)] == [RefundStatus.REJECTED]
    assert (kept.refund_due, kept.review_reason) == (False, ReviewReason.SURPLUS)


@pytest.mark.fault("F60")
@pytest.mark.invariant("I13")
async def test_surplus_that_may_have_gone_back_is_not_sent_again() -> None:
    shop = Shop(environ={"SEWAPAY_ON_SURPLUS": "refund"})
    shop.gateway.loses_refunds()

    payment = await surplus(shop)
    await reconciled(shop, times=60, minutes=60)

    assert shop.gateway.refunded == 1
    assert (await shop.stored_payment(payment)).needs_attention


@pytest.mark.fault("F60")
async def test_surplus_whose_refund_never_left_is_sent_when_the_gateway_is_there_again() -> None:
    shop, gateway = a_told_shop(SEWAPAY_ON_SURPLUS="refund")
    gateway.raises = GatewayNotConfigured("its key is missing here")
    payment = await surplus(shop)
    assert [refund.status for refund in await refunds_of(shop, payment)] == [RefundStatus.REJECTED]

    gateway.raises = None
    await reconciled(shop, times=3)

    kept = await shop.stored_payment(payment)
    assert (kept.status, kept.refund_due) == (PaymentStatus.REFUNDED, False)
    assert gateways_books(shop, payment) == 113000
    assert {refund.requested_by for refund in await refunds_of(shop, payment)} == {"sewapay"}


@pytest.mark.fault("F60")
async def test_where_the_gateway_gives_nothing_back_surplus_is_left_to_a_person() -> None:
    shop = Shop(environ={"SEWAPAY_ON_SURPLUS": "refund"})
    shop.gateway.capabilities = evolve(shop.gateway.capabilities, refunds=RefundKind.NONE)

    payment = await surplus(shop)
    await reconciled(shop, times=2)

    kept = await shop.stored_payment(payment)
    assert (kept.refund_due, kept.needs_attention) == (False, True)
    assert str(kept.reason).startswith(
        "not given back: Fake gives nothing back by a call of ours: refund it in its own panel"
    )


@pytest.mark.fault("F47")
@pytest.mark.invariant("I3")
async def test_money_that_turns_out_to_be_right_is_not_given_back_by_the_policy_for_wrong_amounts() -> None:
    shop = Shop(environ={"SEWAPAY_ON_AMOUNT_MISMATCH": "refund"})
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment, Money(paisa=113001))
    await reconciled(shop)
    assert (await shop.stored_payment(payment)).refund_due

    shop.gateway.customer_pays(payment)
    await reconciled(shop, times=3)

    kept = await shop.stored_payment(payment)
    assert (kept.status, kept.refund_due, kept.reason) == (PaymentStatus.COMPLETED, False, None)
    assert (await shop.stored_booking(payment.booking_id)).status is BookingStatus.CONFIRMED
    assert (gateways_books(shop, payment), await refunds_of(shop, payment)) == (0, [])


@pytest.mark.fault("F60")
async def test_what_a_person_keeps_while_the_gateway_is_looked_at_is_not_given_back() -> None:
    shop = Shop(environ={"SEWAPAY_ON_PAID_LATE": "refund"})
    payment = await shop.given_an_open_payment()
    await shop.when_the_booking_is_canceled(await shop.stored_booking(payment.booking_id))
    shop.gateway.customer_pays(payment)
    await reconciled(shop)
    due = await shop.stored_payment(payment)
    shop.gateway.holds_answers()
    giving_back = asyncio.create_task(reconciled(shop))
    await until(lambda: shop.gateway.looked_up == 2)

    await shop.container.resolve_payment()(
        Resolution(
            by=STAFF, payment_id=payment.id, decision=Decision.HONOUR, reason="she comes after all", version=due.version
        )
    )
    shop.gateway.releases_answers()
    await giving_back

    kept = await shop.stored_payment(payment)
    assert (due.refund_due, kept.status, kept.refund_due) == (True, PaymentStatus.COMPLETED, False)
    assert (gateways_books(shop, payment), await refunds_of(shop, payment)) == (0, [])


@pytest.mark.fault("F75")
async def test_a_database_that_is_away_for_a_moment_does_not_give_up_what_is_to_go_back() -> None:
    store = FailingStore()
    shop = Shop(store=store, environ={"SEWAPAY_ON_PAID_LATE": "refund"})
    payment = await shop.given_an_open_payment()
    await shop.when_the_booking_is_canceled(await shop.stored_booking(payment.booking_id))
    shop.gateway.customer_pays(payment)
    await reconciled(shop, minutes=2)
    assert (await shop.stored_payment(payment)).refund_due

    store.fails_at(2)  # the first claims it, the second would reserve its amount
    await reconciled(shop, minutes=2)
    still_due = await shop.stored_payment(payment)
    await reconciled(shop, times=2, minutes=61)

    assert (still_due.refund_due, still_due.amount_reserved) == (True, NOTHING)
    assert (await shop.stored_payment(payment)).status is PaymentStatus.REFUNDED


# what becomes of the booking


@pytest.mark.parametrize(
    ("policy", "status"), [("refunded", BookingStatus.REFUNDED), ("keep", BookingStatus.CONFIRMED)]
)
async def test_a_booking_whose_payment_went_back_as_a_whole_ends_or_is_kept_as_the_policy_says(
    policy: str, status: BookingStatus
) -> None:
    shop = Shop(environ={"SEWAPAY_ON_FULL_REFUND": policy})
    paid = await shop.given_a_paid_booking()

    await given_back(shop, paid.payment, Money(13000))
    after_a_part = await shop.stored_booking(paid.booking)
    await given_back(shop, paid.payment)

    kept = await shop.stored_booking(paid.booking)
    assert (after_a_part.status, kept.status, kept.settled_by) == (BookingStatus.CONFIRMED, status, paid.payment.id)


async def test_no_checkout_is_opened_for_a_booking_whose_money_went_back() -> None:
    shop = Shop()
    paid = await shop.given_a_paid_booking()
    await given_back(shop, paid.payment)

    with pytest.raises(Exception, match="was paid and given back"):
        await shop.when_the_customer_opens_a_checkout(paid.booking)


# a caller's key


def under_a_key() -> Once[Refund]:
    def render(refund: Refund) -> Answer:
        return Answer(status=201, headers={}, body=f"{refund.id} {refund.status}".encode())

    name = KeyName(principal="staff:7", operation="refund", key="7f4c")
    return Once(name=name, fingerprint="all of it", render=render)


@pytest.mark.fault("F66")
@pytest.mark.invariant("I13")
@pytest.mark.invariant("I14")
@pytest.mark.parametrize("happened", [False, True])
async def test_a_refund_that_is_taken_over_is_answered_and_never_sent_again(happened: bool) -> None:
    shop, gateway = a_told_shop()
    payment = (await shop.given_a_paid_booking()).payment
    gateway.raises = Killed()
    with pytest.raises(Killed):
        await given_back(shop, payment, once=under_a_key())
    if happened:
        shop.gateway.merchant_refunds(payment)
        await reconciled(shop, minutes=1)
    shop.clock.advance(seconds=40)

    taken_over = await given_back(shop, payment, once=under_a_key())
    with pytest.raises(AlreadyAnswered) as caught:
        await given_back(shop, payment, once=under_a_key())

    status = RefundStatus.CONFIRMED if happened else RefundStatus.UNKNOWN
    assert taken_over.status is status
    assert caught.value.answer.body == f"{taken_over.id} {status}".encode()
    assert len(gateway.stored_before) == 1


async def test_a_refund_that_was_refused_leaves_its_key_free() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()
    with pytest.raises(NothingToRefund):
        await given_back(shop, payment, once=under_a_key())
    shop.gateway.customer_pays(payment)
    await shop.when_it_is_verified(payment)

    assert (await given_back(shop, payment, once=under_a_key())).status is RefundStatus.CONFIRMED


# who may read of it


async def test_a_customer_reads_the_refunds_of_their_own_payments_only() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    refund = await given_back(shop, payment)
    read, list_ = shop.container.read_refund(), shop.container.read_refunds()

    assert await read(refund.id, customer()) == refund
    assert await list_(payment.id, customer()) == [refund]
    with pytest.raises(RefundNotFound):
        await read(refund.id, customer(RAM))
    with pytest.raises(PaymentNotFound):
        await list_(payment.id, customer(RAM))
    with pytest.raises(RefundNotFound):
        await read(RefundId(NOBODYS), STAFF)


async def test_only_staff_and_services_give_money_back() -> None:
    assert STAFF.may(Operation.REFUND_PAYMENT)
    assert SERVICE.may(Operation.REFUND_PAYMENT)
    with pytest.raises(NotAllowed):
        customer().require(Operation.REFUND_PAYMENT)


@pytest.mark.fault("F75")
async def test_while_the_database_is_away_no_gateway_hears_of_a_refund() -> None:
    store = FailingStore()
    shop = Shop(store=store)
    payment = (await shop.given_a_paid_booking()).payment
    store.fails_at(1)

    with pytest.raises(StoreUnavailable):
        await given_back(shop, payment)

    assert shop.gateway.refunded == 0
    assert (await shop.stored_payment(payment)).amount_reserved == NOTHING


@pytest.mark.fault("F50")
@pytest.mark.invariant("I13")
async def test_a_part_that_went_back_in_the_panel_is_noticed_before_anything_is_sent() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.gateway.merchant_refunds(payment, Money(50000))

    with pytest.raises(NothingToRefund, match="nobody knows how much"):
        await given_back(shop, payment)

    kept = await shop.stored_payment(payment)
    assert shop.gateway.refunded == 0
    assert (kept.status, kept.amount_refunded, kept.review_reason) == (
        PaymentStatus.PARTIALLY_REFUNDED,
        None,
        ReviewReason.REFUNDED_OUTSIDE,
    )


@pytest.mark.fault("F50")
async def test_a_part_that_went_back_in_the_panel_while_ours_was_refused_is_noticed() -> None:
    shop, gateway = a_told_shop()
    payment = (await shop.given_a_paid_booking()).payment
    gateway.held = asyncio.Event()
    shop.gateway.refuses_refunds()
    request = asyncio.create_task(given_back(shop, payment))
    await until(lambda: bool(gateway.stored_before))
    shop.gateway.merchant_refunds(payment, Money(50000))

    gateway.held.set()
    refused = await request

    kept = await shop.stored_payment(payment)
    assert refused.status is RefundStatus.REJECTED
    assert (kept.status, kept.amount_refunded, kept.review_reason) == (
        PaymentStatus.PARTIALLY_REFUNDED,
        None,
        ReviewReason.REFUNDED_OUTSIDE,
    )


class ChangedMeanwhile(InterruptedGateway):
    """While each look after a refund is on its way, as often as is told, another process changes the payment."""

    def __init__(self, *, times: int, seconds: int = 0) -> None:
        super().__init__()
        self.shop: Shop | None = None
        self.times, self.seconds = times, seconds

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        said = await super().refund(order, wanted)
        shop, left = self.shop, self.times
        assert shop is not None

        def looked_at(tx: Tx) -> Payment:
            tx.bookings.get(order.booking_id)
            payment = tx.payments.get(order.payment_id)
            return tx.payments.save(evolve(payment, looked_at=shop.clock.now()))

        async def another_look() -> Payment:
            nonlocal left
            left -= 1
            shop.clock.advance(seconds=self.seconds + 1)
            self.while_looking = another_look if left else None
            return await shop.store.transact(looked_at)

        self.while_looking = another_look
        return said


@pytest.mark.parametrize(
    ("times", "seconds", "status", "looks"),
    [
        (1, 0, RefundStatus.CONFIRMED, 2),
        (2, 0, RefundStatus.CONFIRMED, 3),
        (3, 0, RefundStatus.SUBMITTED, 3),
        (1, 11, RefundStatus.SUBMITTED, 1),
    ],
    ids=["once", "twice", "too often", "too late"],
)
async def test_a_look_that_was_dropped_because_the_payment_changed_is_made_again(
    times: int, seconds: int, status: RefundStatus, looks: int
) -> None:
    gateway = ChangedMeanwhile(times=times, seconds=seconds)
    gateway.shop = shop = Shop(gateway=gateway)
    shop.gateway = gateway
    payment = (await shop.given_a_paid_booking()).payment
    before = gateway.looked_up

    refund = await given_back(shop, payment, Money(13000))

    assert refund.status is status
    assert (gateway.refunded, gateway.looked_up - before) == (1, 1 + looks), "one before it was sent"
