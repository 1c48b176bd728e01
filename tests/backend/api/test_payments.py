"""`/v1/payments`: opening, reading, listing, verifying."""

import asyncio

import httpx
import pytest
from attrs import evolve
from dependency_injector import providers

from sewapay.adapters.fake.gateway import FakeGateway
from sewapay.application.errors import GatewayNotConfigured
from sewapay.application.ports import CheckoutKind, Order, Payer, Urls
from sewapay.domain.checkout import Checkout, PostForm
from sewapay.domain.identifiers import GatewayName
from sewapay.domain.money import Money
from tests.backend.api.talking import client_of
from tests.shop import RAM, SHOP_RETURN, SITA, Shop


class FormGateway(FakeGateway):
    """A gateway whose page is reached by posting a form."""

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        opened = await super().open_checkout(order, urls, payer)
        form = PostForm("https://forms.example/pay", {"amount": "1130.0", "signature": "<&>"})
        return evolve(opened, next_step=form)


class KeylessGateway(FakeGateway):
    """A gateway that was enabled without its key."""

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        raise GatewayNotConfigured("KHALTI_SECRET_KEY is not set")


async def test_a_new_payment_is_201_and_says_where_to_go(client: httpx.AsyncClient, shop: Shop) -> None:
    booking = await shop.given_a_booking(id=123)

    answer = await client.post(
        "/v1/payments",
        json={"booking_id": 123, "gateway": "khalti", "return_url": SHOP_RETURN},
        headers=shop.as_customer(),
    )

    [payment] = await shop.stored_payments(booking)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/payments/{payment.id}"
    assert answer.json() == {
        "id": payment.id,
        "booking_id": 123,
        "gateway": "khalti",
        "environment": "sandbox",
        "status": "open",
        "outcome_unknown": False,
        "surplus": False,
        "refund_due": False,
        "review_reason": None,
        "reason": None,
        "amount": 113000,
        "currency": "NPR",
        "amount_display": "Rs 1,130.00",
        "amount_paid": None,
        "amount_refunded": 0,
        "amount_reserved": 0,
        "fee": None,
        "order_reference": payment.order_reference,
        "gateway_reference": payment.gateway_reference,
        "transaction_id": None,
        "next_step": {
            "kind": "redirect",
            "url": f"http://127.0.0.1:8000/return/{payment.id}/?reference={payment.gateway_reference}&status=unpaid",
        },
        "expires_at": "2026-01-15T06:45:00Z",
        "created_at": "2026-01-15T06:15:00Z",
        "opened_at": "2026-01-15T06:15:00Z",
        "paid_at": None,
        "next_check_at": "2026-01-15T06:16:00Z",
        "version": 2,
    }


@pytest.mark.fault("F03")
async def test_opening_it_again_is_200_with_the_same_link(client: httpx.AsyncClient, shop: Shop) -> None:
    await shop.given_a_booking(id=123)
    body = {"booking_id": 123, "gateway": "khalti"}
    first = await client.post("/v1/payments", json=body, headers=shop.as_customer())

    again = await client.post("/v1/payments", json=body, headers=shop.as_customer())

    assert [first.status_code, again.status_code] == [201, 200]
    assert again.json()["next_step"] == first.json()["next_step"]


async def test_a_form_is_told_with_its_fields_in_order() -> None:
    shop = Shop(gateway=FormGateway(name=GatewayName("esewa")))
    await shop.given_a_booking(id=123)

    async with client_of(shop.app) as client:
        answer = await client.post(
            "/v1/payments", json={"booking_id": 123, "gateway": "esewa"}, headers=shop.as_customer()
        )

    assert answer.json()["next_step"] == {
        "kind": "post_form",
        "url": "https://forms.example/pay",
        "fields": {"amount": "1130.0", "signature": "<&>"},
    }


@pytest.mark.parametrize(
    ("fault", "status", "slug"),
    [
        ("refuses_connections", 503, "gateway-unreachable"),
        ("goes_silent", 504, "gateway-silent"),
        ("talks_nonsense", 502, "gateway-answer-unusable"),
        ("refuses_key", 502, "gateway-key-refused"),
        ("refuses_checkouts", 502, "checkout-refused"),
    ],
)
async def test_each_fault_of_a_gateway_has_its_problem(
    client: httpx.AsyncClient, shop: Shop, fault: str, status: int, slug: str
) -> None:
    await shop.given_a_booking(id=123)
    getattr(shop.gateway, fault)()

    answer = await client.post(
        "/v1/payments", json={"booking_id": 123, "gateway": "khalti"}, headers=shop.as_customer()
    )

    assert answer.status_code == status
    assert answer.json()["type"] == f"http://127.0.0.1:8000/problems/{slug}"


async def test_a_gateway_without_its_key_is_503(client: httpx.AsyncClient, shop: Shop) -> None:
    gateway = KeylessGateway(name=GatewayName("khalti"))
    shop.container.gateways.override(providers.Object({gateway.name: gateway}))
    await shop.given_a_booking(id=123)

    answer = await client.post(
        "/v1/payments", json={"booking_id": 123, "gateway": "khalti"}, headers=shop.as_customer()
    )

    assert answer.status_code == 503
    assert answer.json()["type"].endswith("/gateway-not-configured")
    assert answer.headers["Retry-After"] == "60"


async def test_a_gateway_that_replaces_another_is_used_from_the_next_request_on(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    await shop.given_a_booking(id=123)
    await client.get("/v1/gateways", headers=shop.as_customer())
    other = FakeGateway(name=GatewayName("another"))

    shop.container.gateways.override(providers.Object({other.name: other}))
    listed = await client.get("/v1/gateways", headers=shop.as_customer())
    opened = await client.post(
        "/v1/payments", json={"booking_id": 123, "gateway": "another"}, headers=shop.as_customer()
    )

    assert [item["name"] for item in listed.json()["items"]] == ["another"]
    assert opened.status_code == 201
    assert other.initiated == 1


async def test_a_link_is_not_shown_once_it_has_expired(client: httpx.AsyncClient, shop: Shop) -> None:
    payment = await shop.given_an_open_payment()
    shop.clock.advance(minutes=31)

    answer = await client.get(f"/v1/payments/{payment.id}", headers=shop.as_staff())

    assert answer.json()["status"] == "open"
    assert answer.json()["next_step"] is None


async def test_the_link_of_a_canceled_booking_is_not_shown(client: httpx.AsyncClient, shop: Shop) -> None:
    payment = await shop.given_an_open_payment()
    before = await client.get(f"/v1/payments/{payment.id}", headers=shop.as_staff())
    await shop.when_the_booking_is_canceled(await shop.stored_booking(payment.booking_id))

    read = await client.get(f"/v1/payments/{payment.id}", headers=shop.as_staff())
    verified = await client.post(f"/v1/payments/{payment.id}/verification", headers=shop.as_staff())
    booking = await client.get(f"/v1/bookings/{payment.booking_id}", headers=shop.as_staff())

    shown = [read.json(), verified.json(), *booking.json()["payments"]]
    assert before.json()["next_step"] is not None
    assert [(one["status"], one["next_step"]) for one in shown] == [("open", None)] * 3


async def test_lists_show_no_links(client: httpx.AsyncClient, shop: Shop) -> None:
    await shop.given_an_open_payment()

    answer = await client.get("/v1/payments", headers=shop.as_staff())

    assert [item["next_step"] for item in answer.json()["items"]] == [None]


async def test_a_paid_payment_tells_what_came(client: httpx.AsyncClient, shop: Shop) -> None:
    paid = await shop.given_a_paid_booking()

    shown = (await client.get(f"/v1/payments/{paid.payment.id}", headers=shop.as_customer())).json()

    assert shown["status"] == "completed"
    assert shown["amount_paid"] == 113000
    assert shown["fee"] == 0
    assert shown["paid_at"] == "2026-01-15T06:15:00Z"
    assert shown["transaction_id"] == paid.payment.transaction_id


async def test_whoever_reads_an_undecided_payment_has_it_looked_up(client: httpx.AsyncClient, shop: Shop) -> None:
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    shop.clock.advance(seconds=5)

    answer = await client.get(f"/v1/payments/{payment.id}", headers=shop.as_customer())

    assert answer.json()["status"] == "completed"


@pytest.mark.fault("F23")
async def test_a_hundred_readers_make_one_look_and_none_while_it_is_fresh(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    payment = await shop.given_an_open_payment()
    shop.gateway.leaves_pending(payment)
    address = f"/v1/payments/{payment.id}"
    shop.clock.advance(seconds=5)

    at_once = await asyncio.gather(*(client.get(address, headers=shop.as_customer()) for _ in range(100)))
    looked_up_at_once = shop.gateway.looked_up
    shop.clock.advance(seconds=4)
    await client.get(address, headers=shop.as_customer())

    assert {answer.json()["status"] for answer in at_once} == {"pending"}
    assert (looked_up_at_once, shop.gateway.looked_up) == (1, 1)


async def test_a_settled_payment_is_read_without_a_look(client: httpx.AsyncClient, shop: Shop) -> None:
    paid = await shop.given_a_paid_booking()
    shop.clock.advance(days=1)
    asked = shop.gateway.looked_up

    await client.get(f"/v1/payments/{paid.payment.id}", headers=shop.as_staff())

    assert shop.gateway.looked_up == asked


async def test_a_reader_does_not_wait_for_a_gateway_that_takes_its_time(
    client: httpx.AsyncClient, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sewapay.application.queries.READERS_WAIT_SECONDS", 0.01)
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)
    shop.gateway.holds_answers()
    shop.clock.advance(seconds=5)

    answer = await client.get(f"/v1/payments/{payment.id}", headers=shop.as_customer())
    shop.gateway.releases_answers()
    later = await client.get(f"/v1/payments/{payment.id}", headers=shop.as_customer())

    assert [one.status_code for one in (answer, later)] == [200, 200]
    assert [one.json()["status"] for one in (answer, later)] == ["open", "completed"]
    assert shop.gateway.looked_up == 1


async def test_verification_asks_the_gateway_and_answers_with_the_payment(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment)

    answer = await client.post(f"/v1/payments/{payment.id}/verification", headers=shop.as_customer())

    assert answer.status_code == 200
    assert answer.json()["status"] == "completed"


async def test_verification_notices_what_was_done_in_the_gateways_own_panel(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    paid = await shop.given_a_paid_booking()
    shop.gateway.merchant_refunds(paid.payment)

    answer = await client.post(f"/v1/payments/{paid.payment.id}/verification", headers=shop.as_staff())

    assert answer.json()["status"] == "refunded"


async def test_verification_of_a_silent_gateway_is_200_and_unknown(client: httpx.AsyncClient, shop: Shop) -> None:
    payment = await shop.given_an_open_payment()
    shop.gateway.goes_silent()

    answer = await client.post(f"/v1/payments/{payment.id}/verification", headers=shop.as_customer())

    assert answer.status_code == 200
    assert answer.json()["outcome_unknown"] is True
    assert answer.json()["status"] == "open"


async def test_the_timeline_tells_the_story_in_order(client: httpx.AsyncClient, shop: Shop) -> None:
    paid = await shop.given_a_paid_booking()

    answer = await client.get(f"/v1/payments/{paid.payment.id}/timeline", headers=shop.as_customer())

    items = answer.json()["items"]
    assert [item["kind"] for item in items if item["kind"].startswith("payment.")] == [
        "payment.created",
        "payment.opened",
        "payment.completed",
    ]
    assert set(items[0]) == {"at", "kind", "actor", "summary", "data"}


async def test_lists_come_in_pages_newest_first(client: httpx.AsyncClient, shop: Shop) -> None:
    ids = []
    for _ in range(5):
        ids.append(str((await shop.given_an_open_payment()).id))
        shop.clock.advance(seconds=1)

    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/payments", params=query, headers=shop.as_staff())).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == ids[::-1]


async def test_a_customers_list_holds_only_their_own(client: httpx.AsyncClient, shop: Shop) -> None:
    mine = await shop.given_an_open_payment(await shop.given_a_booking(who=SITA))
    theirs = await shop.given_an_open_payment(await shop.given_a_booking(who=RAM))

    own = (await client.get("/v1/payments", headers=shop.as_customer(SITA))).json()
    everyones = (await client.get("/v1/payments", headers=shop.as_staff())).json()

    assert [item["id"] for item in own["items"]] == [mine.id]
    assert {item["id"] for item in everyones["items"]} == {mine.id, theirs.id}


async def test_filters_choose(client: httpx.AsyncClient, shop: Shop) -> None:
    paid = (await shop.given_a_paid_booking()).payment
    shop.clock.advance(minutes=1)
    unpaid = await shop.given_an_open_payment()
    wrong = await shop.given_an_open_payment()
    shop.gateway.customer_pays(wrong, Money(5))
    await shop.when_it_is_verified(wrong)

    async def ids(**query: str) -> set[str]:
        answer = await client.get("/v1/payments", params=query, headers=shop.as_staff())
        assert answer.status_code == 200, answer.text
        return {item["id"] for item in answer.json()["items"]}

    assert await ids(status="completed") == {paid.id}
    assert await ids(booking_id=str(unpaid.booking_id)) == {unpaid.id}
    assert await ids(needs_attention="true") == {wrong.id}
    assert await ids(needs_attention="false") == {paid.id, unpaid.id}
    assert await ids(gateway="khalti") == {paid.id, unpaid.id, wrong.id}
    assert await ids(gateway="esewa") == set()
    assert await ids(created_from="2026-01-15T12:01:00+05:45") == {unpaid.id, wrong.id}
    assert await ids(created_to="2026-01-15T06:16:00Z") == {paid.id}


async def test_gateways_say_what_they_can_do(client: httpx.AsyncClient, shop: Shop) -> None:
    shop.gateway.capabilities = evolve(shop.gateway.capabilities, least=Money(1000), checkout=CheckoutKind.REDIRECT)

    answer = await client.get("/v1/gateways", headers=shop.as_customer())

    assert answer.json() == {
        "items": [
            {
                "name": "khalti",
                "label": "Fake",
                "environment": "sandbox",
                "configured": True,
                "checkout": "redirect",
                "single_entry": False,
                "signed_return": False,
                "refunds": "partial",
                "least_amount": 1000,
                "greatest_amount": None,
                "currency": "NPR",
            }
        ]
    }
