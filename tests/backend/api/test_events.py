"""Following what happens: every event once, a booking's own in their order, and a cursor that goes on for ever."""

from typing import Any

import httpx
import pytest

from tests.shop import Shop


async def read_events(client: httpx.AsyncClient, shop: Shop, **query: str) -> dict[str, Any]:
    answer = await client.get("/v1/events", params=query, headers=shop.as_staff())
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_events_come_oldest_first_with_their_number_in_their_booking(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    await shop.given_a_booking(id=700)
    shop.clock.advance(seconds=1)
    paid = await shop.given_a_paid_booking()
    booking_id = paid.booking.id

    page = await read_events(client, shop)

    told = [(item["id"], item["sequence"], item["kind"]) for item in page["items"]]
    assert told == [
        ("evt_700_1", 1, "booking.registered"),
        (f"evt_{booking_id}_1", 1, "booking.registered"),
        (f"evt_{booking_id}_2", 2, "payment.created"),
        (f"evt_{booking_id}_3", 3, "payment.opened"),
        (f"evt_{booking_id}_4", 4, "payment.completed"),
        (f"evt_{booking_id}_5", 5, "booking.confirmed"),
    ]


async def test_an_event_says_what_happened_when_and_by_whom(client: httpx.AsyncClient, shop: Shop) -> None:
    await shop.given_a_booking(id=700)

    [event] = (await read_events(client, shop))["items"]

    assert event == {
        "id": "evt_700_1",
        "sequence": 1,
        "kind": "booking.registered",
        "at": "2026-01-15T06:15:00Z",
        "actor": "service:0123456789abcdef",
        "booking_id": 700,
        "payment_id": None,
        "data": {"amount": 113000},
    }


async def test_before_anything_happened_there_is_no_cursor(client: httpx.AsyncClient, shop: Shop) -> None:
    assert await read_events(client, shop) == {"items": [], "next_cursor": None}


async def test_whoever_keeps_the_cursor_reads_on_from_it(client: httpx.AsyncClient, shop: Shop) -> None:
    await shop.given_a_booking(id=700)
    first = await read_events(client, shop)
    nothing_new = await read_events(client, shop, cursor=first["next_cursor"])
    await shop.given_a_booking(id=701)

    later = await read_events(client, shop, cursor=nothing_new["next_cursor"])

    assert nothing_new["items"] == []
    assert [item["id"] for item in later["items"]] == ["evt_701_1"]


async def test_pages_pass_over_nothing_and_repeat_nothing(client: httpx.AsyncClient, shop: Shop) -> None:
    for _ in range(3):
        await shop.given_a_paid_booking()
    everything = [item["id"] for item in (await read_events(client, shop, limit="100"))["items"]]

    seen: list[str] = []
    query = {"limit": "4"}
    while True:
        page = await read_events(client, shop, **query)
        if not page["items"]:
            break
        assert len(page["items"]) <= 4
        seen += [item["id"] for item in page["items"]]
        query["cursor"] = page["next_cursor"]

    assert seen == everything
    assert len(set(seen)) == 15


@pytest.mark.parametrize("cursor", ["x", "0", "-1", "!!", "a" * 1024, "evt_700_1"])
async def test_a_cursor_of_another_make_is_422(client: httpx.AsyncClient, shop: Shop, cursor: str) -> None:
    await shop.given_a_booking(id=700)

    answer = await client.get("/v1/events", params={"cursor": cursor}, headers=shop.as_staff())

    assert answer.status_code == 422
    assert answer.json()["type"].endswith(("/invalid-cursor", "/invalid-fields"))


async def test_no_event_names_a_person(client: httpx.AsyncClient, shop: Shop) -> None:
    await shop.given_a_paid_booking()

    answer = await client.get("/v1/events", headers=shop.as_staff())

    assert [word for word in ("Sita", "sita@example.com", "9800000001") if word in answer.text] == []
