"""Talking to an application in this process."""

from typing import Any, Final, cast

import httpx
from litestar import Litestar

from sewapay.application.refund_payment import RefundRequest
from sewapay.domain.money import Money
from sewapay.domain.payment import Payment
from sewapay.domain.refund import Refund
from tests.shop import STAFF, Shop

ORIGIN: Final = "http://127.0.0.1:8000"


async def status_of(app: Litestar, method: str, path: str, query: bytes) -> int:
    """The status of the answer to a request whose query holds just these bytes; clients would tidy them up."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await cast("Any", app)(scope, receive, send)
    status: int = sent[0]["status"]
    return status


async def given_a_surplus_payment(shop: Shop) -> Payment:
    """A payment that the customer canceled and paid after all, when another one had settled the booking already."""
    booking = await shop.given_a_booking()
    first = await shop.given_an_open_payment(booking)
    shop.gateway.customer_cancels(first)
    second = await shop.given_an_open_payment(booking)
    shop.gateway.customer_pays(second, transaction_id="second")
    await shop.when_it_is_verified(second)
    shop.gateway.customer_pays(first, transaction_id="first")
    return (await shop.when_it_is_verified(first)).payment


async def given_a_payment_under_review(shop: Shop) -> Payment:
    """A payment that another amount came for than is owed."""
    payment = await shop.given_an_open_payment()
    shop.gateway.customer_pays(payment, Money(5))
    return (await shop.when_it_is_verified(payment)).payment


async def given_a_refund(shop: Shop, payment: Payment, amount: Money | None = None) -> Refund:
    """What staff had given back of a paid payment: all that is left, or this much."""
    request = RefundRequest(by=STAFF, payment_id=payment.id, amount=amount, reason="a customer's wish")
    return await shop.container.refund_payment()(request)


def client_of(app: Litestar) -> httpx.AsyncClient:
    """A client of the application; follows no redirect, and sees bugs as the 500 that others would see."""
    transport = httpx.ASGITransport(app=cast("Any", app), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=ORIGIN)
