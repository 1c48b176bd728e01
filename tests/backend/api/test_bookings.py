"""`/v1/bookings`: registering, reading, listing, canceling."""

import httpx
import pytest

from sewapay.application.access import Scope
from tests.shop import RAM, SITA, Shop


async def test_registering_a_booking_answers_with_it_and_its_page(client: httpx.AsyncClient, shop: Shop) -> None:
    body = {
        "id": 123,
        "customer": {"id": "42", "name": "Sita Sharma", "email": "sita@example.com", "phone": "9800000001"},
        "title": "Deep cleaning, two rooms",
        "amount": 11300000,
        "currency": "NPR",
    }

    answer = await client.post("/v1/bookings", json=body, headers=await shop.as_service(Scope.BOOKINGS))

    shown = answer.json()
    page = shown.pop("checkout_url")
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/v1/bookings/123"
    assert shown == {
        "id": 123,
        "customer": {"id": "42", "name": "Sita Sharma", "email": "sita@example.com", "phone": "9800000001"},
        "title": "Deep cleaning, two rooms",
        "amount": 11300000,
        "currency": "NPR",
        "amount_display": "Rs 1,13,000.00",
        "status": "pending",
        "settled_by": None,
        "registered_at": "2026-01-15T06:15:00Z",
    }
    assert page.startswith("http://127.0.0.1:8000/pay/123?key=")
    assert (await client.get(page)).status_code == 200


@pytest.mark.parametrize(
    ("scopes", "shown"),
    [({Scope.READ}, False), ({Scope.BOOKINGS}, False), ({Scope.PAYMENTS}, True), (set(Scope), True)],
)
async def test_only_a_key_that_may_open_checkouts_reads_where_one_is_opened(
    client: httpx.AsyncClient, shop: Shop, scopes: set[Scope], shown: bool
) -> None:
    booking = await shop.given_a_booking()
    headers = await shop.as_service(*scopes)

    read = await client.get(f"/v1/bookings/{booking.id}", headers=headers)
    listed = await client.get("/v1/bookings", headers=headers)

    answers = [read.json(), *listed.json()["items"]]
    assert [answer["checkout_url"] is not None for answer in answers] == [shown, shown]


async def test_a_key_that_may_only_cancel_is_not_told_where_a_checkout_is_opened(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    booking = await shop.given_a_booking()

    answer = await client.post(f"/v1/bookings/{booking.id}/cancellation", headers=await shop.as_service(Scope.BOOKINGS))

    assert answer.json()["checkout_url"] is None


async def test_customers_and_staff_are_told_where_their_booking_is_paid(client: httpx.AsyncClient, shop: Shop) -> None:
    booking = await shop.given_a_booking()

    answers = [
        (await client.get(f"/v1/bookings/{booking.id}", headers=headers)).json()
        for headers in (shop.as_customer(), shop.as_staff())
    ]

    assert all(f"/pay/{booking.id}?key=" in answer["checkout_url"] for answer in answers)


async def test_without_an_id_the_booking_gets_the_next_number(client: httpx.AsyncClient, shop: Shop) -> None:
    await shop.given_a_booking(id=700)

    answer = await client.post(
        "/v1/bookings",
        json={"customer": {"id": "42"}, "title": "Tap repaired", "amount": 5000},
        headers=shop.as_staff(),
    )

    assert answer.json()["id"] == 701


async def test_an_id_is_taken_once(client: httpx.AsyncClient, shop: Shop) -> None:
    await shop.given_a_booking(id=123, title="The first")

    answer = await client.post(
        "/v1/bookings",
        json={"id": 123, "customer": {"id": "42"}, "title": "Another", "amount": 1},
        headers=shop.as_staff(),
    )

    assert answer.status_code == 409
    assert answer.json()["type"].endswith("/problems/booking-exists")


async def test_a_booking_is_read_with_its_payments(client: httpx.AsyncClient, shop: Shop) -> None:
    paid = await shop.given_a_paid_booking()

    shown = (await client.get(f"/v1/bookings/{paid.booking.id}", headers=shop.as_customer())).json()

    assert shown["status"] == "confirmed"
    assert shown["settled_by"] == paid.payment.id
    assert [payment["status"] for payment in shown["payments"]] == ["completed"]


async def test_canceling_twice_changes_nothing_the_second_time(client: httpx.AsyncClient, shop: Shop) -> None:
    booking = await shop.given_a_booking()

    first = await client.post(f"/v1/bookings/{booking.id}/cancellation", headers=shop.as_customer())
    again = await client.post(f"/v1/bookings/{booking.id}/cancellation", headers=shop.as_customer())

    assert [first.status_code, again.status_code] == [200, 200]
    assert first.json()["status"] == "canceled"
    assert again.json() == first.json()


async def test_a_paid_booking_is_not_canceled(client: httpx.AsyncClient, shop: Shop) -> None:
    paid = await shop.given_a_paid_booking()

    answer = await client.post(f"/v1/bookings/{paid.booking.id}/cancellation", headers=shop.as_staff())

    assert answer.status_code == 409
    assert answer.json()["type"].endswith("/problems/booking-already-paid")


async def test_lists_hold_a_customers_own_and_can_be_filtered(client: httpx.AsyncClient, shop: Shop) -> None:
    mine = await shop.given_a_booking(who=SITA)
    canceled = await shop.when_the_booking_is_canceled(await shop.given_a_booking(who=SITA))
    theirs = await shop.given_a_booking(who=RAM)

    own = (await client.get("/v1/bookings", headers=shop.as_customer())).json()
    all_canceled = (await client.get("/v1/bookings", params={"status": "canceled"}, headers=shop.as_staff())).json()
    everyones = (await client.get("/v1/bookings", headers=shop.as_staff())).json()

    assert {item["id"] for item in own["items"]} == {mine.id, canceled.id}
    assert [item["id"] for item in all_canceled["items"]] == [canceled.id]
    assert {item["id"] for item in everyones["items"]} == {mine.id, canceled.id, theirs.id}
    assert own["next_cursor"] is None


@pytest.mark.parametrize("path", ["/v1/bookings/{}/", "/v1/bookings/{}"])
async def test_the_slash_at_the_end_is_optional_here_too(client: httpx.AsyncClient, shop: Shop, path: str) -> None:
    booking = await shop.given_a_booking()

    answer = await client.get(path.format(booking.id), headers=shop.as_staff())

    assert answer.status_code == 200
