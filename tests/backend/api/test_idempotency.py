"""`Idempotency-Key`: one effect, and one answer byte for byte, however often a request is made."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from attrs import define, frozen
from dependency_injector import providers

from sewapay.adapters.fake.gateway import FakeGateway
from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.sql.store import build_store
from sewapay.application.access import Scope
from sewapay.application.ports import Order, Payer, RefundOrder, Urls
from sewapay.domain.checkout import Checkout
from sewapay.domain.identifiers import OrderReference, PaymentId, RefundId
from tests.backend.api.conftest import CurrentParts
from tests.backend.api.talking import client_of, given_a_payment_under_review
from tests.shop import KHALTI, RAM, SITA, Shop

KEY: Final = "6f1c9a52-2b0f-4a53-9d0c-6f7d3f1f8a01"
BOOKING: Final = {"customer": {"id": "42"}, "title": "Deep cleaning", "amount": 113000}
TO_OPEN: Final = {"booking_id": 123, "gateway": "khalti"}
TO_INITIATE: Final = {
    "booking_id": 123,
    "return_url": "https://shop.example/payment/callback",
    "website_url": "https://shop.example",
}


class Died(BaseException):
    """The process is gone: nothing that it would have done is done."""


class CountedIds:
    """The same names in every shop."""

    def __init__(self) -> None:
        self._given = 0

    def _next(self) -> int:
        self._given += 1
        return self._given

    def payment_id(self) -> PaymentId:
        return PaymentId(f"00000000-0000-4000-8000-{self._next():012}")

    def refund_id(self) -> RefundId:
        return RefundId(f"00000000-0000-4000-9000-{self._next():012}")

    def order_reference(self) -> OrderReference:
        return OrderReference(f"{self._next():020}")

    def secret(self) -> str:
        return f"secret {self._next()}"


@define(kw_only=True, eq=False)
class DeadlyGateway(FakeGateway):
    """A gateway that can make a call the last thing that this process does. A refund has its effect first."""

    is_deadly: bool = False

    async def open_checkout(self, order: Order, urls: Urls, payer: Payer) -> Checkout:
        if self.is_deadly:
            raise Died
        return await super().open_checkout(order, urls, payer)

    async def refund(self, order: Order, wanted: RefundOrder) -> str:
        said = await super().refund(order, wanted)
        if self.is_deadly:
            raise Died
        return said


@frozen
class Request:
    """One that may be made again: its address, its body, another body for the same address, its answer's status, and
    what it causes: events here, checkouts and refunds at the gateway.
    """

    path: str
    body: Mapping[str, Any] | None
    other: Mapping[str, Any]
    status: int
    causes: tuple[int, int, int]


async def to_register(_shop: Shop) -> Request:
    return Request("/v1/bookings", BOOKING, {**BOOKING, "amount": 1}, 201, (1, 0, 0))


async def to_cancel(shop: Shop) -> Request:
    await shop.given_a_booking(id=123)
    return Request("/v1/bookings/123/cancellation", None, {"reason": "rain"}, 200, (1, 0, 0))


async def to_open(shop: Shop) -> Request:
    await shop.given_a_booking(id=123)
    return Request("/v1/payments", TO_OPEN, {**TO_OPEN, "return_url": "https://shop.example/"}, 201, (2, 1, 0))


async def to_refund(shop: Shop) -> Request:
    payment = (await shop.given_a_paid_booking()).payment
    body = {"reason": "a customer's wish", "amount": 13000}
    return Request(f"/v1/payments/{payment.id}/refunds", body, {**body, "amount": 13001}, 201, (3, 0, 1))


async def to_resolve(shop: Shop) -> Request:
    payment = await given_a_payment_under_review(shop)
    body = {"decision": "honour", "reason": "agreed", "version": payment.version}
    return Request(f"/v1/payments/{payment.id}/resolution", body, {**body, "decision": "hold"}, 200, (3, 0, 0))


async def to_initiate(shop: Shop) -> Request:
    await shop.given_a_booking(id=123)
    path = "/api/bookings/payments/initiate_khalti_payment/"
    return Request(path, TO_INITIATE, {**TO_INITIATE, "website_url": "https://shop.example/x"}, 200, (2, 1, 0))


REQUESTS: Final = [to_register, to_cancel, to_open, to_refund, to_resolve, to_initiate]
every_request = pytest.mark.parametrize("given", REQUESTS, ids=lambda given: given.__name__)
Given = Callable[[Shop], Awaitable[Request]]


async def send(
    client: httpx.AsyncClient,
    headers: Mapping[str, str],
    request: Request,
    *,
    key: str | None = KEY,
    body: Mapping[str, Any] | None = None,
) -> httpx.Response:
    named = {} if key is None else {"Idempotency-Key": key}
    wanted = request.body if body is None else body
    return await client.post(request.path, json=wanted, headers={**headers, **named})


def over_the_wire(answer: httpx.Response) -> tuple[int, str | None, str, bytes]:
    """What a replay has to repeat."""
    return answer.status_code, answer.headers.get("Location"), answer.headers["Content-Type"], answer.content


def problem(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition("/problems/")[2]


async def effects(client: httpx.AsyncClient, shop: Shop) -> tuple[int, int, int]:
    """How much happened so far."""
    events = await client.get("/v1/events", params={"limit": "100"}, headers=shop.as_staff())
    return len(events.json()["items"]), shop.gateway.initiated, shop.gateway.refunded


def more(after: tuple[int, int, int], before: tuple[int, int, int]) -> tuple[int, int, int]:
    return after[0] - before[0], after[1] - before[1], after[2] - before[2]


@contextlib.asynccontextmanager
async def opened(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the shop's application, while its store is open."""
    await shop.store.open()
    try:
        async with client_of(shop.app) as client:
            yield client
    finally:
        await shop.store.close()


class TestReplay:
    @pytest.mark.fault("F03")
    @every_request
    async def test_the_same_request_has_one_effect_and_the_same_answer_byte_for_byte(
        self, client: httpx.AsyncClient, shop: Shop, given: Given
    ) -> None:
        request = await given(shop)
        before = await effects(client, shop)
        first = await send(client, shop.as_staff(), request)
        shop.clock.advance(minutes=7)

        again = await send(client, shop.as_staff(), request)

        assert first.status_code == request.status, first.text
        assert over_the_wire(again) == over_the_wire(first)
        assert more(await effects(client, shop), before) == request.causes
        assert "Idempotent-Replayed" not in first.headers
        assert again.headers["Idempotent-Replayed"] == "true"

    @every_request
    async def test_another_body_under_the_same_key_is_refused_and_has_no_effect(
        self, client: httpx.AsyncClient, shop: Shop, given: Given
    ) -> None:
        request = await given(shop)
        before = await effects(client, shop)
        first = await send(client, shop.as_staff(), request)

        other = await send(client, shop.as_staff(), request, body=request.other)
        again = await send(client, shop.as_staff(), request)

        if request.path.startswith("/api/"):
            assert (other.status_code, list(other.json())) == (400, ["error"])
        else:
            assert (other.status_code, problem(other)) == (422, "idempotency-key-reused")
        assert more(await effects(client, shop), before) == request.causes
        assert over_the_wire(again) == over_the_wire(first)

    @every_request
    async def test_of_twenty_at_once_one_has_an_effect_and_all_others_its_answer_or_a_409(
        self, client: httpx.AsyncClient, shop: Shop, given: Given
    ) -> None:
        request = await given(shop)
        before = await effects(client, shop)

        answers = await asyncio.gather(*(send(client, shop.as_staff(), request) for _ in range(20)))

        told = {over_the_wire(answer) for answer in answers if answer.status_code == request.status}
        waiting = [answer for answer in answers if answer.status_code != request.status]
        assert len(told) == 1
        assert {(answer.status_code, answer.headers["Retry-After"]) for answer in waiting} <= {(409, "2")}
        assert more(await effects(client, shop), before) == request.causes

    @every_request
    async def test_the_answer_with_a_key_is_the_one_without(
        self, client: httpx.AsyncClient, current: CurrentParts, given: Given
    ) -> None:
        answers = []
        for key in (None, KEY):
            shop = current.shop = Shop()
            shop.container.ids.override(providers.Object(CountedIds()))
            answers.append(await send(client, shop.as_staff(), await given(shop), key=key))

        plain, kept = answers
        assert over_the_wire(kept) == over_the_wire(plain)
        assert set(kept.headers) == set(plain.headers)

    async def test_a_replay_tells_what_was_true_then(self, client: httpx.AsyncClient, shop: Shop) -> None:
        request = await to_open(shop)
        first = await send(client, shop.as_customer(), request)
        shop.gateway.customer_pays(first.json()["gateway_reference"])
        await client.post(f"{first.headers['Location']}/verification", headers=shop.as_customer())

        again = await send(client, shop.as_customer(), request)
        without = await send(client, shop.as_customer(), request, key=None)

        assert over_the_wire(again) == over_the_wire(first)
        assert (without.status_code, problem(without)) == (409, "booking-already-paid")

    async def test_the_slash_at_the_end_makes_no_other_request(self, client: httpx.AsyncClient, shop: Shop) -> None:
        headers = shop.as_staff() | {"Idempotency-Key": KEY}

        answers = [await client.post(path, json=BOOKING, headers=headers) for path in ("/v1/bookings", "/v1/bookings/")]

        assert answers[0].json()["id"] == answers[1].json()["id"]

    async def test_what_is_the_same_in_json_and_not_in_bytes_is_another_request(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        headers = shop.as_staff() | {"Idempotency-Key": KEY, "Content-Type": "application/json"}
        bodies = ['{"customer":{"id":"42"},"title":"x","amount":5}', '{"title":"x","amount":5,"customer":{"id":"42"}}']

        answers = [await client.post("/v1/bookings", content=body, headers=headers) for body in bodies]

        assert [answer.status_code for answer in answers] == [201, 422]


class TestKeptFor:
    async def test_an_answer_is_kept_for_a_day(self, client: httpx.AsyncClient, shop: Shop) -> None:
        request = await to_register(shop)
        first = await send(client, shop.as_staff(), request)

        shop.clock.advance(days=1, seconds=-1)
        within = await send(client, shop.as_staff(), request)
        shop.clock.advance(seconds=1)
        after = await send(client, shop.as_staff(), request, body=request.other)

        assert over_the_wire(within) == over_the_wire(first)
        assert (after.status_code, after.json()["id"]) == (201, first.json()["id"] + 1)


class TestErrors:
    async def test_a_refusal_leaves_the_key_usable(self, client: httpx.AsyncClient, shop: Shop) -> None:
        request = Request("/v1/payments", TO_OPEN, {}, 201, (2, 1, 0))
        missing = await send(client, shop.as_staff(), request)
        await shop.given_a_booking(id=123)

        found = await send(client, shop.as_staff(), request)

        assert [missing.status_code, found.status_code] == [404, 201]

    @pytest.mark.parametrize(
        ("fault", "status"),
        [("refuses_connections", 503), ("goes_silent", 504), ("refuses_key", 502), ("refuses_checkouts", 502)],
    )
    async def test_a_gateway_that_fails_leaves_the_key_usable(
        self, client: httpx.AsyncClient, shop: Shop, fault: str, status: int
    ) -> None:
        request = await to_open(shop)
        getattr(shop.gateway, fault)()
        failed = await send(client, shop.as_customer(), request)
        shop.gateway.answers_again()

        opened = await send(client, shop.as_customer(), request)

        assert [failed.status_code, opened.status_code] == [status, 201]

    async def test_a_refund_that_is_refused_for_its_amount_leaves_the_key_usable(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        request = await to_refund(shop)
        too_much = await send(client, shop.as_staff(), request, body={"reason": "x", "amount": 113001})

        fitting = await send(client, shop.as_staff(), request)

        assert [too_much.status_code, fitting.status_code] == [422, 201]


class TestCutOff:
    @pytest.mark.fault("F66")
    async def test_a_refund_whose_process_died_is_taken_over_and_never_sent_again(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        gateway = shop.gateway = DeadlyGateway(name=KHALTI)
        shop.container.gateways.override(providers.Object({KHALTI: gateway}))
        request = await to_refund(shop)
        gateway.is_deadly = True
        with pytest.raises(Died):
            await send(client, shop.as_staff(), request)
        gateway.is_deadly = False

        shop.clock.advance(seconds=39)
        too_early = await send(client, shop.as_staff(), request)
        shop.clock.advance(seconds=1)
        taken_over = await send(client, shop.as_staff(), request)
        again = await send(client, shop.as_staff(), request)

        refunds = await client.get(request.path, headers=shop.as_staff())
        assert (too_early.status_code, problem(too_early), too_early.headers["Retry-After"]) == (
            409,
            "still-running",
            "2",
        )
        assert (taken_over.status_code, taken_over.json()["status"]) == (201, "confirmed")
        assert over_the_wire(again) == over_the_wire(taken_over)
        assert [refund["id"] for refund in refunds.json()["items"]] == [taken_over.json()["id"]]
        assert gateway.refunded == 1

    @pytest.mark.fault("F08")
    async def test_a_checkout_whose_process_died_is_opened_by_whoever_asks_next(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        gateway = shop.gateway = DeadlyGateway(name=KHALTI, is_deadly=True)
        shop.container.gateways.override(providers.Object({KHALTI: gateway}))
        request = await to_open(shop)
        with pytest.raises(Died):
            await send(client, shop.as_customer(), request)
        gateway.is_deadly = False

        too_early = await send(client, shop.as_customer(), request)
        shop.clock.advance(seconds=40)
        opened = await send(client, shop.as_customer(), request)
        again = await send(client, shop.as_customer(), request)

        assert [too_early.status_code, opened.status_code] == [409, 201]
        assert over_the_wire(again) == over_the_wire(opened)
        assert shop.gateway.initiated == 1


class TestOnTheDisk:
    @every_request
    async def test_an_answer_is_the_same_after_a_restart(self, tmp_path: Path, given: Given) -> None:
        address = f"sqlite:///{tmp_path}/answers.db"
        migrate(address)
        shop = Shop(store=build_store(address))
        async with opened(shop) as client:
            request = await given(shop)
            before = await effects(client, shop)
            answers = await asyncio.gather(*(send(client, shop.as_staff(), request) for _ in range(20)))

        restarted = Shop(store=build_store(address), gateway=shop.gateway)
        async with opened(restarted) as client:
            again = await send(client, restarted.as_staff(), request)
            restarted.gateway = shop.gateway
            after = await effects(client, restarted)

        told = {over_the_wire(answer) for answer in answers if answer.status_code == request.status}
        assert told == {over_the_wire(again)}
        assert {answer.status_code for answer in answers} <= {request.status, 409}
        assert more(after, before) == request.causes


class TestWhoseKey:
    async def test_two_callers_never_share_a_key(self, client: httpx.AsyncClient, shop: Shop) -> None:
        request = await to_register(shop)
        callers = [shop.as_staff(), await shop.as_service(), await shop.as_service()]

        answers = [await send(client, headers, request) for headers in callers]

        assert [answer.status_code for answer in answers] == [201] * 3
        assert len({answer.json()["id"] for answer in answers}) == 3

    async def test_one_caller_may_use_a_key_for_two_operations(self, client: httpx.AsyncClient, shop: Shop) -> None:
        opened = await send(client, shop.as_customer(), await to_open(shop))
        canceled = await client.post(
            "/v1/bookings/123/cancellation", headers=shop.as_customer() | {"Idempotency-Key": KEY}
        )

        assert [opened.status_code, canceled.status_code] == [201, 200]
        assert canceled.json()["status"] == "canceled"

    async def test_the_same_body_for_another_payment_is_another_operation(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        one, other = await to_refund(shop), await to_refund(shop)

        answers = [await send(client, shop.as_staff(), request) for request in (one, other)]

        assert len({answer.json()["payment_id"] for answer in answers}) == 2

    async def test_who_may_not_do_it_never_learns_whether_the_key_is_known(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        booking = await shop.given_a_booking(id=123, who=SITA)
        request = await to_refund(shop)
        await send(client, shop.as_staff(), request)
        headers = shop.as_customer(RAM) | {"Idempotency-Key": KEY, "X-Request-Id": "same"}

        foreign = await client.post(f"/v1/bookings/{booking.id}/cancellation", headers=headers)
        missing = await client.post("/v1/bookings/987654/cancellation", headers=headers)
        forbidden = await client.post(request.path, json=request.body, headers=headers)
        reader = await send(client, await shop.as_service(Scope.READ), request)

        assert [foreign.status_code, missing.status_code] == [404, 404]
        assert foreign.json() | {"instance": ""} == missing.json() | {"instance": ""}
        assert [forbidden.status_code, reader.status_code] == [403, 403]


class TestTheKeyItself:
    @pytest.mark.parametrize("key", ["!", "~", '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "x" * 255])
    async def test_it_is_any_visible_ascii(self, client: httpx.AsyncClient, shop: Shop, key: str) -> None:
        request = await to_register(shop)

        first = await send(client, shop.as_staff(), request, key=key)
        again = await send(client, shop.as_staff(), request, key=key)

        assert first.status_code == 201
        assert again.content == first.content

    @pytest.mark.parametrize("key", ["", "x" * 256, "two words", "a\tb", "नमस्ते", "café", "\x7f"])
    async def test_any_other_is_422(self, client: httpx.AsyncClient, shop: Shop, key: str) -> None:
        headers = {name.encode(): value.encode() for name, value in shop.as_staff().items()}

        answer = await client.post("/v1/bookings", json=BOOKING, headers={**headers, b"Idempotency-Key": key.encode()})

        assert (answer.status_code, problem(answer)) == (422, "invalid-fields")
        assert "Idempotency-Key" in answer.json()["detail"]
        assert await effects(client, shop) == (0, 0, 0)

    async def test_two_of_them_are_422(self, client: httpx.AsyncClient, shop: Shop) -> None:
        headers = [*shop.as_staff().items(), ("Idempotency-Key", "one"), ("Idempotency-Key", "two")]

        answer = await client.post("/v1/bookings", json=BOOKING, headers=headers)

        assert (answer.status_code, problem(answer)) == (422, "invalid-fields")

    async def test_for_the_guide_a_bad_one_is_400(self, client: httpx.AsyncClient, shop: Shop) -> None:
        answer = await send(client, shop.as_customer(), await to_initiate(shop), key="two words")

        assert (answer.status_code, list(answer.json())) == (400, ["error"])

    async def test_a_browser_may_send_it_and_read_whether_it_was_a_replay(
        self, client: httpx.AsyncClient, shop: Shop
    ) -> None:
        asked = await client.options(
            "/v1/payments", headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
        )
        answer = await client.get("/v1/payments", headers={"Origin": "https://shop.example"})

        assert "Idempotency-Key" in asked.headers["Access-Control-Allow-Headers"]
        assert "Idempotent-Replayed" in answer.headers["Access-Control-Expose-Headers"]
