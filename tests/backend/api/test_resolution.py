"""A person decides over HTTP about a payment that waits for one."""

from typing import Any

import httpx
import pytest

from sewapay.domain.money import Money
from sewapay.domain.payment import Payment
from tests.backend.api.talking import given_a_payment_under_review, given_a_refund, given_a_surplus_payment
from tests.shop import Shop

KEY = {"Idempotency-Key": "decided-once"}


async def decide(
    client: httpx.AsyncClient, shop: Shop, payment: Payment, decision: str, *, headers: Any = None, **body: Any
) -> httpx.Response:
    wanted = {"decision": decision, "reason": "as the panel says", "version": payment.version} | body
    address = f"/v1/payments/{payment.id}/resolution"
    return await client.post(address, json=wanted, headers=shop.as_staff() | (headers or {}))


def problem(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition("/problems/")[2]


async def test_honouring_the_money_confirms_the_booking(client: httpx.AsyncClient, shop: Shop) -> None:
    payment = await given_a_payment_under_review(shop)

    answer = await decide(client, shop, payment, "honour")

    shown = answer.json()
    booking = (await client.get(f"/v1/bookings/{payment.booking_id}", headers=shop.as_staff())).json()
    assert answer.status_code == 200
    assert (shown["status"], shown["review_reason"], shown["version"]) == ("completed", None, payment.version + 1)
    assert (booking["status"], booking["settled_by"]) == ("confirmed", payment.id)


async def test_refunding_gives_the_money_back(client: httpx.AsyncClient, shop: Shop) -> None:
    payment = await given_a_surplus_payment(shop)

    answer = await decide(client, shop, payment, "refund")

    [refund] = (await client.get(f"/v1/payments/{payment.id}/refunds", headers=shop.as_staff())).json()["items"]
    assert (answer.status_code, answer.json()["status"]) == (200, "refunded")
    assert (refund["amount"], refund["status"], refund["requested_by"]) == (113000, "confirmed", "sewapay")


async def test_a_refund_that_cannot_be_sent_now_stays_due(client: httpx.AsyncClient, shop: Shop) -> None:
    payment = await given_a_surplus_payment(shop)
    shop.gateway.refuses_connections()

    answer = await decide(client, shop, payment, "refund")

    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert (await shop.stored_payment(payment)).refund_due


async def test_closing_what_was_never_paid_ends_it(client: httpx.AsyncClient, shop: Shop) -> None:
    payment = await shop.given_an_open_payment()
    shop.gateway.says(payment, "Ambiguous")
    payment = (await shop.when_it_is_verified(payment)).payment

    answer = await decide(client, shop, payment, "close")

    assert (answer.status_code, answer.json()["status"], answer.json()["reason"]) == (
        200,
        "failed",
        "as the panel says",
    )


@pytest.mark.parametrize(
    ("decision", "status", "amounts"),
    [("refund_happened", "confirmed", (13000, 0)), ("refund_did_not_happen", "rejected", (0, 0))],
)
async def test_a_refund_that_was_never_answered_is_settled_by_what_the_panel_says(
    client: httpx.AsyncClient, shop: Shop, decision: str, status: str, amounts: tuple[int, int]
) -> None:
    paid = await shop.given_a_paid_booking()
    shop.gateway.loses_refunds()
    refund = await given_a_refund(shop, paid.payment, Money(13000))
    payment = await shop.stored_payment(paid.payment)

    answer = await decide(client, shop, payment, decision)

    read = (await client.get(f"/v1/refunds/{refund.id}", headers=shop.as_staff())).json()
    assert answer.status_code == 200
    assert (answer.json()["amount_refunded"], answer.json()["amount_reserved"]) == amounts
    assert read["status"] == status


async def test_a_payment_that_changed_since_is_refused_with_the_version_to_review(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    payment = await given_a_payment_under_review(shop)
    stale = payment.version - 1

    answer = await decide(client, shop, payment, "honour", version=stale)

    assert (answer.status_code, problem(answer)) == (409, "not-the-reviewed-version")
    assert answer.json()["version"] == payment.version
    assert await shop.stored_payment(payment) == payment


async def test_no_other_problem_speaks_of_a_version(client: httpx.AsyncClient, shop: Shop) -> None:
    payment = (await shop.given_a_paid_booking()).payment

    answer = await decide(client, shop, payment, "honour")

    assert (answer.status_code, problem(answer)) == (409, "not-under-review")
    assert set(answer.json()) == {"type", "title", "status", "detail", "instance", "request_id"}


async def test_a_decision_that_does_not_fit_is_409_and_says_which_do(client: httpx.AsyncClient, shop: Shop) -> None:
    payment = await given_a_payment_under_review(shop)

    answer = await decide(client, shop, payment, "close")

    assert (answer.status_code, problem(answer)) == (409, "decision-not-possible")
    assert "honour it or refund it" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"decision": "approve"},
        {"decision": None},
        {"reason": ""},
        {"reason": "  "},
        {"reason": "a\tb"},
        {"reason": "x" * 501},
        {"version": 0},
        {"version": "3"},
        {"version": 3.0},
        {"actor": "staff:8"},
    ],
    ids=str,
)
async def test_a_decision_that_is_not_complete_is_422(
    client: httpx.AsyncClient, shop: Shop, body: dict[str, Any]
) -> None:
    payment = await given_a_payment_under_review(shop)

    answer = await decide(client, shop, payment, **({"decision": "honour"} | body))

    assert (answer.status_code, problem(answer)) == (422, "invalid-fields")
    assert await shop.stored_payment(payment) == payment


async def test_the_story_tells_who_decided_what_and_why(client: httpx.AsyncClient, shop: Shop) -> None:
    payment = await given_a_payment_under_review(shop)
    await decide(client, shop, payment, "honour", reason="Rs 0.05 is what was agreed")

    answer = await client.get(f"/v1/payments/{payment.id}/timeline", headers=shop.as_staff())

    [decided] = [item for item in answer.json()["items"] if item["kind"] == "payment.resolved"]
    assert decided["actor"] == "staff:7"
    assert (decided["data"]["decision"], decided["data"]["reason"]) == ("honour", "Rs 0.05 is what was agreed")


async def test_of_two_who_decide_at_once_one_is_told_that_the_other_did(client: httpx.AsyncClient, shop: Shop) -> None:
    payment = await given_a_payment_under_review(shop)

    answers = [await decide(client, shop, payment, decision) for decision in ("honour", "refund")]

    assert [answer.status_code for answer in answers] == [200, 409]
    assert answers[1].json()["version"] == answers[0].json()["version"]


async def test_the_kept_answer_of_a_refund_is_the_decision_itself(client: httpx.AsyncClient, shop: Shop) -> None:
    payment = await given_a_surplus_payment(shop)

    first = await decide(client, shop, payment, "refund", headers=KEY)
    again = await decide(client, shop, payment, "refund", headers=KEY)

    assert (first.json()["status"], first.json()["refund_due"]) == ("completed", True)
    assert again.content == first.content
    assert shop.gateway.refunded == 1
