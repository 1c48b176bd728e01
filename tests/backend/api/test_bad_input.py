"""What bad input gets on `/v1`: a 4xx problem that names what is wrong, never a 500, and nothing is changed."""

import json
from typing import Any, Final

import httpx
import pytest

from sewapay.adapters.web.body import DRAINED_AT_MOST
from tests.backend.api.talking import client_of
from tests.servers import run_in_thread
from tests.shop import Shop

BOOKING: Final[dict[str, Any]] = {"customer": {"id": "42"}, "title": "Deep cleaning", "amount": 113000}


def problem(answer: httpx.Response) -> str:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    slug: str = answer.json()["type"].rsplit("/", 1)[1]
    return slug


@pytest.mark.fault("F09")
@pytest.mark.parametrize(
    "amount",
    [0, -1, -113000, 1130.0, 1130.5, "113000", "1130.00", True, False, None, [], {}, 2**53, 2**63, 2**64, 10**400],
    ids=lambda amount: repr(amount)[:20],
)
async def test_what_is_no_amount_is_422_and_nothing_is_registered(
    client: httpx.AsyncClient, shop: Shop, amount: object
) -> None:
    answer = await client.post("/v1/bookings", json=BOOKING | {"amount": amount}, headers=shop.as_staff())

    assert answer.status_code == 422
    assert problem(answer) == "invalid-fields"
    assert answer.json()["detail"].startswith("amount: ")
    assert (await client.get("/v1/bookings", headers=shop.as_staff())).json()["items"] == []


@pytest.mark.fault("F09")
@pytest.mark.parametrize("number", [b"1e3", b"1E3", b"113000.0", b"-0", b"0113000", b"NaN", b"Infinity", b"0x10"])
async def test_numbers_written_in_other_ways_are_refused(client: httpx.AsyncClient, shop: Shop, number: bytes) -> None:
    body = b'{"customer": {"id": "42"}, "title": "x", "amount": %s}' % number
    headers = shop.as_staff() | {"Content-Type": "application/json"}

    answer = await client.post("/v1/bookings", content=body, headers=headers)

    assert answer.status_code in (400, 422)
    assert problem(answer) in ("malformed-body", "invalid-fields")


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"ammount": 5}, "unknown field ammount"),
        ({"status": "confirmed"}, "unknown field status"),
        ({"customer": {"id": "42", "role": "staff"}}, "customer: unknown field role"),
        ({"customer": {}}, "customer: missing field id"),
        ({"customer": {"id": 42}}, "customer.id: expected str, got int"),
        ({"customer": {"id": ""}}, "customer.id: expected str of length >= 1"),
        ({"customer": {"id": "x" * 129}}, "customer.id: expected str of length <= 128"),
        ({"customer": "42"}, "customer: expected object, got str"),
        ({"title": ""}, "title: expected str of length >= 1"),
        ({"title": "x" * 201}, "title: expected str of length <= 200"),
        ({"title": None}, "title: expected str, got null"),
        ({"id": 0}, "id: expected int >= 1"),
        ({"id": 2**53 + 1}, "id: expected int <= 9007199254740992"),
        ({"id": "123"}, "id: expected int | null, got str"),
        ({"id": True}, "id: expected int | null, got bool"),
        ({"currency": "USD"}, "currency: invalid enum value USD"),
        ({"currency": "npr"}, "currency: invalid enum value npr"),
    ],
)
async def test_a_field_that_is_not_right_is_named(
    client: httpx.AsyncClient, shop: Shop, changes: dict[str, Any], detail: str
) -> None:
    answer = await client.post("/v1/bookings", json=BOOKING | changes, headers=shop.as_staff())

    assert answer.status_code == 422
    assert problem(answer) == "invalid-fields"
    assert answer.json()["detail"].replace("'", "") == detail


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({"title": "line\nbreak"}, "invalid-booking"),
        ({"title": "nul\x00"}, "invalid-booking"),
        ({"title": "   "}, "invalid-booking"),
        ({"title": "right-to-left \u202e"}, "invalid-booking"),
        ({"customer": {"id": "42", "name": "a\x07b"}}, "invalid-booking"),
        ({"customer": {"id": " 42"}}, "invalid-identifier"),
        ({"customer": {"id": "4\x002"}}, "invalid-identifier"),
    ],
)
async def test_text_that_cannot_be_shown_or_stored_is_422(
    client: httpx.AsyncClient, shop: Shop, changes: dict[str, Any], slug: str
) -> None:
    answer = await client.post("/v1/bookings", json=BOOKING | changes, headers=shop.as_staff())

    assert answer.status_code == 422
    assert problem(answer) == slug


@pytest.mark.parametrize("field", list(BOOKING))
async def test_a_missing_field_is_named(client: httpx.AsyncClient, shop: Shop, field: str) -> None:
    body = {name: value for name, value in BOOKING.items() if name != field}

    answer = await client.post("/v1/bookings", json=body, headers=shop.as_staff())

    assert answer.status_code == 422
    assert answer.json()["detail"] == f"missing field {field}"


async def test_a_reason_is_never_longer_than_a_person_reads(client: httpx.AsyncClient, shop: Shop) -> None:
    answer = await client.post("/v1/bookings", json=BOOKING | {"x" * 60_000: 1}, headers=shop.as_staff())

    assert answer.status_code == 422
    assert len(answer.json()["detail"]) <= 300


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b" ", 400),
        (b"{", 400),
        (b'{"title": "x"', 400),
        (b"\xff\xfe", 400),
        (b'{"title": "\xff"}', 400),
        (b'{"title": "\\ud800"}', 400),
        (b"\xef\xbb\xbf{}", 400),
        (b"null", 422),
        (b"[]", 422),
        (b"5", 422),
        (b'"text"', 422),
        (b'{"customer": ' + b'{"x":' * 10_000, 422),
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_a_body_that_is_no_json_object_is_refused(
    client: httpx.AsyncClient, shop: Shop, body: bytes, status: int
) -> None:
    headers = shop.as_staff() | {"Content-Type": "application/json"}

    answer = await client.post("/v1/bookings", content=body, headers=headers)

    assert answer.status_code == status
    assert problem(answer) == {400: "malformed-body", 422: "invalid-fields"}[status]


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "json"])
async def test_another_content_type_is_415(client: httpx.AsyncClient, shop: Shop, content_type: str | None) -> None:
    headers = shop.as_staff() | ({} if content_type is None else {"Content-Type": content_type})

    answer = await client.post("/v1/bookings", content=json.dumps(BOOKING), headers=headers)

    assert answer.status_code == 415
    assert problem(answer) == "not-json"


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_may_be_named_with_its_charset(client: httpx.AsyncClient, shop: Shop, content_type: str) -> None:
    headers = shop.as_staff() | {"Content-Type": content_type}

    answer = await client.post("/v1/bookings", content=json.dumps(BOOKING), headers=headers)

    assert answer.status_code == 201


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1024 * 1024, DRAINED_AT_MOST + 64 * 1024])
async def test_a_body_over_64_kib_is_413(client: httpx.AsyncClient, shop: Shop, size: int) -> None:
    headers = shop.as_staff() | {"Content-Type": "application/json"}

    answer = await client.post("/v1/bookings", content=b" " * size, headers=headers)

    assert answer.status_code == 413
    assert problem(answer) == "body-too-large"


async def test_a_body_of_exactly_64_kib_is_read(client: httpx.AsyncClient, shop: Shop) -> None:
    body = json.dumps(BOOKING).encode().ljust(64 * 1024)
    headers = shop.as_staff() | {"Content-Type": "application/json"}

    answer = await client.post("/v1/bookings", content=body, headers=headers)

    assert answer.status_code == 201


def test_a_client_that_sends_too_much_over_tcp_gets_its_answer_every_time(shop: Shop) -> None:
    headers = shop.as_staff() | {"Content-Type": "application/json"}

    with run_in_thread(shop.app) as url, httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
        statuses = [
            client.post("/v1/bookings", content=b" " * 3_000_000, headers=headers).status_code for _ in range(20)
        ]

    assert statuses == [413] * 20


@pytest.mark.parametrize("id", ["0", "-1", "abc", "1.0", "1e3", "%31%00", "٣", "9" * 400, str(2**53 + 1), "1_0", "+1"])
async def test_a_number_that_no_booking_has_is_404(client: httpx.AsyncClient, shop: Shop, id: str) -> None:
    answer = await client.get(f"/v1/bookings/{id}", headers=shop.as_staff())

    assert answer.status_code == 404
    assert problem(answer) == "booking-not-found"


@pytest.mark.parametrize("id", ["x", "00000000-0000-0000-0000-00000000000G", "A" * 36, "%00", "%ff", "a" * 3000])
async def test_an_id_that_no_payment_has_is_404(client: httpx.AsyncClient, shop: Shop, id: str) -> None:
    answer = await client.get(f"/v1/payments/{id}", headers=shop.as_staff())

    assert answer.status_code == 404
    assert problem(answer) == "payment-not-found"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("status=open&status=open", "status"),
        ("limit=1&limit=2", "limit"),
        ("statsu=open", "statsu"),
        ("list_payments=1", "list_payments"),
        ("request=1", "request"),
        ("status=paid", "status"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("limit=" + "9" * 30, "limit"),
        ("limit=5.0", "limit"),
        ("limit=1e1", "limit"),
        ("limit=%2B5", "limit"),
        ("limit=%D9%A5", "limit"),
        ("limit=", "limit"),
        ("booking_id=1.0", "booking_id"),
        ("booking_id=0", "booking_id"),
        ("booking_id=x", "booking_id"),
        ("booking_id=9007199254740993", "booking_id"),
        ("needs_attention=perhaps", "needs_attention"),
        ("created_from=yesterday", "created_from"),
        ("created_from=2026-01-15", "created_from"),
        ("created_from=2026-01-15T06:15:00", "created_from"),
        ("created_from=0001-01-01T00:00:00%2B05:45", "created_from"),
        ("created_to=9999-12-31T23:59:59-05:45", "created_to"),
        ("created_to=1768457700", "created_to"),
        ("cursor=" + "x" * 1025, "cursor"),
        ("limit=1&" + "x" * 9000, "query"),
        ("statsu=open" + "&a=1" * 64, "query"),
        ("limit=1&limit=2" + "&" * 64, "query"),
    ],
)
async def test_a_query_that_is_not_right_is_422_and_named(
    client: httpx.AsyncClient, shop: Shop, query: str, says: str
) -> None:
    answer = await client.get(f"/v1/payments?{query}", headers=shop.as_staff())

    assert answer.status_code == 422
    assert problem(answer) == "invalid-fields"
    assert says in answer.json()["detail"]


@pytest.mark.parametrize("cursor", ["x", "%00", "%ff", "AAAA", "नमस्ते"])
async def test_a_cursor_that_is_not_ours_is_422(client: httpx.AsyncClient, shop: Shop, cursor: str) -> None:
    answer = await client.get(f"/v1/payments?cursor={cursor}", headers=shop.as_staff())

    assert answer.status_code == 422
    assert problem(answer) == "invalid-cursor"


@pytest.mark.parametrize("gateway", ["Khalti", "khalti;", "9pay", "%00", "a%20b"])
async def test_a_name_that_no_gateway_has_is_422(client: httpx.AsyncClient, shop: Shop, gateway: str) -> None:
    answer = await client.get(f"/v1/payments?gateway={gateway}", headers=shop.as_staff())

    assert answer.status_code == 422
    assert problem(answer) == "invalid-identifier"


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({"gateway": "esewa"}, "gateway-not-enabled"),
        ({"gateway": "Khalti"}, "invalid-identifier"),
        ({"gateway": ""}, "invalid-fields"),
        ({"gateway": None}, "invalid-fields"),
        ({"booking_id": "1"}, "invalid-fields"),
        ({"amount": 1}, "invalid-fields"),
        ({"return_url": 5}, "invalid-fields"),
        ({"return_url": "https://elsewhere.example/paid"}, "return-url-refused"),
        ({"return_url": "//shop.example/paid"}, "return-url-refused"),
        ({"return_url": "javascript:alert(1)"}, "return-url-refused"),
        ({"return_url": "https://shop.example@evil.example/"}, "return-url-refused"),
        ({"return_url": "https://shop.example\\@evil.example/"}, "return-url-refused"),
        ({"return_url": "https://shop.example/\r\nSet-Cookie: a=b"}, "return-url-refused"),
        ({"return_url": "https://shop.example:99999/"}, "return-url-refused"),
    ],
)
async def test_a_checkout_that_cannot_be_opened_is_422_and_no_gateway_hears_of_it(
    client: httpx.AsyncClient, shop: Shop, changes: dict[str, Any], slug: str
) -> None:
    await shop.given_a_booking(id=123)

    answer = await client.post(
        "/v1/payments", json={"booking_id": 123, "gateway": "khalti"} | changes, headers=shop.as_staff()
    )

    assert answer.status_code == 422
    assert problem(answer) == slug
    assert shop.gateway.initiated == 0


async def test_a_strange_host_is_400(shop: Shop) -> None:
    async with client_of(shop.app) as client:
        answer = await client.get("/v1/payments", headers={"Host": "evil.example/path?x"})

    assert answer.status_code == 400
