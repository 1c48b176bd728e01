"""Hostile requests, thousands of them, straight into the application: never an error of ours, and no money moves."""

import json
import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest
from attrs import frozen
from litestar import Litestar

from sewapay.domain.payment import Payment
from tests.shop import RAM, SITA, Shop

SEED: Final = 20260115
GENERATED: Final = int(os.environ.get("SEWAPAY_HOSTILE_REQUESTS") or 5_000)

WORDS: Final = (
    *("Completed", "User canceled", "Refunded", "paid", "completed", "", " ", "null", "None", "0", "-1", "1e3", "NaN"),
    *("113000", "113000.0", "9223372036854775808", "9" * 400, "true", "[]", "{}", "\x00", "\u202edetelpmoC", "💸"),
    *("सम्पन्न", "' OR 1=1 --", "<script>alert(1)</script>", "../../etc/passwd", "%00", "%ff", "\ud7ff", "x" * 2_000),
    *("evt_1_1", "bGFzdA", "fake_t_1", "honour", "refund", "close", "khalti", "fake", "https://shop.example/back"),
)
VALUES: Final[tuple[object, ...]] = (
    *WORDS,
    *(None, True, False, 0, 1, -1, 2**53, 2**53 + 1, 2**63, 10**30, 1.5, 113000, 113000.0, 1e300, -0.0),
    *([], {}, [1], {"paisa": 1}, ["Completed"]),
)
BODIES: Final[Mapping[str, Mapping[str, object]]] = {
    "refund": {"reason": "the cleaner was ill", "amount": 1000},
    "resolution": {"decision": "honour", "reason": "seen in the panel", "version": 2},
    "payment": {"booking_id": 1, "gateway": "khalti", "return_url": "https://shop.example/back"},
    "booking": {"customer": {"id": "42"}, "title": "Deep cleaning", "amount": 113000},
    "initiate": {"booking_id": 1, "return_url": "https://shop.example/back", "website_url": "https://shop.example"},
    "process": {"pidx": "fake_1", "booking_id": 1, "transaction_id": "forged", "expected_amount": 1130},
}
GUIDE: Final = "/api/bookings/payments"
OCTETS: Final = bytes(set(range(256)) - {10, 13})
QUERY: Final = (
    *("cursor", "limit", "status", "pidx", "amount", "transaction_id", "mobile", "booking_id", "needs_attention"),
    *("created_from", "gateway", "key", ""),
)


@frozen(kw_only=True)
class Request:
    """One request as it arrives, before anybody has looked at it."""

    method: str
    path: str
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


@frozen(kw_only=True)
class Target:
    """What the requests are about: a payment that nobody has paid, one that was paid, and who may see them."""

    unpaid: Payment
    paid: Payment
    tokens: Sequence[bytes]


async def asked(app: Litestar, request: Request) -> int:
    """The HTTP status that the application answers with."""
    status: list[int] = []
    pieces = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> Any:
        return pieces.pop() if pieces else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "http",
        "method": request.method, "path": request.path, "raw_path": request.path.encode(), "root_path": "",
        "query_string": request.query, "headers": list(request.headers), "client": ("127.0.0.1", 1), "state": {},
        "server": ("127.0.0.1", 8000), "app": app,
    }  # fmt: skip
    await app(scope, receive, send)  # type: ignore[arg-type]  # a plain dict, as a server hands it over
    return status[0]


def generated(target: Target, chance: random.Random) -> Request:
    """A request that does not mean well, or that was spoilt on its way."""
    payment = target.unpaid
    is_staff = chance.random() < 0.5
    token = target.tokens[0] if is_staff else chance.choice(target.tokens[1:])
    if not is_staff and chance.random() < 0.5:
        payment = target.paid
    method, path, body = _aimed(payment, chance)
    headers = [(b"host", b"127.0.0.1:8000"), (b"content-type", _content_type(chance))]
    if token and chance.random() < 0.9:
        headers.append((b"authorization", token if chance.random() < 0.95 else _spoilt(token, chance)))
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        headers.append((b"idempotency-key", _octets(chance)[:300]))
    if chance.random() < 0.1:
        headers.append((b"accept-language", _octets(chance)))
    return Request(method=method, path=path, query=_query(chance), headers=headers, body=body)


def _aimed(payment: Payment, chance: random.Random) -> tuple[str, str, bytes]:
    """Where a request goes, and what it brings along."""
    address = f"/v1/payments/{payment.id if chance.random() < 0.9 else chance.choice(WORDS)}"
    method, path, name = chance.choice(
        [
            ("GET", f"/return/{payment.id}/", None),
            ("POST", f"/return/{payment.id}/", "process"),
            ("POST", f"{address}/refunds", "refund"),
            ("GET", f"{address}/refunds", None),
            ("POST", f"{address}/resolution", "resolution"),
            ("POST", f"{address}/verification", None),
            ("GET", address, None),
            ("GET", f"{address}/timeline", None),
            ("GET", f"/v1/refunds/{chance.choice(WORDS)}", None),
            ("GET", "/v1/events", None),
            ("GET", "/v1/payments", None),
            ("GET", "/v1/bookings", None),
            ("POST", "/v1/payments", "payment"),
            ("POST", "/v1/bookings", "booking"),
            ("POST", f"/v1/bookings/{chance.choice(WORDS)}/cancellation", None),
            ("GET", f"/pay/{payment.booking_id}", None),
            ("POST", f"/pay/{chance.choice(WORDS)}", "process"),
            ("POST", f"/return/{payment.id}/again", "process"),
            ("POST", f"{GUIDE}/initiate_khalti_payment/", "initiate"),
            ("POST", f"{GUIDE}/process_khalti_callback/", "process"),
        ]
    )
    fields = dict(BODIES[name]) if name is not None else {}
    if fields.get("pidx"):
        fields["pidx"] = payment.gateway_reference
    for _ in range(chance.randint(1, 3)):
        fields[chance.choice([*fields, "x", "status", "amount"])] = chance.choice(VALUES)
    body = json.dumps(fields, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    return method, path, _spoilt(body, chance) if chance.random() < 0.3 else body


def _spoilt(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content) + 1)
    return chance.choice(
        [
            content[:place],
            content[:place] + _octets(chance) + content[place:],
            content[:place] + content[place + 1 :],
            content * 2,
            b"[" * chance.choice((10, 2_000, 30_000)) + content,
            b"\xef\xbb\xbf" + content,
            content.decode("latin-1").encode("utf-16"),
            b"",
            content + b" " * chance.choice((10, 70_000)),
        ]
    )


def _octets(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return chance.choice(WORDS).encode("utf-8", "surrogatepass").replace(b"\n", b"")
    return bytes(chance.choices(OCTETS, k=chance.randint(0, 40)))


def _content_type(chance: random.Random) -> bytes:
    if chance.random() < 0.8:
        return b"application/json"
    return chance.choice((b"", b"text/plain", b"application/x-www-form-urlencoded", b"application/json; charset=\xff"))


def _query(chance: random.Random) -> bytes:
    pairs = [
        chance.choice(QUERY).encode() + chance.choice((b"=", b"", b"==")) + _octets(chance)
        for _ in range(chance.choice((0, 0, 1, 2, 5, 150)))
    ]
    return chance.choice((b"&", b"&", b";")).join(pairs).replace(b" ", b"+").replace(b"#", b"")


async def money_of(shop: Shop, payment: Payment) -> tuple[object, ...]:
    """Everything about a payment and its booking that money hangs on."""
    kept = await shop.stored_payment(payment)
    booking = await shop.stored_booking(payment.booking_id)
    return (
        *(kept.status, kept.amount, kept.amount_paid, kept.amount_refunded, kept.amount_reserved, kept.refund_due),
        *(kept.surplus, kept.review_reason, kept.transaction_id, kept.gateway_reference, kept.outcome_unknown),
        *(booking.status, booking.amount, booking.settled_by),
    )


@pytest.mark.fault("F26")
@pytest.mark.fault("F28")
@pytest.mark.fault("F62")
@pytest.mark.invariant("I8")
@pytest.mark.invariant("I28")
async def test_no_request_whatsoever_is_an_error_of_ours_or_moves_money() -> None:
    shop = Shop()
    paid = await shop.given_a_paid_booking()
    unpaid = await shop.given_an_open_payment(await shop.given_a_booking(who=RAM))
    headers = [shop.as_staff(), shop.as_customer(RAM), shop.as_customer(SITA), {"Authorization": ""}]
    target = Target(unpaid=unpaid, paid=paid.payment, tokens=[each["Authorization"].encode() for each in headers])
    before = [await money_of(shop, payment) for payment in (unpaid, paid.payment)]
    chance, app, answers = random.Random(SEED), shop.app, Counter[int]()

    for number in range(GENERATED):
        request = generated(target, chance)
        status = await asked(app, request)
        answers[status] += 1
        assert status < 500, f"request {number} was answered with {status}: {request}"

    assert before == [await money_of(shop, payment) for payment in (unpaid, paid.payment)]
    assert shop.gateway.refunded == 0
    assert {200, 303, 400, 401, 403, 404, 409, 413, 415, 422} <= set(answers), "every door was knocked at"


@pytest.mark.fault("F28")
@pytest.mark.parametrize("query", [b"status=t\xb5", b"status=\xe0\xa4", b"cursor=\xff"])
async def test_a_query_with_bytes_that_no_address_has_is_refused(query: bytes) -> None:
    shop = Shop()
    headers = [(b"host", b"127.0.0.1:8000"), (b"authorization", shop.as_staff()["Authorization"].encode())]

    status = await asked(shop.app, Request(method="GET", path="/v1/payments", query=query, headers=headers, body=b""))

    assert status == 422
