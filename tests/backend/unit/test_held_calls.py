"""Other people's calls come to an end, whatever they do about it, and take neither the service nor others along."""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from sewapay.adapters.fake.gateway import FAKE_CAPABILITIES, FakeGateway
from sewapay.application.errors import OutcomeUnknown
from sewapay.application.open_checkout import CheckoutRequest
from sewapay.application.ports import Authenticity, Order, RefundOrder, ReturnHint, ReturnMessage
from sewapay.domain.booking import BookingStatus
from sewapay.domain.identifiers import GatewayName
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation
from sewapay.domain.payment import Payment, PaymentStatus
from sewapay.entrypoints.held import HeldGateway, held
from sewapay.testing.steps import an_order
from tests.backend.api.talking import client_of
from tests.backend.unit.world import until
from tests.shop import Shop, customer

TINY = GatewayName("tinypay")
A_LITTLE = 0.02
LONG = 3600.0


class Doing(FakeGateway):
    """Does something in each call that is awaited, and then what is right."""

    def __init__(self, does: Callable[[], Awaitable[object]]) -> None:
        super().__init__(name=TINY, capabilities=FAKE_CAPABILITIES)
        self.does = does

    async def look_up(self, order: Order) -> Observation:
        await self.does()
        return await super().look_up(order)

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        await self.does()
        return await super().refund(order, wanted)


class ExitsOverReturns(FakeGateway):
    """Ends the process where it cannot read a return, as scripts do."""

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        sys.exit("S3CRET")


class Stubborn:
    """Tries again whatever happens, its own cancellation included."""

    def __init__(self, swallows: type[BaseException], *, tries: int) -> None:
        self.swallows = swallows
        self.left = tries

    async def __call__(self, *_: object) -> None:
        while self.left:
            self.left -= 1
            with suppress(self.swallows):
                await asyncio.sleep(A_LITTLE / 2)


async def waits_for_what_somebody_canceled() -> None:
    shared = asyncio.ensure_future(asyncio.sleep(LONG))
    shared.cancel()
    await shared


async def exits() -> None:
    sys.exit("S3CRET")


async def closes_itself() -> None:
    raise GeneratorExit


def doing(does: Callable[[], Awaitable[object]], *, seconds: float = LONG) -> HeldGateway:
    return held(Doing(does), seconds=seconds)


BREAKS = pytest.mark.parametrize(
    ("does", "why"),
    [
        (waits_for_what_somebody_canceled, "broke: CancelledError in "),
        (exits, "broke: SystemExit in unit/test_held_calls.py, line "),
        (closes_itself, "broke: GeneratorExit in unit/test_held_calls.py, line "),
    ],
)


@BREAKS
async def test_a_call_that_would_end_more_than_itself_is_an_outcome_that_is_not_known(
    does: Callable[[], Awaitable[None]], why: str
) -> None:
    with pytest.raises(OutcomeUnknown) as unknown:
        await doing(does).look_up(an_order())

    assert str(unknown.value).startswith(f"the gateway tinypay {why}")
    assert "S3CRET" not in str(unknown.value)


@BREAKS
async def test_a_refund_that_would_end_more_than_itself_may_have_happened(
    does: Callable[[], Awaitable[None]], why: str
) -> None:
    refunds = doing(does).refunds
    assert refunds is not None

    with pytest.raises(OutcomeUnknown) as unknown:
        await refunds.refund(an_order(), RefundOrder(amount=Money(1), is_all=False))

    assert why in str(unknown.value)
    assert not unknown.value.may_ask_again


def test_an_exit_over_a_return_is_a_return_all_the_same() -> None:
    hint = held(ExitsOverReturns(name=TINY)).read_return(ReturnMessage(values=()))

    assert hint == ReturnHint(authenticity=Authenticity.UNSIGNED)


def test_who_presses_control_c_is_obeyed() -> None:
    async def is_interrupted() -> None:
        raise KeyboardInterrupt

    async def look() -> None:
        await doing(is_interrupted).look_up(an_order())

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(look())


async def test_a_call_that_swallows_its_cancellation_is_given_up_in_time() -> None:
    stubborn = Stubborn(asyncio.CancelledError, tries=500)

    with pytest.raises(OutcomeUnknown) as unknown:
        await doing(stubborn, seconds=A_LITTLE).look_up(an_order())

    assert str(unknown.value) == "the gateway tinypay gave no answer within 0.02 s"
    assert stubborn.left > 400


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python says it of the second, once
@pytest.mark.parametrize("swallows", [asyncio.CancelledError, BaseException])
def test_a_call_that_was_given_up_does_not_keep_the_process_from_its_end(
    swallows: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    stubborn = Stubborn(swallows, tries=500)
    gateway = Doing(stubborn)
    gateway.look_up = stubborn  # type: ignore[method-assign,assignment]  # it answers nothing either

    async def look() -> None:
        with pytest.raises(OutcomeUnknown):
            await held(gateway, seconds=A_LITTLE).look_up(an_order())

    asyncio.run(look())
    gc.collect()  # what is left of it by now would go on without an event loop to wait in

    assert stubborn.left > 400
    assert caplog.messages == ["the gateway tinypay goes on after it was canceled: the call was dropped"]


async def test_a_call_that_was_given_up_may_tidy_up() -> None:
    is_tidy = asyncio.Event()

    async def holds_a_connection() -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.sleep(0)
            is_tidy.set()

    with pytest.raises(OutcomeUnknown):
        await doing(holds_a_connection, seconds=A_LITTLE).look_up(an_order())

    await asyncio.wait_for(is_tidy.wait(), LONG)


async def test_what_a_call_breaks_over_after_it_was_given_up_is_told_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def breaks_late() -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            raise ValueError("S3CRET")

    with pytest.raises(OutcomeUnknown):
        await doing(breaks_late, seconds=A_LITTLE).look_up(an_order())
    await until(lambda: bool(caplog.messages))

    (line,) = caplog.messages
    assert line.startswith("the gateway tinypay broke after it was given up: ValueError in unit/test_held_calls.py")
    assert "S3CRET" not in line


async def test_who_stops_waiting_for_a_call_stops_the_call() -> None:
    has_begun, was_canceled = asyncio.Event(), asyncio.Event()

    async def waits() -> None:
        has_begun.set()
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            was_canceled.set()
            raise

    caller = asyncio.create_task(doing(waits).look_up(an_order()))
    await has_begun.wait()
    caller.cancel()

    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.wait_for(was_canceled.wait(), LONG)


async def given_a_paid_payment_beside_one_of(broken: HeldGateway) -> tuple[Shop, Payment, Payment]:
    """A payment through the broken gateway, which is the first to be asked, and one through Khalti, which was paid."""
    shop = Shop()
    shop.takes(broken, shop.gateway)
    stuck, paid = [
        (
            await shop.container.open_checkout()(
                CheckoutRequest(by=customer(), booking_id=(await shop.given_a_booking()).id, gateway=gateway)
            )
        ).payment
        for gateway in (TINY, shop.gateway.name)
    ]
    shop.gateway.customer_pays(paid)
    return shop, stuck, paid


@pytest.mark.parametrize(
    "does", [waits_for_what_somebody_canceled, exits, closes_itself, Stubborn(asyncio.CancelledError, tries=500)]
)
async def test_a_gateway_that_is_broken_keeps_no_other_from_being_reconciled(
    does: Callable[[], Awaitable[None]],
) -> None:
    shop, stuck, paid = await given_a_paid_payment_beside_one_of(doing(does, seconds=A_LITTLE))
    shop.clock.advance(minutes=2)

    done = await shop.container.reconcile_payments()(10)

    assert (done.asked, done.silent, done.broken) == (2, 1, ())
    assert (await shop.stored_payment(paid)).status is PaymentStatus.COMPLETED
    assert (await shop.stored_booking(paid.booking_id)).status is BookingStatus.CONFIRMED
    unknown = await shop.stored_payment(stuck)
    assert (unknown.status, unknown.outcome_unknown) == (PaymentStatus.OPEN, True)


@pytest.mark.parametrize("does", [waits_for_what_somebody_canceled, exits, closes_itself])
async def test_a_customer_who_comes_back_to_a_broken_gateway_is_told_that_it_is_not_known_yet(
    does: Callable[[], Awaitable[None]],
) -> None:
    shop, stuck, _ = await given_a_paid_payment_beside_one_of(doing(does))

    async with client_of(shop.app) as browser:
        answer = await browser.get(f"/return/{stuck.id}/?x=1")

    assert answer.status_code in (200, 303)
    assert (await shop.stored_payment(stuck)).outcome_unknown
