"""Giving money back over HTTP: one intent, one call, and an answer that never guesses."""

from typing import Any

import httpx
import pytest
from attrs import evolve

from sewapay.application.access import Scope
from sewapay.application.ports import RefundKind
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment
from tests.backend.api.talking import given_a_refund
from tests.shop import Shop

WISH = {"reason": "a customer's wish"}


async def give_back(client: httpx.AsyncClient, shop: Shop, payment: Payment, **body: Any) -> httpx.Response:
    return await client.post(f"/v1/payments/{payment.id}/refunds", json=WISH | body, headers=shop.as_staff())


def problem(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition("/problems/")[2]


async def test_a_refund_is_201_and_gives_back_all_that_is_left(client: httpx.AsyncClient, shop: Shop) -> None:
    paid = await shop.given_a_paid_booking()
    shop.clock.advance(minutes=2)

    answer = await give_back(client, shop, paid.payment)

    refund_id = answer.headers["Location"].removeprefix("/v1/refunds/")
    assert answer.status_code == 201
    assert answer.json() == {
        "id": refund_id,
        "payment_id": paid.payment.id,
        "booking_id": paid.booking.id,
        "amount": 113000,
        "currency": "NPR",
        "amount_display": "Rs 1,130.00",
        "status": "confirmed",
        "reason": "a customer's wish",
        "requested_by": "staff:7",
        "requested_at": "2026-01-15T06:17:00Z",
        "accepted_at": "2026-01-15T06:17:00Z",
        "settled_at": "2026-01-15T06:17:00Z",
        "said": "refunded",
    }
    assert (await client.get(answer.headers["Location"], headers=shop.as_staff())).json() == answer.json()


async def test_a_payment_and_its_booking_tell_what_went_back(client: httpx.AsyncClient, shop: Shop) -> None:
    paid = await shop.given_a_paid_booking()
    address = f"/v1/bookings/{paid.booking.id}"

    await give_back(client, shop, paid.payment, amount=13000)
    part = (await client.get(address, headers=shop.as_staff())).json()
    await give_back(client, shop, paid.payment)
    whole = (await client.get(address, headers=shop.as_staff())).json()

    told = [
        (one["status"], one["payments"][0]["status"], one["payments"][0]["amount_refunded"]) for one in (part, whole)
    ]
    assert told == [("confirmed", "partially_refunded", 13000), ("refunded", "refunded", 113000)]


async def test_refunds_of_a_payment_are_listed_oldest_first(client: httpx.AsyncClient, shop: Shop) -> None:
    paid = await shop.given_a_paid_booking()
    first = await given_a_refund(shop, paid.payment, Money(3000))
    shop.clock.advance(minutes=1)
    second = await given_a_refund(shop, paid.payment, Money(5000))

    answer = await client.get(f"/v1/payments/{paid.payment.id}/refunds", headers=shop.as_customer())

    assert [(item["id"], item["amount"]) for item in answer.json()["items"]] == [(first.id, 3000), (second.id, 5000)]


@pytest.mark.fault("F64")
async def test_a_refund_without_an_answer_is_201_unknown_and_reserves_its_amount(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    paid = await shop.given_a_paid_booking()
    shop.gateway.loses_refunds()

    answer = await give_back(client, shop, paid.payment, amount=13000)

    payment = (await client.get(f"/v1/payments/{paid.payment.id}", headers=shop.as_staff())).json()
    assert answer.status_code == 201
    assert (answer.json()["status"], answer.json()["accepted_at"], answer.json()["settled_at"]) == (
        "unknown",
        None,
        None,
    )
    assert (payment["amount_reserved"], payment["amount_refunded"]) == (13000, 0)


async def test_while_a_refund_is_unknown_another_one_is_refused_and_may_be_asked_for_later(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    paid = await shop.given_a_paid_booking()
    shop.gateway.loses_refunds()
    await give_back(client, shop, paid.payment, amount=13000)

    answer = await give_back(client, shop, paid.payment, amount=13000)

    assert (answer.status_code, problem(answer)) == (409, "refund-in-progress")
    assert int(answer.headers["Retry-After"]) > 0
    assert shop.gateway.refunded == 1


async def test_a_refund_whose_answer_was_lost_is_found_by_the_look_up(client: httpx.AsyncClient, shop: Shop) -> None:
    paid = await shop.given_a_paid_booking()
    shop.gateway.loses_refund_answers()

    answer = await give_back(client, shop, paid.payment)

    assert (answer.status_code, answer.json()["status"], answer.json()["accepted_at"]) == (201, "confirmed", None)


@pytest.mark.fault("F65")
async def test_a_refund_that_the_gateway_does_not_show_yet_is_201_submitted(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    paid = await shop.given_a_paid_booking()
    shop.gateway.lags_refunds(1)

    answer = await give_back(client, shop, paid.payment)
    later = await client.post(f"/v1/payments/{paid.payment.id}/verification", headers=shop.as_staff())

    read = await client.get(answer.headers["Location"], headers=shop.as_staff())
    assert (answer.status_code, answer.json()["status"]) == (201, "submitted")
    assert (later.json()["status"], read.json()["status"]) == ("refunded", "confirmed")


@pytest.mark.parametrize("fault", ["refuses_refunds", "refuses_connections", "refuses_key"])
async def test_a_refund_that_certainly_did_not_happen_is_201_rejected_and_says_why(
    client: httpx.AsyncClient, shop: Shop, fault: str
) -> None:
    paid = await shop.given_a_paid_booking()
    getattr(shop.gateway, fault)()

    answer = await give_back(client, shop, paid.payment)

    assert (answer.status_code, answer.json()["status"]) == (201, "rejected")
    assert answer.json()["said"]
    assert (await shop.stored_payment(paid.payment)).amount_reserved == Money(0)


@pytest.mark.fault("F62")
@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({"amount": 113001}, 422, "refund-too-large"),
        ({"amount": 0}, 422, "invalid-fields"),
        ({"amount": -1}, 422, "invalid-fields"),
        ({"amount": 1130.5}, 422, "invalid-fields"),
        ({"amount": 5000.0}, 422, "invalid-fields"),
        ({"amount": "5000"}, 422, "invalid-fields"),
        ({"amount": True}, 422, "invalid-fields"),
        ({"amount": 2**63}, 422, "invalid-fields"),
        ({"currency": "NPR"}, 422, "invalid-fields"),
        ({"reason": ""}, 422, "invalid-fields"),
        ({"reason": "x" * 501}, 422, "invalid-fields"),
        ({"reason": "  "}, 422, "invalid-refund"),
        ({"reason": "line\nline"}, 422, "invalid-refund"),
    ],
)
async def test_a_refund_that_cannot_be_is_refused_and_no_gateway_hears_of_it(
    client: httpx.AsyncClient, shop: Shop, body: dict[str, Any], status: int, slug: str
) -> None:
    paid = await shop.given_a_paid_booking()

    answer = await give_back(client, shop, paid.payment, **body)

    assert (answer.status_code, problem(answer)) == (status, slug)
    assert shop.gateway.refunded == 0
    assert (await shop.stored_payment(paid.payment)).version == paid.payment.version


async def test_what_was_not_paid_or_went_back_already_is_not_given_back(client: httpx.AsyncClient, shop: Shop) -> None:
    unpaid = await shop.given_an_open_payment()
    refunded = (await shop.given_a_paid_booking()).payment
    await given_a_refund(shop, refunded)

    answers = [await give_back(client, shop, payment) for payment in (unpaid, refunded)]

    assert [(answer.status_code, problem(answer)) for answer in answers] == [(409, "nothing-to-refund")] * 2


@pytest.mark.parametrize(("kind", "body"), [(RefundKind.NONE, {}), (RefundKind.FULL, {"amount": 5000})])
async def test_a_gateway_that_gives_nothing_back_or_no_parts_is_409(
    client: httpx.AsyncClient, shop: Shop, kind: RefundKind, body: dict[str, int]
) -> None:
    paid = await shop.given_a_paid_booking()
    shop.gateway.capabilities = evolve(shop.gateway.capabilities, refunds=kind)

    answer = await give_back(client, shop, paid.payment, **body)

    assert (answer.status_code, problem(answer)) == (409, "refunds-not-offered")
    assert shop.gateway.refunded == 0


@pytest.mark.fault("F68")
async def test_customers_and_keys_without_the_scope_give_nothing_back(client: httpx.AsyncClient, shop: Shop) -> None:
    paid = await shop.given_a_paid_booking()
    callers = [shop.as_customer(), await shop.as_service(Scope.PAYMENTS, Scope.BOOKINGS, Scope.READ)]

    answers = [
        await client.post(f"/v1/payments/{paid.payment.id}/refunds", json=WISH, headers=headers) for headers in callers
    ]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert shop.gateway.refunded == 0


@pytest.mark.parametrize("id", ["x", "00000000-0000-4000-8000-000000000000", "%00", "9" * 300])
async def test_a_refund_that_is_not_there_is_404(client: httpx.AsyncClient, shop: Shop, id: str) -> None:
    answer = await client.get(f"/v1/refunds/{id}", headers=shop.as_staff())

    assert (answer.status_code, problem(answer)) == (404, "refund-not-found")


async def test_the_story_of_the_payment_tells_of_its_refund(client: httpx.AsyncClient, shop: Shop) -> None:
    paid = await shop.given_a_paid_booking()
    await give_back(client, shop, paid.payment)

    answer = await client.get(f"/v1/payments/{paid.payment.id}/timeline", headers=shop.as_customer())

    told = [(item["kind"], item["actor"]) for item in answer.json()["items"] if item["kind"].startswith("refund.")]
    assert told == [("refund.submitted", "staff:7"), ("refund.confirmed", "gateway")]
