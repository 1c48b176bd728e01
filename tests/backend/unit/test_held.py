"""Other people's gateways do no harm to others, whatever they answer, raise or leave unanswered."""

import asyncio
from datetime import datetime, tzinfo
from typing import Any, cast

import pytest
from attrs import evolve

from sewapay.adapters.fake.gateway import FAKE_CAPABILITIES, FakeGateway
from sewapay.application.errors import CheckoutRefused, GatewayError, KeyRefused, OutcomeUnknown, ProtocolError
from sewapay.application.open_checkout import CheckoutRequest
from sewapay.application.ports import Authenticity, Order, Payer, RefundOrder, ReturnHint, ReturnMessage, Urls
from sewapay.domain.booking import BookingStatus
from sewapay.domain.checkout import Checkout, PostForm, Redirect
from sewapay.domain.identifiers import GatewayName
from sewapay.domain.money import Money
from sewapay.domain.observation import Observation, Reported
from sewapay.domain.payment import PaymentStatus
from sewapay.entrypoints.held import HeldGateway, held
from sewapay.testing.steps import PAYER, URLS, an_order
from tests.shop import Shop, customer

TINY = GatewayName("tinypay")
FORM = PostForm("https://tiny.example/form", {"amount": "1130"})
SEEN = Observation(reported=Reported.COMPLETED, said="Paid", amount=Money(113000), transaction_id="T1")


class Stubborn(FakeGateway):
    """Answers whatever it was told to, or raises it."""

    def __init__(self, answer: object) -> None:
        super().__init__(name=TINY, capabilities=FAKE_CAPABILITIES)
        self.answer = answer

    def comes(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        return cast("Checkout", self.comes())

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        return cast("ReturnHint", self.comes())

    async def look_up(self, order: Order) -> Observation:
        return cast("Observation", self.comes())

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        return cast("str", self.comes())


class Endless(FakeGateway):
    """Answers no look-up, ever."""

    async def look_up(self, order: Order) -> Observation:
        await asyncio.Event().wait()
        raise AssertionError


class NoOffset(tzinfo):
    """A zone that does not say how far away it is; a moment in it is as good as naive."""

    def utcoffset(self, moment: datetime | None) -> None:
        return None

    dst = tzname = utcoffset


def stubborn(answer: object) -> HeldGateway:
    return held(Stubborn(answer))


async def test_what_is_in_order_is_passed_on() -> None:
    checkout = Checkout(next_step=FORM, gateway_reference="tiny_1")
    hint = ReturnHint(authenticity=Authenticity.SIGNED, claims="Paid", order_reference="R")

    opened = await stubborn(checkout).open_checkout(an_order(), URLS, PAYER)
    seen = await stubborn(SEEN).look_up(an_order())
    read = stubborn(hint).read_return(ReturnMessage(values=()))

    assert (opened, seen, read) == (checkout, SEEN, hint)


async def test_its_own_errors_are_passed_on() -> None:
    with pytest.raises(KeyRefused):
        await stubborn(KeyRefused("no")).look_up(an_order())


async def test_what_its_own_errors_say_is_passed_on_as_far_as_it_can_be_stored() -> None:
    with pytest.raises(CheckoutRefused) as refused:
        await stubborn(CheckoutRefused("no\x00 such \ud800shop" + "!" * 10_000)).open_checkout(an_order(), URLS, PAYER)

    assert str(refused.value) == "no such shop" + "!" * 286


async def test_an_error_that_it_derived_from_ours_is_ours() -> None:
    class Derived(OutcomeUnknown):
        may_ask_again = True

        def __str__(self) -> str:
            return "\x00"

    with pytest.raises(OutcomeUnknown) as unknown:
        await stubborn(Derived()).look_up(an_order())

    assert (type(unknown.value), unknown.value.may_ask_again) == (OutcomeUnknown, False)
    assert str(unknown.value) == "the gateway tinypay does not say why"


async def test_a_bug_in_a_look_up_is_an_outcome_that_is_not_known_and_its_text_is_not_told() -> None:
    with pytest.raises(OutcomeUnknown) as unknown:
        await stubborn(ValueError("S3CRET")).look_up(an_order())

    assert str(unknown.value).startswith("the gateway tinypay broke: ValueError in unit/test_held.py, line ")
    assert "S3CRET" not in str(unknown.value)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "Paid",
        evolve(SEEN, reported=cast("Reported", "completed")),
        evolve(SEEN, said=cast("str", None)),
        evolve(SEEN, amount=cast("Money", 113000)),
        evolve(SEEN, fee=cast("Money", 1.5)),
        evolve(SEEN, transaction_id="T\x001"),
        evolve(SEEN, transaction_id="T" * 129),
        evolve(SEEN, transaction_id=""),
        evolve(SEEN, gateway_reference="\ud800"),
        evolve(SEEN, order_reference=cast("str", 7)),
        evolve(SEEN, refunded=cast("bool", 1)),
    ],
    ids=lambda answer: repr(answer)[-60:].encode("ascii", "backslashreplace").decode(),
)
async def test_an_answer_that_cannot_be_kept_is_no_answer(answer: object) -> None:
    with pytest.raises(ProtocolError):
        await stubborn(answer).look_up(an_order())


async def test_a_long_word_with_control_characters_is_kept_as_far_as_it_can_be_shown() -> None:
    seen = await stubborn(evolve(SEEN, said="Pa\x00\x1bid" + "!" * 10_000_000)).look_up(an_order())

    assert seen.said == "Paid" + "!" * 60


@pytest.mark.parametrize(
    "answer",
    [
        None,
        FORM,
        Checkout(next_step=cast("Redirect", None)),
        Checkout(next_step=Redirect("javascript:alert(1)")),
        Checkout(next_step=PostForm("javascript:alert(1)", {})),
        Checkout(next_step=Redirect("https://tiny.example/" + "x" * 2000)),
        Checkout(next_step=PostForm("https://tiny.example/", cast("dict[str, str]", {"amount": 1130}))),
        Checkout(next_step=PostForm("https://tiny.example/", {"amount": "11\x0030"})),
        Checkout(next_step=FORM, gateway_reference="x" * 10_000),
        Checkout(next_step=FORM, life=cast("Any", 900)),
        Checkout(next_step=FORM, expires_at=cast("Any", "2026-11-26")),
        Checkout(next_step=FORM, expires_at=datetime(2026, 11, 26)),  # the fault
        Checkout(next_step=FORM, expires_at=datetime(2026, 11, 26, tzinfo=NoOffset())),
    ],
    ids=lambda answer: repr(answer)[:60],
)
async def test_a_checkout_that_cannot_be_shown_is_not(answer: object) -> None:
    with pytest.raises(ProtocolError):
        await stubborn(answer).open_checkout(an_order(), URLS, PAYER)


@pytest.mark.parametrize("answer", [None, "Paid", RuntimeError("boom"), RecursionError()])
def test_a_return_that_it_breaks_over_is_a_return_all_the_same(answer: object) -> None:
    hint = stubborn(answer).read_return(ReturnMessage(values=(("status", "Paid"),)))

    assert hint == ReturnHint(authenticity=Authenticity.UNSIGNED)


async def test_a_refund_that_ends_in_a_bug_may_have_happened() -> None:
    gateway = stubborn(ValueError())
    assert gateway.refunds is not None

    with pytest.raises(OutcomeUnknown) as unknown:
        await gateway.refunds.refund(an_order(), RefundOrder(amount=Money(1), is_all=False))

    assert not unknown.value.may_ask_again


async def test_a_look_up_without_an_end_is_given_up() -> None:
    with pytest.raises(GatewayError) as unknown:
        await held(Endless(name=TINY), seconds=0.01).look_up(an_order())

    assert str(unknown.value) == "the gateway tinypay gave no answer within 0.01 s"


async def test_a_gateway_without_an_end_does_not_keep_others_from_being_reconciled() -> None:
    shop = Shop()
    shop.takes(held(Endless(name=TINY), seconds=0.01), shop.gateway)
    stuck, paid = await shop.given_a_booking(), await shop.given_a_booking()
    open_checkout = shop.container.open_checkout()
    await open_checkout(CheckoutRequest(by=customer(), booking_id=stuck.id, gateway=TINY))
    request = CheckoutRequest(by=customer(), booking_id=paid.id, gateway=shop.gateway.name)
    payment = (await open_checkout(request)).payment
    shop.gateway.customer_pays(payment)
    shop.clock.advance(minutes=2)

    done = await shop.container.reconcile_payments()(10)

    assert (done.asked, done.silent, done.broken) == (2, 1, ())
    assert (await shop.stored_payment(payment)).status is PaymentStatus.COMPLETED
    assert (await shop.stored_booking(paid.id)).status is BookingStatus.CONFIRMED
    (unknown,) = await shop.stored_payments(stuck)
    assert (unknown.status, unknown.outcome_unknown) == (PaymentStatus.OPEN, True)
