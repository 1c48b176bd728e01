"""The fake does what a test tells it, and what its variables say when nobody does."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from attrs import evolve

from sewapay.adapters.fake import build
from sewapay.adapters.fake.gateway import FakeGateway, Pays
from sewapay.application.errors import (
    CheckoutRefused,
    GatewayError,
    KeyRefused,
    NothingSent,
    OutcomeUnknown,
    ProtocolError,
    RefundRefused,
    UnusableSetting,
)
from sewapay.application.ports import Order, Payer, RefundKind, RefundOrder, ReturnMessage, Urls
from sewapay.domain.checkout import Redirect
from sewapay.domain.identifiers import BookingId, GatewayName, OrderReference, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.observation import Reported

URLS = Urls(
    return_url="https://shop.example/return/77/",
    failure_url="https://shop.example/return/77/unfinished/",
    website_url="https://shop.example",
)
ORDER = Order(
    payment_id=PaymentId("5f0c3f52-8a43-4a53-9d5f-0d4a7e5b1c11"),
    booking_id=BookingId(77),
    reference=OrderReference("7Q2M9X4KD8ZT1B6VHR3C"),
    gateway_reference=None,
    amount=Money(113000),
    title="House cleaning",
)
OPEN = evolve(ORDER, gateway_reference="fake_7Q2M9X4KD8ZT1B6VHR3C")
PAID = evolve(OPEN, transaction_id="fake_t_7Q2M9X4KD8ZT1B6VHR3C")
ALL = RefundOrder(amount=Money(113000), is_all=True)


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
async def paid() -> FakeGateway:
    gateway = FakeGateway()
    await gateway.open_checkout(ORDER, URLS, Payer())
    gateway.customer_pays(ORDER.reference)
    return gateway


async def reported(gateway: FakeGateway) -> Reported:
    return (await gateway.look_up(OPEN)).reported


def part(paisa: int) -> RefundOrder:
    return RefundOrder(amount=Money(paisa), is_all=False)


def given_back(gateway: FakeGateway) -> list[int]:
    [payment] = gateway.payments.values()
    return [amount.paisa for amount in payment.given_back]


async def test_a_checkout_leads_straight_back(gateway: FakeGateway) -> None:
    checkout = await gateway.open_checkout(ORDER, URLS, Payer())

    assert checkout.gateway_reference == "fake_7Q2M9X4KD8ZT1B6VHR3C"
    assert checkout.next_step == Redirect(
        "https://shop.example/return/77/?reference=fake_7Q2M9X4KD8ZT1B6VHR3C&status=unpaid"
    )
    assert (gateway.initiated, gateway.looked_up) == (1, 0)


@pytest.mark.parametrize("key", ["7Q2M9X4KD8ZT1B6VHR3C", "fake_7Q2M9X4KD8ZT1B6VHR3C"])
async def test_a_payment_is_told_by_either_reference(gateway: FakeGateway, key: str) -> None:
    await gateway.open_checkout(ORDER, URLS, Payer())

    gateway.customer_pays(key)

    seen = await gateway.look_up(OPEN)
    assert (seen.reported, seen.amount) == (Reported.COMPLETED, Money(113000))
    assert seen.transaction_id == "fake_t_7Q2M9X4KD8ZT1B6VHR3C"


def test_nothing_happens_to_a_payment_that_was_never_opened(gateway: FakeGateway) -> None:
    with pytest.raises(LookupError, match="opened no checkout for 7Q2M9X4KD8ZT1B6VHR3C"):
        gateway.customer_pays(ORDER.reference)


async def test_another_amount_or_transaction_can_be_paid(gateway: FakeGateway) -> None:
    await gateway.open_checkout(ORDER, URLS, Payer())

    gateway.customer_pays(ORDER.reference, Money(112999), transaction_id="taken")

    seen = await gateway.look_up(OPEN)
    assert (seen.amount, seen.transaction_id) == (Money(112999), "taken")


async def test_each_script_is_what_a_look_up_says(gateway: FakeGateway) -> None:
    await gateway.open_checkout(ORDER, URLS, Payer())
    scripts: list[tuple[Callable[[str], None], Reported]] = [
        (gateway.leaves_pending, Reported.PENDING),
        (gateway.customer_cancels, Reported.CANCELED),
        (gateway.link_expires, Reported.EXPIRED),
        (gateway.fails, Reported.FAILED),
        (gateway.customer_pays, Reported.COMPLETED),
        (lambda key: gateway.merchant_refunds(key, partly=True), Reported.PARTIALLY_REFUNDED),
        (gateway.merchant_refunds, Reported.REFUNDED),
        (lambda key: gateway.says(key, "Ambiguous"), Reported.UNKNOWN),
        (gateway.forgets, Reported.NOT_FOUND),
    ]

    for script, expected in scripts:
        script(ORDER.reference)

        assert await reported(gateway) is expected


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (FakeGateway.goes_silent, OutcomeUnknown),
        (FakeGateway.talks_nonsense, ProtocolError),
        (FakeGateway.refuses_key, KeyRefused),
        (FakeGateway.refuses_checkouts, CheckoutRefused),
        (FakeGateway.refuses_connections, NothingSent),
    ],
)
async def test_a_fault_lasts_until_all_is_well_again(
    gateway: FakeGateway, fault: Callable[[FakeGateway], None], error: type[GatewayError]
) -> None:
    fault(gateway)

    for _ in range(2):
        with pytest.raises(GatewayError) as raised:
            await gateway.open_checkout(ORDER, URLS, Payer())
        assert type(raised.value) is error

    gateway.answers_again()
    assert (await gateway.open_checkout(ORDER, URLS, Payer())).gateway_reference
    assert gateway.initiated == (1 if error is NothingSent else 3)


async def test_refusing_checkouts_leaves_look_ups_alone(gateway: FakeGateway) -> None:
    await gateway.open_checkout(ORDER, URLS, Payer())

    gateway.refuses_checkouts()

    assert await reported(gateway) is Reported.INITIATED


@pytest.mark.fault("F01")
async def test_a_silent_gateway_opened_a_link_that_nobody_has(gateway: FakeGateway) -> None:
    gateway.goes_silent()

    with pytest.raises(OutcomeUnknown):
        await gateway.open_checkout(ORDER, URLS, Payer())

    assert list(gateway.payments) == ["fake_7Q2M9X4KD8ZT1B6VHR3C"]


@pytest.mark.fault("F54")
async def test_a_held_answer_is_old_when_it_leaves(gateway: FakeGateway) -> None:
    await gateway.open_checkout(ORDER, URLS, Payer())
    gateway.holds_answers()
    held = asyncio.ensure_future(gateway.look_up(OPEN))
    for _ in range(3):
        await asyncio.sleep(0)

    gateway.customer_pays(ORDER.reference)
    gateway.releases_answers()

    assert (await held).reported is Reported.INITIATED
    assert await reported(gateway) is Reported.COMPLETED


async def test_refunds_add_up_and_a_look_up_tells_how_far(paid: FakeGateway) -> None:
    await paid.refund(PAID, part(13000))
    partly = await paid.look_up(OPEN)

    await paid.refund(PAID, part(100000))

    wholly = await paid.look_up(OPEN)
    assert (partly.reported, partly.refunded, partly.amount) == (Reported.PARTIALLY_REFUNDED, False, Money(113000))
    assert (wholly.reported, wholly.refunded, wholly.amount) == (Reported.REFUNDED, True, Money(113000))
    assert (given_back(paid), paid.refunded) == ([13000, 100000], 2)


@pytest.mark.fault("F62")
async def test_more_than_was_paid_is_not_given_back(paid: FakeGateway) -> None:
    paid.merchant_refunds(ORDER.reference, Money(13000))

    for wanted in (part(100001), part(0)):
        with pytest.raises(RefundRefused):
            await paid.refund(PAID, wanted)
    await paid.refund(PAID, ALL)
    with pytest.raises(RefundRefused):
        await paid.refund(PAID, ALL)

    assert (given_back(paid), paid.refunded) == ([13000, 100000], 4)


@pytest.mark.fault("F62")
async def test_only_what_was_paid_is_given_back_and_by_its_transaction(gateway: FakeGateway) -> None:
    await gateway.open_checkout(ORDER, URLS, Payer())
    with pytest.raises(RefundRefused):
        await gateway.refund(PAID, ALL)
    gateway.customer_pays(ORDER.reference)

    for order in (OPEN, evolve(PAID, transaction_id="another")):
        with pytest.raises(RefundRefused):
            await gateway.refund(order, ALL)

    assert given_back(gateway) == []


@pytest.mark.parametrize(
    ("fault", "error", "went_back", "arrived"),
    [
        (FakeGateway.goes_silent, OutcomeUnknown, [113000], 1),
        (FakeGateway.talks_nonsense, ProtocolError, [113000], 1),
        (FakeGateway.loses_refund_answers, OutcomeUnknown, [113000], 1),
        (FakeGateway.loses_refunds, OutcomeUnknown, [], 1),
        (FakeGateway.refuses_refunds, RefundRefused, [], 1),
        (FakeGateway.refuses_key, KeyRefused, [], 1),
        (FakeGateway.refuses_connections, NothingSent, [], 0),
    ],
)
async def test_each_fault_says_what_became_of_a_refund(
    paid: FakeGateway,
    fault: Callable[[FakeGateway], None],
    error: type[GatewayError],
    went_back: list[int],
    arrived: int,
) -> None:
    fault(paid)

    with pytest.raises(GatewayError) as raised:
        await paid.refund(PAID, ALL)

    assert type(raised.value) is error
    assert (given_back(paid), paid.refunded) == (went_back, arrived)


@pytest.mark.parametrize(
    "fault", [FakeGateway.loses_refund_answers, FakeGateway.loses_refunds, FakeGateway.refuses_refunds]
)
async def test_a_fault_of_refunds_leaves_everything_else_alone(
    gateway: FakeGateway, fault: Callable[[FakeGateway], None]
) -> None:
    fault(gateway)

    await gateway.open_checkout(ORDER, URLS, Payer())

    assert await reported(gateway) is Reported.INITIATED


@pytest.mark.fault("F65")
async def test_a_look_up_may_lag_behind_a_refund(paid: FakeGateway) -> None:
    paid.lags_refunds(2)

    await paid.refund(PAID, ALL)

    seen = [await reported(paid) for _ in range(3)]
    assert seen == [Reported.COMPLETED, Reported.COMPLETED, Reported.REFUNDED]
    with pytest.raises(RefundRefused):
        await paid.refund(PAID, ALL)


async def test_it_can_be_one_that_gives_nothing_back(gateway: FakeGateway) -> None:
    gateway.capabilities = evolve(gateway.capabilities, refunds=RefundKind.NONE)

    assert gateway.refunds is None


async def test_customers_who_always_pay_can_be_refunded_even_after_a_restart() -> None:
    gateway = FakeGateway(pays=Pays.ALWAYS)

    await gateway.refund(PAID, ALL)

    assert await reported(gateway) is Reported.REFUNDED


async def test_customers_who_always_pay_need_no_script_not_even_after_a_restart() -> None:
    gateway = FakeGateway(pays=Pays.ALWAYS)
    checkout = await gateway.open_checkout(ORDER, URLS, Payer())

    assert isinstance(checkout.next_step, Redirect)
    assert checkout.next_step.url.endswith("&status=paid")
    assert await reported(gateway) is Reported.COMPLETED
    assert await reported(FakeGateway(pays=Pays.ALWAYS)) is Reported.COMPLETED
    assert await reported(FakeGateway(pays=Pays.NEVER)) is Reported.NOT_FOUND


async def test_a_scripted_customer_does_not_pay_after_all() -> None:
    gateway = FakeGateway(pays=Pays.ALWAYS)
    await gateway.open_checkout(ORDER, URLS, Payer())

    gateway.customer_cancels(ORDER.reference)

    assert await reported(gateway) is Reported.CANCELED


def test_a_return_is_read_back(gateway: FakeGateway) -> None:
    hint = gateway.read_return(ReturnMessage(values=(("reference", "fake_x"), ("status", "paid"))))

    assert (hint.gateway_reference, hint.claims) == ("fake_x", "paid")


def test_it_can_stand_in_for_another_gateway() -> None:
    assert FakeGateway(name=GatewayName("khalti")).name == "khalti"


@pytest.mark.parametrize(
    ("variables", "pays"),
    [({}, Pays.ALWAYS), ({"FAKE_PAYS": ""}, Pays.ALWAYS), ({"FAKE_PAYS": "never"}, Pays.NEVER)],
)
async def test_build_reads_how_customers_pay(variables: dict[str, str], pays: Pays) -> None:
    async with httpx.AsyncClient() as client:
        assert build(variables, client, is_production=False).pays is pays


@pytest.mark.parametrize(
    ("variables", "is_production", "named"),
    [({"FAKE_PAYS": "maybe"}, False, "FAKE_PAYS"), ({}, True, "SEWAPAY_GATEWAYS")],
)
async def test_build_refuses_what_is_unusable(variables: dict[str, str], is_production: bool, named: str) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(UnusableSetting, match=f"^{named} "):
            build(variables, client, is_production=is_production)
