"""Giving money back: reserved before it is sent, sent once, and believed when a look-up shows it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import pytest
from attrs import evolve
from dependency_injector import providers

from sewapay.adapters.fake.gateway import FakeGateway
from sewapay.adapters.memory.store import MemoryStore
from sewapay.adapters.system import RandomIds
from sewapay.application.access import Principal
from sewapay.application.errors import NotAllowed, RefundsNotOffered
from sewapay.application.ports import Order, RefundKind, RefundOrder
from sewapay.application.refund_payment import RefundRequest
from sewapay.application.storage import Tx
from sewapay.domain.errors import NothingToRefund, RefundInProgress, RefundTooLarge
from sewapay.domain.identifiers import RefundId
from sewapay.domain.ledger import Account
from sewapay.domain.money import NOTHING, Money
from sewapay.domain.payment import Payment, PaymentStatus, ReviewReason
from sewapay.domain.refund import Refund, RefundStatus
from tests.backend.unit.world import Killed, PatientClock, until
from tests.shop import KHALTI, PRICE, STAFF, Shop, customer

T = TypeVar("T")


class InterruptedStore(MemoryStore):
    """A store before whose next transaction something else happens."""

    def __init__(self) -> None:
        super().__init__()
        self.before_the_next: Callable[[], Awaitable[object]] | None = None

    async def transact(self, work: Callable[[Tx], T]) -> T:
        happens, self.before_the_next = self.before_the_next, None
        if happens is not None:
            await happens()
        return await super().transact(work)


class ArmingIds(RandomIds):
    """Names; when one is asked for a refund, its first transaction is the next one, and something happens before it."""

    def __init__(self, store: InterruptedStore, happens: Callable[[], Awaitable[object]]) -> None:
        self._store = store
        self._happens = happens

    def refund_id(self) -> RefundId:
        happens, self._happens = self._happens, _nothing
        self._store.before_the_next = happens
        return super().refund_id()


async def _nothing() -> None:
    """Happens."""


class PanelGateway(FakeGateway):
    """A gateway in whose panel somebody gives everything back just before our own refund arrives."""

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        self.merchant_refunds(str(order.gateway_reference))
        return await super().refund(order, wanted)


class SlowGateway(FakeGateway):
    """A gateway that gives money back and takes its time to say so."""

    may_say_so: asyncio.Event

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        self.may_say_so = asyncio.Event()
        said = await super().refund(order, wanted)
        await self.may_say_so.wait()
        return said


class DyingGateway(FakeGateway):
    """A gateway that gives money back, while the process that asked for it dies."""

    dies = False

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        said = await super().refund(order, wanted)
        if self.dies:
            raise Killed
        return said


async def refunded(shop: Shop, payment: Payment, paisa: int | None = None, *, by: Principal = STAFF) -> Refund:
    """What staff asked to be given back, as it stands then."""
    amount = None if paisa is None else Money(paisa)
    request = RefundRequest(by=by, payment_id=payment.id, amount=amount, reason="the cleaner was ill")
    return await shop.container.refund_payment()(request)


async def reconciled(shop: Shop) -> None:
    await shop.container.reconcile_payments()(100)


async def refund_now(shop: Shop, refund: Refund) -> Refund:
    return await shop.store.read(lambda view: view.refunds.get(refund.id))


async def what_stands(shop: Shop, payment: Payment) -> tuple[PaymentStatus, Money | None, Money]:
    """Status, what went back, and what is reserved."""
    kept = await shop.stored_payment(payment)
    return kept.status, kept.amount_refunded, kept.amount_reserved


async def given_back_at_gateway(shop: Shop, payment: Payment) -> int:
    """What the gateway's own books say went back."""
    return sum(shop.gateway.payments[str(payment.gateway_reference)].given_back, NOTHING).paisa


@pytest.mark.fault("F62")
@pytest.mark.invariant("I12")
async def test_more_than_is_left_is_never_given_back() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    await refunded(shop, payment, 100000)

    with pytest.raises(RefundTooLarge):
        await refunded(shop, payment, 13001)
    rest = await refunded(shop, payment, 13000)
    with pytest.raises(NothingToRefund):
        await refunded(shop, payment, 1)

    assert rest.status is RefundStatus.CONFIRMED
    assert await what_stands(shop, payment) == (PaymentStatus.REFUNDED, PRICE, NOTHING)
    assert (shop.gateway.refunded, await given_back_at_gateway(shop, payment)) == (2, 113000)


@pytest.mark.fault("F62")
async def test_what_was_not_paid_is_not_given_back() -> None:
    shop = Shop()
    payment = await shop.given_an_open_payment()

    with pytest.raises(NothingToRefund):
        await refunded(shop, payment)

    assert shop.gateway.refunded == 0


@pytest.mark.fault("F63")
@pytest.mark.invariant("I12")
async def test_what_is_left_is_reckoned_under_the_lock() -> None:
    store = InterruptedStore()
    shop = Shop(store=store)
    payment = (await shop.given_a_paid_booking()).payment

    async def somebody_else_is_faster() -> None:
        await refunded(shop, payment, 60000)

    shop.container.ids.override(providers.Object(ArmingIds(store, somebody_else_is_faster)))
    with pytest.raises(RefundTooLarge):
        await refunded(shop, payment, 60000)

    assert (shop.gateway.refunded, await given_back_at_gateway(shop, payment)) == (1, 60000)


@pytest.mark.fault("F63")
@pytest.mark.invariant("I12")
@pytest.mark.invariant("I13")
async def test_of_fifty_refunds_at_once_those_that_fit_are_made() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.clock = PatientClock()
    shop.container.clock.override(providers.Object(shop.clock))

    outcomes = await asyncio.gather(*(refunded(shop, payment, 5000) for _ in range(50)), return_exceptions=True)

    kinds = Counter(type(outcome) for outcome in outcomes)
    assert kinds == {Refund: 22, RefundTooLarge: 28}  # 22 * 5000 is the most that fits in 113000
    assert {outcome.status for outcome in outcomes if isinstance(outcome, Refund)} == {RefundStatus.CONFIRMED}
    assert await what_stands(shop, payment) == (PaymentStatus.PARTIALLY_REFUNDED, Money(110000), NOTHING)
    assert (shop.gateway.refunded, await given_back_at_gateway(shop, payment)) == (22, 110000)


@pytest.mark.fault("F64")
@pytest.mark.invariant("I10")
@pytest.mark.invariant("I13")
async def test_what_may_have_gone_back_stays_reserved_and_nothing_is_sent_again() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.gateway.loses_refunds()

    refund = await refunded(shop, payment, 50000)
    with pytest.raises(RefundInProgress):
        await refunded(shop, payment, 10000)
    for _ in range(3):
        shop.clock.advance(minutes=10)
        await reconciled(shop)

    assert refund.status is (await refund_now(shop, refund)).status is RefundStatus.UNKNOWN
    assert await what_stands(shop, payment) == (PaymentStatus.COMPLETED, NOTHING, Money(50000))
    assert shop.gateway.refunded == 1


@pytest.mark.fault("F64")
async def test_a_refund_that_nothing_shows_after_an_hour_did_not_happen_and_its_amount_is_free_again() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.gateway.loses_refunds()
    refund = await refunded(shop, payment, 50000)
    shop.gateway.answers_again()

    for _ in range(9):
        shop.clock.advance(minutes=10)
        await reconciled(shop)
    again = await refunded(shop, payment, 113000)

    assert (await refund_now(shop, refund)).status is RefundStatus.REJECTED
    assert again.status is RefundStatus.CONFIRMED
    assert (shop.gateway.refunded, await given_back_at_gateway(shop, payment)) == (2, 113000)


@pytest.mark.fault("F64")
@pytest.mark.fault("F65")
@pytest.mark.invariant("I13")
async def test_a_refund_that_the_gateway_shows_late_was_not_given_up() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.gateway.loses_refund_answers()
    shop.gateway.lags_refunds(2)

    refund = await refunded(shop, payment, 50000)
    with pytest.raises(RefundInProgress):
        await refunded(shop, payment)
    for _ in range(4):
        shop.clock.advance(minutes=10)
        await reconciled(shop)

    assert refund.status is RefundStatus.UNKNOWN
    assert (await refund_now(shop, refund)).status is RefundStatus.CONFIRMED
    assert await what_stands(shop, payment) == (PaymentStatus.PARTIALLY_REFUNDED, Money(50000), NOTHING)
    assert (shop.gateway.refunded, await given_back_at_gateway(shop, payment)) == (1, 50000)


@pytest.mark.fault("F64")
async def test_a_second_part_without_an_answer_cannot_be_told_apart_and_is_put_before_a_person() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    await refunded(shop, payment, 50000)
    shop.gateway.loses_refund_answers()

    refund = await refunded(shop, payment, 10000)
    for _ in range(12):
        shop.clock.advance(minutes=30)
        await reconciled(shop)

    assert (await refund_now(shop, refund)).status is RefundStatus.UNKNOWN
    assert (await shop.stored_payment(payment)).review_reason is ReviewReason.REFUND_UNKNOWN
    assert await what_stands(shop, payment) == (PaymentStatus.PARTIALLY_REFUNDED, Money(50000), Money(10000))
    assert shop.gateway.refunded == 2


@pytest.mark.fault("F65")
@pytest.mark.invariant("I1")
async def test_a_yes_is_not_believed_before_a_look_up_agrees() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.gateway.lags_refunds(1)

    refund = await refunded(shop, payment)
    before = await what_stands(shop, payment)
    await shop.when_it_is_verified(payment)

    assert refund.status is RefundStatus.SUBMITTED
    assert before == (PaymentStatus.COMPLETED, NOTHING, PRICE)
    assert (await refund_now(shop, refund)).status is RefundStatus.CONFIRMED
    assert await what_stands(shop, payment) == (PaymentStatus.REFUNDED, PRICE, NOTHING)


@pytest.mark.fault("F65")
async def test_a_refusal_because_it_went_back_just_before_is_settled_by_the_look_up() -> None:
    gateway = PanelGateway(name=KHALTI)
    shop = Shop(gateway=gateway)
    shop.gateway = gateway
    payment = (await shop.given_a_paid_booking()).payment

    refund = await refunded(shop, payment)

    assert refund.status is RefundStatus.CONFIRMED
    assert await what_stands(shop, payment) == (PaymentStatus.REFUNDED, PRICE, NOTHING)
    assert await given_back_at_gateway(shop, payment) == 113000


@pytest.mark.fault("F65")
@pytest.mark.invariant("I13")
async def test_what_went_back_in_the_panel_is_noticed_before_anything_is_sent() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.gateway.merchant_refunds(payment)

    with pytest.raises(NothingToRefund):
        await refunded(shop, payment)

    assert (shop.gateway.refunded, await given_back_at_gateway(shop, payment)) == (0, 113000)


@pytest.mark.fault("F66")
@pytest.mark.invariant("I9")
@pytest.mark.invariant("I13")
async def test_a_refund_whose_process_died_is_found_by_a_look_up_and_never_sent_again() -> None:
    gateway = DyingGateway(name=KHALTI)
    shop = Shop(gateway=gateway)
    shop.gateway = gateway
    payment = (await shop.given_a_paid_booking()).payment
    gateway.dies = True
    with pytest.raises(Killed):
        await refunded(shop, payment, 50000)
    gateway.dies = False
    (begun,) = await shop.store.read(lambda view: view.refunds.of_payment(payment.id))

    shop.clock.advance(seconds=31)
    await reconciled(shop)

    assert begun.status is RefundStatus.SUBMITTED
    assert (await refund_now(shop, begun)).status is RefundStatus.CONFIRMED
    assert await what_stands(shop, payment) == (PaymentStatus.PARTIALLY_REFUNDED, Money(50000), NOTHING)
    assert gateway.refunded == 1


@pytest.mark.fault("F66")
async def test_a_refund_whose_process_died_before_the_gateway_heard_is_not_sent_by_anybody_else() -> None:
    store = InterruptedStore()
    shop = Shop(store=store)
    payment = (await shop.given_a_paid_booking()).payment
    shop.gateway.refuses_connections()

    async def dies() -> None:
        raise Killed

    async def dies_before_it_is_noted() -> None:
        store.before_the_next = dies

    shop.container.ids.override(providers.Object(ArmingIds(store, dies_before_it_is_noted)))
    with pytest.raises(Killed):
        await refunded(shop, payment, 50000)
    shop.gateway.answers_again()
    for _ in range(9):
        shop.clock.advance(minutes=10)
        await reconciled(shop)

    (refund,) = await shop.store.read(lambda view: view.refunds.of_payment(payment.id))
    assert (refund.status, shop.gateway.refunded) == (RefundStatus.REJECTED, 0)
    assert await what_stands(shop, payment) == (PaymentStatus.COMPLETED, NOTHING, NOTHING)


@pytest.mark.invariant("I2")
async def test_the_ledger_shows_what_came_and_what_went_back() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    await refunded(shop, payment, 30000)
    await refunded(shop, payment, 13000)

    postings = await shop.store.read(lambda view: view.ledger.of_payment(payment.id))

    balances = Counter[Account]()
    for entry in (entry for posting in postings for entry in posting.entries):
        balances[entry.account] += entry.paisa
    assert {sum(entry.paisa for entry in posting.entries) for posting in postings} == {0}
    assert dict(balances) == {
        Account.CUSTOMER_FUNDS: -113000,
        Account.MERCHANT_RECEIVABLE: 70000,
        Account.REFUNDS: 43000,
    }


@pytest.mark.fault("F68")
@pytest.mark.invariant("I19")
async def test_a_customer_gives_nothing_back_not_even_of_their_own() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment

    with pytest.raises(NotAllowed):
        await refunded(shop, payment, by=customer())

    assert shop.gateway.refunded == 0


async def test_a_gateway_that_gives_no_parts_back_is_not_asked_for_one() -> None:
    shop = Shop()
    payment = (await shop.given_a_paid_booking()).payment
    shop.gateway.capabilities = evolve(shop.gateway.capabilities, refunds=RefundKind.FULL)

    with pytest.raises(RefundsNotOffered):
        await refunded(shop, payment, 1)
    whole = await refunded(shop, payment)

    assert (whole.status, shop.gateway.refunded) == (RefundStatus.CONFIRMED, 1)


@pytest.mark.fault("F74")
@pytest.mark.fault("F64")
async def test_a_refund_that_is_still_being_sent_is_not_taken_for_cut_off() -> None:
    gateway = SlowGateway(name=KHALTI)
    shop = Shop(gateway=gateway)
    shop.gateway = gateway
    payment = (await shop.given_a_paid_booking()).payment
    sending = asyncio.create_task(refunded(shop, payment, 50000))
    await until(lambda: gateway.refunded == 1)

    shop.clock.advance(seconds=29)
    await reconciled(shop)
    (meanwhile,) = await shop.store.read(lambda view: view.refunds.of_payment(payment.id))
    gateway.may_say_so.set()
    refund = await sending

    assert (meanwhile.status, refund.status) == (RefundStatus.SUBMITTED, RefundStatus.CONFIRMED)
    assert gateway.refunded == 1
    assert shop.clock.now() - refund.requested_at < timedelta(minutes=1)
