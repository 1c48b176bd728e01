"""Returns that do not come to a payment's own address: those who did not pay, and gateways with one address for all."""

from collections.abc import AsyncIterator

import httpx
import pytest
from attrs import evolve

from sewapay.adapters.fake.gateway import FAKE_FORM_CAPABILITIES, FakeGateway
from sewapay.application.open_checkout import CheckoutRequest
from sewapay.application.ports import ReturnHint, ReturnMessage
from sewapay.domain.booking import Booking
from sewapay.domain.identifiers import GatewayName
from sewapay.domain.payment import Payment, PaymentStatus
from tests.backend.api.talking import client_of
from tests.shop import Shop, customer

BANK = GatewayName("bank")


class Registered(FakeGateway):
    """A gateway that sends every browser to one address, with our order reference."""

    def read_return(self, message: ReturnMessage) -> ReturnHint:
        hint = super().read_return(message)
        return evolve(hint, order_reference=dict(message.values).get("TXNID"))


@pytest.fixture
def bank(shop: Shop) -> Registered:
    bank = Registered(name=BANK, capabilities=evolve(FAKE_FORM_CAPABILITIES, registered_return=True))
    shop.takes(bank, shop.gateway)
    return bank


@pytest.fixture
async def browser(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(shop.app) as client:
        yield client


async def opened(shop: Shop, booking: Booking, return_url: str | None = None) -> Payment:
    request = CheckoutRequest(by=customer(), booking_id=booking.id, gateway=BANK, return_url=return_url)
    return (await shop.container.open_checkout()(request)).payment


async def test_a_return_to_the_registered_address_is_found_by_our_reference(
    shop: Shop, bank: Registered, browser: httpx.AsyncClient
) -> None:
    payment = await opened(shop, await shop.given_a_booking())
    bank.customer_pays(payment)

    answer = await browser.get(f"/return/bank/?TXNID={payment.order_reference}")

    assert (answer.status_code, answer.headers["Location"]) == (303, f"/return/{payment.id}/")
    assert (await shop.stored_payment(payment)).status is PaymentStatus.COMPLETED


async def test_a_return_to_the_registered_address_goes_on_to_the_shop(
    shop: Shop, bank: Registered, browser: httpx.AsyncClient
) -> None:
    payment = await opened(shop, await shop.given_a_booking(), "https://shop.example/paid")

    answer = await browser.post("/return/bank", data={"TXNID": payment.order_reference})

    assert answer.headers["Location"] == f"https://shop.example/paid?payment_id={payment.id}"


@pytest.mark.parametrize(
    "query", ["", "?TXNID=", "?TXNID=ZZZZZZZZZZZZZZZZZZZZ", "?TXNID=%00", "?other=1", "?TXNID=" + "A" * 5000]
)
async def test_a_return_that_names_no_payment_of_ours_finds_nothing(
    shop: Shop, bank: Registered, browser: httpx.AsyncClient, query: str
) -> None:
    await opened(shop, await shop.given_a_booking())

    answer = await browser.get(f"/return/bank/{query}")

    assert answer.status_code == 404
    assert bank.looked_up == 0


async def test_a_payment_of_another_gateway_is_not_found_there(
    shop: Shop, bank: Registered, browser: httpx.AsyncClient
) -> None:
    booking = await shop.given_a_booking()
    request = CheckoutRequest(by=customer(), booking_id=booking.id, gateway=shop.gateway.name)
    theirs = (await shop.container.open_checkout()(request)).payment

    answer = await browser.get(f"/return/bank/?TXNID={theirs.order_reference}")

    assert answer.status_code == 404
    assert shop.gateway.looked_up == 0


async def test_a_gateway_with_an_address_for_each_payment_has_none_for_all(
    shop: Shop, bank: Registered, browser: httpx.AsyncClient
) -> None:
    for name in ("khalti", "unknown", "fake"):
        assert (await browser.get(f"/return/{name}/?TXNID=ZZZZZZZZZZZZZZZZZZZZ")).status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_whoever_comes_back_unfinished_is_looked_up_and_shown_how_it_stands(
    shop: Shop, bank: Registered, browser: httpx.AsyncClient, method: str
) -> None:
    payment = await opened(shop, await shop.given_a_booking())
    bank.leaves_pending(payment)

    answer = await browser.request(method, f"/return/{payment.id}/unfinished/")
    page = await browser.get(answer.headers["Location"])

    assert (answer.status_code, answer.headers["Location"]) == (303, f"/return/{payment.id}/")
    assert 'data-state="checking"' in page.text
    assert (await shop.stored_payment(payment)).status is PaymentStatus.PENDING


async def test_whoever_paid_is_never_told_otherwise_by_the_address_of_failures(
    shop: Shop, bank: Registered, browser: httpx.AsyncClient
) -> None:
    payment = await opened(shop, await shop.given_a_booking())
    bank.customer_pays(payment)

    answer = await browser.get(f"/return/{payment.id}/unfinished/?status=FAILED")
    page = await browser.get(answer.headers["Location"])

    assert 'data-state="paid"' in page.text


async def test_a_form_that_can_be_entered_once_is_not_offered_again_but_a_new_one_is(
    shop: Shop, bank: Registered, browser: httpx.AsyncClient
) -> None:
    payment = await opened(shop, await shop.given_a_booking())
    shop.clock.advance(seconds=30)

    page = await browser.get(f"/return/{payment.id}/")
    again = await browser.post(f"/return/{payment.id}/again/", follow_redirects=True)

    assert 'data-state="open"' in page.text
    assert 'id="continue"' not in page.text
    assert f'action="/return/{payment.id}/again/"' in page.text
    newer = (await shop.stored_payments(await shop.stored_booking(payment.booking_id)))[-1]
    assert newer.id != payment.id
    assert f'value="fake_{newer.order_reference}"' in again.text


async def test_whoever_comes_back_unfinished_is_looked_up_although_somebody_has_just_looked(
    shop: Shop, bank: Registered, browser: httpx.AsyncClient
) -> None:
    payment = await opened(shop, await shop.given_a_booking(), "https://shop.example/paid")
    shop.clock.advance(seconds=61)
    await shop.container.reconcile_payments()(limit=10)
    bank.customer_pays(payment)

    answer = await browser.get(f"/return/{payment.id}/unfinished/")

    assert answer.headers["Location"] == f"https://shop.example/paid?payment_id={payment.id}"
    assert (await shop.stored_payment(payment)).status is PaymentStatus.COMPLETED
