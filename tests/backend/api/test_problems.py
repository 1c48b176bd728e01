"""Problem documents and the pages that they lead to."""

from typing import Any, Never

import httpx
import pytest
from dependency_injector import providers
from structlog.testing import LogCapture

from sewapay.adapters.web.problem_pages import BY_SLUG
from tests.shop import RAM, Shop


async def test_a_problem_tells_what_which_request_and_where_to_read_on(client: httpx.AsyncClient, shop: Shop) -> None:
    answer = await client.get("/v1/bookings/999?", headers=shop.as_customer() | {"X-Request-Id": "from-the-shop-1"})

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "http://127.0.0.1:8000/problems/booking-not-found",
        "title": "No such booking",
        "status": 404,
        "detail": "Booking not found or access denied",
        "instance": "/v1/bookings/999",
        "request_id": "from-the-shop-1",
    }


async def test_the_address_of_a_problem_holds_no_query(client: httpx.AsyncClient, shop: Shop) -> None:
    answer = await client.get("/v1/payments?status=secret-text", headers=shop.as_staff())

    assert answer.status_code == 422
    assert answer.json()["instance"] == "/v1/payments"


async def test_a_foreign_booking_and_a_missing_one_differ_in_the_address_only(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    foreign = await shop.given_a_booking(id=5, who=RAM)
    headers = shop.as_customer() | {"X-Request-Id": "same"}

    of_another = (await client.get(f"/v1/bookings/{foreign.id}", headers=headers)).json()
    missing = (await client.get("/v1/bookings/999", headers=headers)).json()

    assert of_another | {"instance": ""} == missing | {"instance": ""}


async def test_an_unknown_address_is_a_problem_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v2/anything")

    assert answer.status_code == 404
    assert answer.json()["type"].endswith("/problems/no-such-address")


async def test_a_wrong_method_says_which_are_right(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/v1/payments")

    assert answer.status_code == 405
    assert answer.json()["type"].endswith("/problems/method-not-allowed")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


async def test_a_bug_is_500_without_a_word_about_itself_and_is_logged_without_its_message(
    client: httpx.AsyncClient, shop: Shop, logged: LogCapture
) -> None:
    class Broken:
        async def __call__(self, *_: Any) -> Never:
            raise ZeroDivisionError("9800000001 at postgresql://user:password@db")

    shop.container.read_booking.override(providers.Object(Broken()))

    answer = await client.get("/v1/bookings/1", headers=shop.as_staff())

    assert answer.status_code == 500
    assert answer.json()["type"].endswith("/problems/internal-error")
    assert "ZeroDivision" not in answer.text
    assert "password" not in answer.text
    [line] = [line for line in logged.entries if line["event"] == "request failed"]
    assert line["error"] == "ZeroDivisionError"
    assert line["request_id"] == answer.json()["request_id"]
    assert "9800000001" not in str(logged.entries)


@pytest.mark.fault("F75")
async def test_a_database_that_is_away_is_503_and_says_when_to_ask_again(client: httpx.AsyncClient, shop: Shop) -> None:
    shop.memory.break_down()

    answer = await client.get("/v1/bookings/1", headers=shop.as_staff())

    assert answer.status_code == 503
    assert answer.json()["type"].endswith("/problems/store-unavailable")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("path", ["/v1/payments", "/pay", "/again"])
async def test_a_gateway_that_fails_is_told_to_the_operator(
    client: httpx.AsyncClient, shop: Shop, logged: LogCapture, path: str
) -> None:
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_cancels(payment)
    await shop.when_it_is_verified(payment)
    page = (await client.get(f"/v1/bookings/{payment.booking_id}", headers=shop.as_staff())).json()["checkout_url"]
    shop.gateway.refuses_connections()

    if path == "/v1/payments":
        body = {"booking_id": int(payment.booking_id), "gateway": "khalti"}
        answer = await client.post(path, json=body, headers=shop.as_staff())
    elif path == "/pay":
        answer = await client.post(page, data={"gateway": "khalti"})
    else:
        answer = await client.post(f"/return/{payment.id}/again/")

    assert answer.status_code == 503
    [line] = [line for line in logged.entries if line["event"] == "gateway failed"]
    assert line["problem"] == "gateway-unreachable"
    assert line["said"] == "the fake gateway refuses connections"


@pytest.mark.parametrize("slug", list(BY_SLUG))
async def test_the_page_of_a_problem_says_what_causes_it_and_what_helps(client: httpx.AsyncClient, slug: str) -> None:
    answer = await client.get(f"/problems/{slug}")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Cause" in answer.text
    assert "What helps" in answer.text


async def test_the_list_of_problems_leads_to_each(client: httpx.AsyncClient) -> None:
    page = (await client.get("/problems/")).text

    assert [slug for slug in BY_SLUG if f'href="/problems/{slug}"' not in page] == []


async def test_an_unknown_problem_is_a_404_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/problems/no-such-thing")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


async def test_readiness_tells_of_the_database_and_liveness_does_not(client: httpx.AsyncClient, shop: Shop) -> None:
    ready = await client.get("/health/ready")
    shop.memory.break_down()
    not_ready = await client.get("/health/ready")
    alive = await client.get("/health/live")

    assert [ready.status_code, not_ready.status_code, alive.status_code] == [200, 503, 200]
    assert ready.json() == {"status": "ok"}
