"""The demo's last sentence says what became of its booking and what came for it, however that went."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from sewapay.domain.money import Money
from sewapay.entrypoints.demo_walk import outcome
from tests.backend.api.talking import given_a_surplus_payment
from tests.shop import Shop


async def nobody_pays(shop: Shop) -> int:
    payment = await shop.given_an_open_payment()
    return payment.booking_id


async def one_pays(shop: Shop) -> int:
    verified = await shop.given_a_paid_booking()
    return verified.booking.id


async def one_pays_too_little(shop: Shop) -> int:
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment, Money(1000))
    await shop.when_it_is_verified(payment)
    return payment.booking_id


async def two_are_paid(shop: Shop) -> int:
    payment = await given_a_surplus_payment(shop)
    return payment.booking_id


@pytest.mark.parametrize(
    ("happens", "said", "is_confirmed"),
    [
        (nobody_pays, "is pending: nothing came.", False),
        (one_pays, "is confirmed: Rs 1,130.00 came, once.", True),
        (one_pays_too_little, "is pending: Rs 10.00 came, once.", False),
        (two_are_paid, "is confirmed: Rs 2,260.00 came, in 2 payments.", True),
    ],
)
async def test_it_tells_the_money_that_came_and_how_often(
    client: httpx.AsyncClient, shop: Shop, happens: Callable[[Shop], Awaitable[int]], said: str, is_confirmed: bool
) -> None:
    booking_id = await happens(shop)
    client.headers.update(await shop.as_service())

    told = await outcome(client, booking_id)

    assert told == (f"Booking {booking_id} {said}", is_confirmed)
