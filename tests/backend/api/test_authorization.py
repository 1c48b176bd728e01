"""Who may do what to whose: the whole table, made from the routes. A route without a row here fails."""

from typing import Final

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from sewapay.application.access import Scope
from sewapay.domain.money import Money
from tests.backend.api.talking import given_a_refund
from tests.shop import RAM, SITA, Shop

# Each operation, and who may: customers their own, staff, and keys with one of these scopes.
READERS: Final = {Scope.READ, Scope.BOOKINGS, Scope.PAYMENTS}
TABLE: Final[dict[str, tuple[bool, bool, set[Scope]]]] = {
    "POST /v1/bookings": (False, True, {Scope.BOOKINGS}),
    "GET /v1/bookings": (True, True, READERS),
    "GET /v1/bookings/{booking}": (True, True, READERS),
    "POST /v1/bookings/{booking}/cancellation": (True, True, {Scope.BOOKINGS}),
    "POST /v1/payments": (True, True, {Scope.PAYMENTS}),
    "GET /v1/payments": (True, True, READERS),
    "GET /v1/payments/{payment}": (True, True, READERS),
    "GET /v1/payments/{payment}/timeline": (True, True, READERS),
    "POST /v1/payments/{payment}/verification": (True, True, {Scope.PAYMENTS}),
    "POST /v1/payments/{payment}/refunds": (False, True, {Scope.REFUNDS}),
    "GET /v1/payments/{payment}/refunds": (True, True, READERS | {Scope.REFUNDS}),
    "GET /v1/refunds/{refund}": (True, True, READERS | {Scope.REFUNDS}),
    "POST /v1/payments/{payment}/resolution": (False, True, set()),
    "GET /v1/events": (False, True, READERS | {Scope.WEBHOOKS}),
    "GET /v1/gateways": (True, True, set(Scope)),
    "POST /api/bookings/payments/initiate_khalti_payment": (True, True, {Scope.PAYMENTS}),
    "POST /api/bookings/payments/process_khalti_callback": (True, True, {Scope.PAYMENTS}),
}
NOTHING_THERE: Final = "00000000-0000-4000-8000-000000000000"
# What needs no token, and why.
OPEN: Final = {
    "GET /health/live": "for the machine",
    "GET /health/ready": "for the machine",
    "GET /schema": "the description of this API",
    "GET /schema/openapi.json": "the description of this API",
    "GET /schema/{path}": "Litestar's 404 beside it",
    "GET /problems": "documentation",
    "GET /problems/{slug}": "documentation",
    "GET /static/sewapay.css": "a file",
    "GET /static/progress.js": "a file",
    "GET /static/sewapay.svg": "a file",
    "GET /return/{payment}": "shows nothing of the booking",
    "POST /return/{payment}": "shows nothing of the booking",
    "GET /return/{payment}/unfinished": "shows nothing of the booking",
    "POST /return/{payment}/unfinished": "shows nothing of the booking",
    "GET /return/{payment}/form": "leads to a page where the same booking can be paid, nothing else",
    "POST /return/{payment}/again": "opens a page where the same booking can be paid, nothing else",
    "GET /pay/{booking}": "its key is checked",
    "POST /pay/{booking}": "its key is checked",
}


def operations(app: Litestar) -> set[str]:
    found = set()
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        path = route.path_format.rstrip("/").replace("_id}", "}")
        found |= {f"{method} {path}" for method in route.route_handler_map if method != "OPTIONS"}
    return found


def test_every_route_has_its_row(shop: Shop) -> None:
    assert operations(shop.app) == set(TABLE) | set(OPEN)


async def ask(
    client: httpx.AsyncClient, shop: Shop, operation: str, headers: dict[str, str], *, whose: str
) -> httpx.Response:
    """Do it to something of SITA's, of RAM's, or to something that does not exist."""
    booking = await shop.given_a_booking(who=RAM if whose == "foreign" else SITA)
    payment = await shop.given_an_open_payment(booking)
    method, path = operation.split(" ")
    refund_id = NOTHING_THERE
    if "resolution" in path or "refund" in path:
        shop.gateway.customer_pays(payment, Money(5) if "resolution" in path else None)
        payment = (await shop.when_it_is_verified(payment)).payment
    if "{refund}" in path:
        refund_id = (await given_a_refund(shop, payment)).id
    booking_id = 987654 if whose == "missing" else int(booking.id)
    payment_id, refund_id = (NOTHING_THERE if whose == "missing" else str(id) for id in (payment.id, refund_id))
    body = {
        "/v1/bookings": {"customer": {"id": "42"}, "title": "x", "amount": 5000},
        "/v1/payments": {"booking_id": booking_id, "gateway": "khalti"},
        "/v1/payments/{payment}/refunds": {"reason": "a customer's wish"},
        "/v1/payments/{payment}/resolution": {"decision": "hold", "reason": "asked", "version": payment.version},
        "/api/bookings/payments/initiate_khalti_payment": {
            "booking_id": booking_id,
            "return_url": "https://shop.example/",
            "website_url": "https://shop.example",
        },
        "/api/bookings/payments/process_khalti_callback": {"booking_id": booking_id, "pidx": payment.gateway_reference},
    }.get(path)
    address = path.format(booking=booking_id, payment=payment_id, refund=refund_id)
    return await client.request(method, address, headers=headers, json=body if method == "POST" else None)


def is_about_one_thing(operation: str) -> bool:
    return "{" in operation or operation.startswith(("POST /v1/payments", "POST /api"))


ABOUT_ONE_THING: Final = [operation for operation in TABLE if is_about_one_thing(operation)]


@pytest.mark.parametrize("operation", TABLE)
async def test_nobody_gets_in_without_a_token(client: httpx.AsyncClient, shop: Shop, operation: str) -> None:
    for whose in ("own", "missing"):
        assert (await ask(client, shop, operation, {}, whose=whose)).status_code == 401


@pytest.mark.parametrize("operation", TABLE)
async def test_a_customer_reaches_their_own(client: httpx.AsyncClient, shop: Shop, operation: str) -> None:
    answer = await ask(client, shop, operation, shop.as_customer(SITA), whose="own")

    may, _, _ = TABLE[operation]
    assert answer.status_code in ((200, 201) if may else (403,)), answer.text


@pytest.mark.parametrize("operation", ABOUT_ONE_THING)
async def test_for_a_customer_foreign_and_missing_are_the_same(
    client: httpx.AsyncClient, shop: Shop, operation: str
) -> None:
    headers = shop.as_customer(SITA) | {"X-Request-Id": "same"}

    foreign = await ask(client, shop, operation, headers, whose="foreign")
    missing = await ask(client, shop, operation, headers, whose="missing")

    may, _, _ = TABLE[operation]
    assert [foreign.status_code, missing.status_code] == ([404, 404] if may else [403, 403])
    assert foreign.json() | {"instance": ""} == missing.json() | {"instance": ""}


@pytest.mark.parametrize("operation", TABLE)
async def test_staff_reaches_everybodys(client: httpx.AsyncClient, shop: Shop, operation: str) -> None:
    answer = await ask(client, shop, operation, shop.as_staff(), whose="foreign")

    _, may, _ = TABLE[operation]
    assert answer.status_code in ((200, 201) if may else (403,)), answer.text


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("operation", TABLE)
async def test_a_key_is_good_for_its_scopes_only(
    client: httpx.AsyncClient, shop: Shop, operation: str, scope: Scope
) -> None:
    answer = await ask(client, shop, operation, await shop.as_service(scope), whose="foreign")

    _, _, scopes = TABLE[operation]
    assert answer.status_code in ((200, 201) if scope in scopes else (403,)), answer.text


@pytest.mark.parametrize("operation", ABOUT_ONE_THING)
async def test_what_is_missing_is_404_for_staff_and_services_too(
    client: httpx.AsyncClient, shop: Shop, operation: str
) -> None:
    _, _, scopes = TABLE[operation]
    for headers, may in ((shop.as_staff(), True), (await shop.as_service(), bool(scopes))):
        assert (await ask(client, shop, operation, headers, whose="missing")).status_code == (404 if may else 403)
