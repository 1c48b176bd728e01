"""What goes wrong on bad days, row by row of docs/money-safety.md: over HTTP, with Khalti's stand-in over TCP."""

import asyncio
import contextlib
import re
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit, urlunsplit

import httpx
import pytest

from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.sql.sqlite import SqliteStore
from sewapay.adapters.sql.urls import SqliteAddress, read_address
from tests.backend.system.promises import unsettled
from tests.backend.system.serving import free_port, wait_for
from tests.backend.system.world import (
    AS_STAFF,
    PRICE,
    RAM,
    Khalti,
    World,
    a_booking,
    a_world,
)
from tests.postgres import PostgresServer

T = TypeVar("T")

PATIENCE: Final = "KHALTI_DEADLINE_SECONDS"
STILL_CHECKING: Final = "We are still checking this payment with Khalti. Please do not pay again; look again soon."


@pytest.fixture
async def world(database_url: str, khalti: Khalti) -> AsyncIterator[World]:
    """The service on a good day; its promises are looked at once more when the day is over."""
    async with a_world(database_url, khalti) as world:
        yield world
        await world.the_promises_hold()


async def waits_for_khalti(world: World, seconds: str) -> None:
    """How long one call may take from now on. Long enough where it is not the matter: this machine may be busy."""
    world.environ = {**world.environ, PATIENCE: seconds}
    await world.restart()


def refused(answer: httpx.Response, status: int) -> str:
    """The guide's sentence about a call that could not be done now."""
    assert status == answer.status_code, answer.text
    assert list(answer.json()) == ["error"]
    if status == 503:
        assert answer.headers["retry-after"].isdigit()
    sentence: str = answer.json()["error"]
    return sentence


def undecided(answer: httpx.Response) -> dict[str, Any]:
    """The guide's answer while nothing is known: 200, and not a word of failure."""
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    assert body["success"] is False
    assert "checking" in body["error"]
    assert "fail" not in body["error"].lower()
    return body


async def it_settles(world: World, booking: int, pidx: str) -> dict[str, Any]:
    """Asked once more on a better day, the payment confirms its booking."""
    world.khalti.heal()
    body: dict[str, Any] = (await world.process(booking, pidx)).json()
    assert body["success"] is True, body
    assert body["khalti_transaction_id"] == world.khalti.at(pidx).transaction_id
    rows = await world.the_promises_hold()
    assert rows.bookings[booking]["status"] == "confirmed"
    assert unsettled(rows, world.khalti.ledger()) == []
    return body


# --- opening a checkout -----------------------------------------------------------------------------------------------


@pytest.mark.fault("F01")
@pytest.mark.parametrize("fault", ["drop_after", "delay"])
async def test_a_lost_answer_to_initiate_leaves_a_link_that_nobody_is_shown(world: World, fault: str) -> None:
    booking = await world.register()
    if fault == "delay":
        await waits_for_khalti(world, "2")
    world.khalti.arm("initiate", fault, **({"seconds": 5} if fault == "delay" else {}))

    lost = await world.initiate(booking)
    if fault == "delay":
        await waits_for_khalti(world, "10")
    first = (await world.attempts(booking))[0]
    orphan = next(iter(world.khalti.ledger()))
    _, pidx, second = await world.open_link(booking)

    assert "still" not in refused(lost, 503)
    assert (first["status"], first["outcome_unknown"], first["gateway_reference"]) == ("created", True, None)
    assert orphan not in (pidx, lost.text)
    assert first["order_reference"] != second["order_reference"]
    world.khalti.pay(pidx)
    await it_settles(world, booking, pidx)


@pytest.mark.fault("F02")
async def test_a_khalti_that_cannot_be_reached_fails_the_attempt_at_once_and_the_next_may_succeed(
    database_url: str, khalti: Khalti
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/api/v2"
    async with a_world(database_url, khalti, KHALTI_BASE_URL=nowhere) as world:
        booking = await world.register()

        away = await world.initiate(booking)
        plain = await world.http.post(
            "/v1/payments", json={"booking_id": booking, "gateway": "khalti"}, headers=AS_STAFF
        )

        refused(away, 503)
        assert (plain.status_code, plain.headers["content-type"]) == (503, "application/problem+json")
        assert plain.headers["retry-after"].isdigit()
        attempts = await world.attempts(booking)
        assert {("failed", False)} == {(row["status"], row["outcome_unknown"]) for row in attempts}
        assert all(row["reason"].startswith("not attempted") for row in attempts)
        world.environ = {**world.environ, "KHALTI_BASE_URL": f"{khalti.address}/api/v2"}
        await world.restart()
        await world.open_link(booking)
        await world.the_promises_hold()


@pytest.mark.fault("F03")
async def test_two_tabs_get_the_same_link_until_it_is_used(world: World) -> None:
    booking, pidx, payment = await world.open_link()

    again = await world.initiate(booking)
    other_door = await world.http.post(
        "/v1/payments", json={"booking_id": booking, "gateway": "khalti"}, headers=AS_STAFF
    )
    world.khalti.pay(pidx)
    used = await world.initiate(booking)

    assert pidx == again.json()["data"]["pidx"]
    assert (200, payment["id"]) == (other_door.status_code, other_door.json()["id"])
    assert "already paid" in refused(used, 409)
    assert len(world.khalti.ledger()) == 1
    assert (await world.booking(booking))["status"] == "confirmed"


@pytest.mark.fault("F04")
async def test_fifty_who_press_pay_at_once_get_one_link(world: World) -> None:
    booking = await world.register()
    world.khalti.arm("initiate", "delay", seconds=0.2)

    answers = await asyncio.gather(*(world.initiate(booking) for _ in range(50)))

    assert {200} == {answer.status_code for answer in answers}
    assert len({answer.json()["data"]["pidx"] for answer in answers}) == 1
    assert world.khalti.simulator.initiates_seen == 1
    assert len(await world.attempts(booking)) == 1


@pytest.mark.fault("F05")
@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "missing", "key": "pidx"},
        {"fault": "missing", "key": "payment_url"},
        {"fault": "change", "values": {"pidx": 12345}},
        {"fault": "off_domain"},
        {"fault": "wrong_pidx"},
        {"fault": "html"},
        {"fault": "raw", "body": "[]"},
    ],
    ids=lambda fault: "-".join(str(part) for part in fault.values() if isinstance(part, str)),
)
async def test_an_answer_that_is_no_checkout_is_shown_to_nobody(world: World, fault: dict[str, Any]) -> None:
    booking = await world.register()
    world.khalti.arm("initiate", **fault)

    answer = await world.initiate(booking)

    refused(answer, 503)
    assert "http" not in answer.text
    assert [(row["status"], row["outcome_unknown"], row["has_link"]) for row in await world.attempts(booking)] == [
        ("created", True, False)
    ]
    await world.open_link(booking)


@pytest.mark.fault("F06")
@pytest.mark.parametrize(
    ("status", "ends", "reason"),
    [(400, "under_review", "checkout_refused"), (403, "under_review", "checkout_refused"), (401, "failed", None)],
)
async def test_a_refusal_by_khalti_is_not_repeated(world: World, status: int, ends: str, reason: str | None) -> None:
    booking = await world.register()
    world.khalti.arm("initiate", "status", status=status)

    refused(await world.initiate(booking), 503)

    assert world.khalti.simulator.initiates_seen == 1
    assert [(ends, reason)] == [(row["status"], row["review_reason"]) for row in await world.attempts(booking)]
    await world.open_link(booking)


@pytest.mark.fault("F07")
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_an_error_of_khaltis_own_is_unknown_and_never_repeated_by_us(world: World, status: int) -> None:
    booking = await world.register()
    world.khalti.arm("initiate", "status", status=status, body="html", effect=True)

    refused(await world.initiate(booking), 503)

    assert world.khalti.simulator.initiates_seen == 1
    assert [(row["status"], row["outcome_unknown"]) for row in await world.attempts(booking)] == [("created", True)]
    await world.open_link(booking)


@pytest.mark.fault("F09")
@pytest.mark.parametrize(
    "amount", ["0", "-1000", "1000.0", "1e3", '"1000"', "true", "NaN", "null", "9223372036854775808"]
)
async def test_an_amount_that_is_none_is_refused_before_any_call(world: World, amount: str) -> None:
    body = f'{{"customer": {{"id": "42"}}, "title": "Deep cleaning", "amount": {amount}}}'
    headers = {**world.as_shop, "Content-Type": "application/json"}

    answer = await world.http.post("/v1/bookings", content=body, headers=headers)

    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await world.rows()).bookings == {}


@pytest.mark.fault("F09")
async def test_a_booking_below_what_khalti_takes_is_refused_before_any_call(world: World) -> None:
    booking = await world.register(amount=999)

    refused(await world.initiate(booking), 400)

    assert world.khalti.simulator.initiates_seen == 0
    assert await world.attempts(booking) == []


@pytest.mark.fault("F10")
async def test_the_price_of_a_booking_cannot_change_under_a_payment(world: World) -> None:
    booking, pidx, _ = await world.open_link()

    changed = [
        await world.http.request(method, f"/v1/bookings/{booking}", json={"amount": 1000}, headers=world.as_shop)
        for method in ("PUT", "PATCH")
    ]
    again = await world.http.post("/v1/bookings", json=a_booking("42", 1000, id=booking), headers=world.as_shop)
    cheaper = await world.initiate(booking, expected_amount=1000)
    world.khalti.pay(pidx)

    assert [answer.status_code for answer in (*changed, again)] == [405, 405, 409]
    assert "Amount mismatch" in refused(cheaper, 400)
    assert PRICE == (await world.booking(booking))["amount"] == world.khalti.at(pidx).purchase.amount
    await it_settles(world, booking, pidx)


@pytest.mark.fault("F11")
async def test_a_pidx_that_another_payment_has_stays_with_that_payment(world: World) -> None:
    first, pidx, before = await world.open_link()
    second = await world.register()
    world.khalti.arm("initiate", "repeat_pidx", known=pidx)

    answer = await world.initiate(second)

    refused(answer, 503)
    assert pidx not in answer.text
    assert before == await world.payment(pidx)
    assert [
        (row["status"], row["outcome_unknown"], row["gateway_reference"]) for row in await world.attempts(second)
    ] == [("created", True, None)]
    world.khalti.pay(pidx)
    await it_settles(world, first, pidx)
    assert (await world.booking(second))["status"] == "pending"


@pytest.mark.fault("F12")
async def test_paying_again_never_removes_the_earlier_attempt(world: World) -> None:
    booking, first, _ = await world.open_link()
    world.khalti.control("cancel", pidx=first)
    _, second, _ = await world.open_link(booking)

    world.khalti.pay(first)
    world.khalti.pay(second)
    processed = [(await world.process(booking, pidx)).json() for pidx in (second, first)]

    assert first != second
    assert [body["success"] for body in processed] == [True, True]
    assert "paid already" in processed[1]["message"]
    assert [(await world.payment(pidx))["surplus"] for pidx in (first, second)] == [True, False]
    assert (await world.booking(booking))["settled_by"] == (await world.payment(second))["id"]


# --- coming back ------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F20")
async def test_a_payment_whose_customer_never_came_back_is_settled_by_whoever_asks_first(world: World) -> None:
    asked: list[Callable[[int, str, str], Coroutine[Any, Any, httpx.Response]]] = [
        lambda booking, _pidx, _id: world.initiate(booking),
        lambda booking, pidx, _id: world.process(booking, pidx),
        lambda _booking, _pidx, payment_id: world.verify(payment_id),
        lambda _booking, _pidx, payment_id: world.http.get(f"/return/{payment_id}/"),
    ]
    for ask in asked:
        booking, pidx, payment = await world.open_link()
        world.khalti.pay(pidx)

        await ask(booking, pidx, payment["id"])

        assert (await world.booking(booking))["status"] == "confirmed"


@pytest.mark.fault("F21")
async def test_a_return_that_comes_before_khalti_knows_is_still_being_checked(world: World) -> None:
    booking, pidx, payment = await world.open_link()
    back = world.khalti.pay(pidx)
    world.khalti.arm("lookup", "lag", times=3)

    first = await world.come_back(back)
    page = await world.http.get(first.headers["location"])
    processed = await world.process(booking, pidx)

    assert (303, f"/return/{payment['id']}/") == (first.status_code, first.headers["location"])
    assert page.status_code == 200
    assert page.headers["refresh"].isdigit()
    assert "fail" not in page.text.lower()
    assert undecided(processed)["status"] == "open"
    await it_settles(world, booking, pidx)


@pytest.mark.fault("F22")
@pytest.mark.parametrize(("what", "status"), [("expire", "expired"), ("cancel", "canceled")])
async def test_a_payment_that_ended_and_was_paid_late_is_completed(world: World, what: str, status: str) -> None:
    booking, pidx, payment = await world.open_link()
    ended = world.khalti.control(what, pidx=pidx)
    await world.come_back(ended["return_url"])
    was = (await world.payment(pidx))["status"]

    back = world.khalti.pay(pidx)
    sent_on = await world.come_back(back)

    assert status == was
    assert only(sent_on.headers["location"], "status") == "Completed"
    assert (await world.booking(booking))["settled_by"] == payment["id"]


@pytest.mark.fault("F23")
async def test_a_hundred_repeats_give_the_same_answer_and_one_look_up(world: World) -> None:
    booking, pidx, _ = await world.open_link()
    back = world.khalti.pay(pidx)
    looked_up = world.khalti.simulator.lookups_seen

    returns = [await world.come_back(back) for _ in range(50)]
    processed = [await world.process(booking, pidx) for _ in range(50)]

    assert len({(answer.status_code, answer.headers["location"]) for answer in returns}) == 1
    assert len({(answer.status_code, answer.content) for answer in processed}) == 1
    assert world.khalti.simulator.lookups_seen - looked_up == 1
    await it_settles(world, booking, pidx)


@pytest.mark.fault("F24")
async def test_a_hundred_at_once_change_it_once(world: World) -> None:
    booking, pidx, payment = await world.open_link()
    back = world.khalti.pay(pidx)
    world.khalti.arm("lookup", "delay", seconds=0.1, times=40)

    answers = await asyncio.gather(
        *(world.come_back(back) for _ in range(60)),
        *(world.process(booking, pidx) for _ in range(30)),
        *(world.verify(payment["id"]) for _ in range(10)),
    )

    assert {303, 200} == {answer.status_code for answer in answers}
    assert len({answer.content for answer in answers[60:90]}) == 1
    told = [event["kind"] for event in (await world.rows()).events]
    assert told == [
        "booking.registered", "payment.created", "payment.opened", "payment.completed", "booking.confirmed",
    ]  # fmt: skip


@pytest.mark.fault("F25")
async def test_somebody_elses_pidx_settles_nothing(world: World) -> None:
    mine, my_pidx, my_payment = await world.open_link()
    other, other_pidx, other_payment = await world.open_link()
    foreign = await world.register(owner=RAM)
    their_pidx = (await world.initiate(foreign, who=RAM)).json()["data"]["pidx"]
    for pidx in (other_pidx, their_pidx):
        world.khalti.pay(pidx)
    looked_up = world.khalti.simulator.lookups_seen

    for pidx in (other_pidx, their_pidx, "unknownunknownunknown2"):
        body = (await world.process(mine, pidx)).json()
        assert (body["success"], body["status"]) == (False, None)
    not_theirs = [await world.process(mine, my_pidx, who=RAM), await world.process(foreign, their_pidx)]
    assert [refused(answer, 404) for answer in not_theirs] == ["Booking not found or access denied"] * 2
    assert world.khalti.simulator.lookups_seen - looked_up == 0, "nobody makes us ask about what is not theirs"
    await world.http.get(f"/return/{my_payment['id']}/?pidx={other_pidx}&status=Completed")
    unknown = await world.http.get(f"/return/00000000-0000-4000-8000-000000000000/?pidx={other_pidx}")

    assert unknown.status_code == 404
    rows = await world.rows()
    assert {"pending"} == {booking["status"] for booking in rows.bookings.values()}
    assert rows.payments[my_payment["id"]]["status"] == "open"
    assert other_payment["id"] in rows.payments
    assert (await world.process(foreign, their_pidx, who=RAM)).json()["success"] is True
    await it_settles(world, other, other_pidx)


@pytest.mark.fault("F26")
@pytest.mark.parametrize(
    "query",
    [
        "pidx={pidx}&status=Completed&amount=113000&transaction_id=forged",
        "pidx={pidx}&status=Completed&status=Pending",
        "pidx=other&pidx={pidx}&status=Completed",
        "status=Completed",
        "pidx={pidx}&status=Completed&amount=1&total_amount=1&purchase_order_id=booking_1_1",
    ],
)
async def test_what_a_forged_return_says_changes_nothing(world: World, query: str) -> None:
    booking, pidx, payment = await world.open_link()

    answer = await world.http.get(f"/return/{payment['id']}/?{query.format(pidx=pidx)}")
    processed = await world.process(
        booking, pidx, status="Completed", amount=PRICE, transaction_id="forged", expected_amount=1130
    )

    assert (303, f"/return/{payment['id']}/") == (answer.status_code, answer.headers["location"])
    assert undecided(processed)["status"] == "open"
    assert ((await world.payment(pidx))["status"], (await world.payment(pidx))["transaction_id"]) == ("open", None)
    world.khalti.pay(pidx)
    forged = await world.process(
        booking,
        pidx,
        status="User canceled",
        amount=1,
        transaction_id="forged",
        purchase_order_id="x",
        expected_amount=1,
    )
    assert forged.json()["success"] is True, "what is wrong in the browser's words does not refuse a proven payment"
    assert forged.json()["khalti_transaction_id"] == world.khalti.at(pidx).transaction_id


@pytest.mark.fault("F27")
@pytest.mark.parametrize("really", ["pay", "cancel"])
async def test_the_look_up_counts_and_not_what_the_return_says(world: World, really: str) -> None:
    booking, pidx, payment = await world.open_link()
    world.khalti.control(really, pidx=pidx)
    claimed = {"pay": "User%20canceled", "cancel": "Completed"}[really]

    answer = await world.http.get(f"/return/{payment['id']}/?pidx={pidx}&status={claimed}")

    said = {"pay": "Completed", "cancel": "User canceled"}[really]
    status = {"pay": "confirmed", "cancel": "pending"}[really]
    assert said == only(answer.headers["location"], "status")
    assert status == (await world.booking(booking))["status"]


@pytest.mark.fault("F28")
@pytest.mark.parametrize(
    "query",
    [
        "pidx=%00&status=%00",
        "status=%ff%fe%80&pidx=%c3%28",
        "status=%E2%80%AEdetelpmoC&pidx=%F0%9F%92%B8",
        "status=%3Cscript%3Ealert(1)%3C/script%3E",
        "pidx=%27%20OR%201=1;--&transaction_id=%22;DROP%20TABLE%20payments",
        "&&&===&=x&%",
        "status=" + "A" * 60000,
        "txnId=&tidx=&transaction_id=&mobile=&pidx=",
    ],
    ids=["nul", "bad-utf8", "rtl", "html", "sql", "crumbs", "60-kb", "empty"],
)
async def test_a_return_with_garbage_still_looks_the_payment_up(world: World, query: str) -> None:
    booking, pidx, payment = await world.open_link()
    world.khalti.pay(pidx)

    answer = await world.http.get(f"/return/{payment['id']}/?{query}")

    assert answer.status_code == 303, answer.text
    assert only(answer.headers["location"], "status") == "Completed"
    assert "script" not in answer.headers["location"]
    assert (await world.booking(booking))["status"] == "confirmed"


@pytest.mark.fault("F29")
async def test_a_customer_who_is_not_signed_in_on_return_sees_a_status_and_no_booking(world: World) -> None:
    booking = await world.register()
    opened = await world.http.post("/v1/payments", json={"booking_id": booking, "gateway": "khalti"}, headers=AS_STAFF)
    pidx = opened.json()["gateway_reference"]
    back = world.khalti.pay(pidx)

    cleaned = await world.come_back(back)
    page = await world.http.get(cleaned.headers["location"])

    assert (cleaned.status_code, page.status_code) == (303, 200)
    for private in ("Deep cleaning", "Sita", "1,130", str(world.khalti.at(pidx).transaction_id), pidx):
        assert private not in page.text
    assert "set-cookie" not in {*cleaned.headers, *page.headers}


@pytest.mark.fault("F30")
async def test_a_scanner_that_fetches_the_return_address_changes_nothing_that_is_not_true(world: World) -> None:
    booking, pidx, payment = await world.open_link()
    address = f"/return/{payment['id']}/"

    fetched = [await world.http.head(address), await world.http.get(address), await world.http.head(f"{address}?a=1")]

    assert [answer.status_code for answer in fetched] == [200, 200, 303]
    assert ((await world.payment(pidx))["status"], (await world.payment(pidx))["outcome_unknown"]) == ("open", False)
    assert (await world.booking(booking))["status"] == "pending"
    world.khalti.pay(pidx)
    assert (await world.http.head(address)).status_code == 303
    assert (await world.booking(booking))["status"] == "confirmed", "what is true may be noticed by anybody"


@pytest.mark.fault("F31")
async def test_what_is_private_leaves_the_address_at_once(world: World) -> None:
    booking, pidx, payment = await world.open_link()
    undecided_address = f"/return/{payment['id']}/?pidx={pidx}&mobile=98XXXXX123&status=Pending"

    waiting = await world.http.get(undecided_address)
    page = await world.http.get(waiting.headers["location"])
    back = world.khalti.pay(pidx)
    sent_on = await world.come_back(f"{back}&mobile=98XXXXX123")

    for answer in (waiting, page, sent_on):
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "no-store" in answer.headers["cache-control"]
    assert f"/return/{payment['id']}/" == waiting.headers["location"]
    assert "mobile" not in sent_on.headers["location"]
    assert "98XXXXX123" not in page.text + sent_on.text
    assert (await world.booking(booking))["status"] == "confirmed"


def only(url: str, name: str) -> str:
    """The one value of this name in an address."""
    (value,) = parse_qs(urlsplit(url).query)[name]
    return value


# --- looking a payment up ---------------------------------------------------------------------------------------------

F40 = pytest.mark.fault("F40")
F41 = pytest.mark.fault("F41")
F42 = pytest.mark.fault("F42")
F43 = pytest.mark.fault("F43")
F44 = pytest.mark.fault("F44")
F46 = pytest.mark.fault("F46")
NO_ANSWER: Final[dict[str, tuple[pytest.MarkDecorator, dict[str, Any]]]] = {
    "closed": (F40, {"fault": "drop_before"}),
    "reset": (F40, {"fault": "drop_after", "reset": True}),
    "slow": (F40, {"fault": "delay", "seconds": 5}),
    "500": (F40, {"fault": "status", "status": 500}),
    "503-html": (F40, {"fault": "status", "status": 503, "body": "html"}),
    "429": (F40, {"fault": "status", "status": 429}),
    "401": (F40, {"fault": "status", "status": 401}),
    "cut-off": (F41, {"fault": "malformed"}),
    "empty": (F41, {"fault": "raw", "body": ""}),
    "html": (F41, {"fault": "html"}),
    "a-list": (F41, {"fault": "raw", "body": '["Completed"]'}),
    "nan": (F41, {"fault": "raw", "body": '{"status": "Completed", "total_amount": NaN}'}),
    "a-key-twice": (F41, {"fault": "raw", "body": '{"status": "Pending", "status": "Completed"}'}),
    "nested": (F41, {"fault": "raw", "body": "[" * 30000}),
    "a-long-number": (F41, {"fault": "raw", "body": '{"status": "Completed", "total_amount": ' + "9" * 5000 + "}"}),
    "no-http": (F41, {"fault": "verbatim", "text": "lorem ipsum\r\n\r\n"}),
    "short": (F41, {"fault": "verbatim", "text": "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{}"}),
    "8-mb": (F42, {"fault": "huge", "mib": 8}),
    "gzip-bomb": (F42, {"fault": "gzip_bomb", "mib": 16}),
    "drip": (F43, {"fault": "drip", "seconds": 0.05}),
    "redirect": (F44, {"fault": "redirect", "status": 302}),
    "redirect-307": (F44, {"fault": "redirect", "status": 307}),
    "not-found": (
        F46,
        {"fault": "raw", "status": 404, "body": '{"detail": "Not found.", "error_key": "validation_error"}'},
    ),
}


@pytest.mark.parametrize("fault", [pytest.param(fault, id=name, marks=row) for name, (row, fault) in NO_ANSWER.items()])
async def test_no_usable_answer_is_unknown_and_never_a_failure(world: World, fault: dict[str, Any]) -> None:
    booking, pidx, payment = await world.open_link()
    back = world.khalti.pay(pidx)
    is_slow = fault["fault"] in ("delay", "drip")
    if is_slow:
        await waits_for_khalti(world, "1")
    world.khalti.arm("lookup", times=3, **fault)

    began = asyncio.get_running_loop().time()
    processed = await world.process(booking, pidx)
    took = asyncio.get_running_loop().time() - began
    returned = await world.come_back(back)
    verified = await world.verify(payment["id"])

    assert took < 5
    assert undecided(processed)["error"] == STILL_CHECKING
    assert (303, f"/return/{payment['id']}/") == (returned.status_code, returned.headers["location"])
    assert (
        verified.status_code,
        verified.json()["status"],
        verified.json()["outcome_unknown"],
    ) == (200, "open", True)
    assert [event["kind"] for event in (await world.rows()).events].count("payment.outcome_unknown") == 1
    if is_slow:
        await waits_for_khalti(world, "10")
    await it_settles(world, booking, pidx)


@pytest.mark.fault("F40")
async def test_while_khalti_is_silent_nobody_gets_a_second_link(world: World) -> None:
    booking, pidx, _ = await world.open_link()
    world.khalti.pay(pidx)
    world.khalti.arm("lookup", "status", status=503, times=2)

    again = [await world.initiate(booking), await world.initiate(booking)]

    assert all(answer.status_code == 409 or answer.json()["data"]["pidx"] == pidx for answer in again)
    assert len(world.khalti.ledger()) == 1, "Khalti takes no money twice on one link"
    await it_settles(world, booking, pidx)


@pytest.mark.fault("F45")
@pytest.mark.parametrize(("what", "status"), [("expire", "expired"), ("cancel", "canceled")])
async def test_expired_and_canceled_come_with_400_and_are_plain_answers(world: World, what: str, status: str) -> None:
    booking, pidx, payment = await world.open_link()
    world.khalti.control(what, pidx=pidx)

    body = (await world.process(booking, pidx)).json()
    _, renewed, _ = await world.open_link(booking)

    assert (False, status) == (body["success"], body["status"])
    assert "you can try again" in body["error"]
    assert (status, False) == ((await world.payment(pidx))["status"], (await world.payment(pidx))["outcome_unknown"])
    assert renewed != pidx
    assert payment["id"] in (await world.rows()).payments


@pytest.mark.fault("F46")
@pytest.mark.parametrize("http_status", [400, 404])
async def test_a_pidx_that_khalti_does_not_know_any_more_is_unknown(
    world: World, khalti: Khalti, http_status: int
) -> None:
    booking, pidx, _ = await world.open_link()
    ledger = khalti.ledger()
    khalti.control("quirks", unknown_pidx_status=http_status)
    world.environ = {**world.environ, "KHALTI_SECRET_KEY": "anothermerchantskey"}
    await world.restart()

    processed = await world.process(booking, pidx)

    assert undecided(processed)["error"] == STILL_CHECKING
    assert ((await world.payment(pidx))["status"], (await world.payment(pidx))["outcome_unknown"]) == ("open", True)
    assert ledger == khalti.ledger()


@pytest.mark.fault("F47")
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"total_amount": PRICE + 1}, "amount_mismatch"),
        ({"total_amount": PRICE - 1}, "amount_mismatch"),
        ({"total_amount": PRICE // 100}, "amount_mismatch"),
        ({"total_amount": PRICE * 100}, "amount_mismatch"),
        ({"pidx": "22222222222222222222zz"}, "reference_mismatch"),
    ],
    ids=["a-paisa-more", "a-paisa-less", "in-rupees", "times-100", "another-pidx"],
)
async def test_money_in_another_amount_or_for_another_payment_is_reviewed_and_confirms_nothing(
    world: World, values: dict[str, Any], reason: str
) -> None:
    booking, pidx, payment = await world.open_link()
    world.khalti.pay(pidx)
    world.khalti.arm("lookup", "change", values=values)

    body = (await world.process(booking, pidx)).json()
    again = await world.initiate(booking)

    assert (body["success"], body["status"]) == (False, "under_review")
    assert "A person is looking" in body["error"]
    refused(again, 409)
    assert reason == (await world.payment(pidx))["review_reason"]
    assert (await world.booking(booking))["status"] == "pending"
    assert (await world.rows()).answers[payment["id"]] >= 1, "what Khalti said is kept"


@pytest.mark.fault("F47")
@pytest.mark.parametrize("amount", ["113000", 113000.5, True, None, -113000, {"paisa": 113000}])
async def test_an_amount_of_the_wrong_kind_confirms_nothing(world: World, amount: object) -> None:
    booking, pidx, _ = await world.open_link()
    world.khalti.pay(pidx)
    world.khalti.arm("lookup", "change", values={"total_amount": amount})

    body = (await world.process(booking, pidx)).json()

    assert body["success"] is False
    assert "fail" not in body["error"].lower()
    assert (await world.booking(booking))["status"] == "pending"


@pytest.mark.fault("F48")
@pytest.mark.parametrize("word", ["Ambiguous", "Complete", "", "Completed ✓", "सम्पन्न", "0"])
async def test_a_word_that_nobody_knows_is_held_for_a_person(world: World, word: str) -> None:
    booking, pidx, _ = await world.open_link()
    world.khalti.pay(pidx)
    world.khalti.arm("lookup", "status_word", word=word)

    body = (await world.process(booking, pidx)).json()

    assert body["success"] is False
    assert "fail" not in body["error"].lower()
    assert (await world.booking(booking))["status"] == "pending"
    await it_settles(world, booking, pidx)


@pytest.mark.fault("F48")
@pytest.mark.parametrize("word", ["completed", "COMPLETED"])
async def test_odd_case_is_the_same_word(world: World, word: str) -> None:
    booking, pidx, _ = await world.open_link()
    world.khalti.pay(pidx)
    world.khalti.arm("lookup", "status_word", word=word)

    body = (await world.process(booking, pidx)).json()

    assert (body["success"], body["booking_status"]) == (True, "confirmed")


@pytest.mark.fault("F49")
async def test_a_payment_that_is_pending_for_days_keeps_the_booking_to_itself(world: World) -> None:
    booking, pidx, payment = await world.open_link()
    pending = world.khalti.control("pend", pidx=pidx)
    await world.come_back(pending["return_url"])

    for _ in range(3):
        world.khalti.control("clock", advance_seconds=86400)
        world.clock.offset += timedelta(days=1)
        assert undecided(await world.process(booking, pidx))["status"] == "pending"
        assert "still being checked" in refused(await world.initiate(booking), 409)

    assert [payment["id"]] == [row["id"] for row in await world.attempts(booking)]
    world.khalti.pay(pidx)
    await it_settles(world, booking, pidx)


# --- money that is too much -------------------------------------------------------------------------------------------


@pytest.mark.fault("F61")
async def test_money_for_a_canceled_booking_is_kept_and_put_before_a_person(world: World) -> None:
    booking, pidx, _ = await world.open_link()
    await world.http.post(f"/v1/bookings/{booking}/cancellation", headers=AS_STAFF)
    world.khalti.pay(pidx)

    body = (await world.process(booking, pidx)).json()

    assert (body["success"], body["status"]) == (False, "under_review")
    payment = await world.payment(pidx)
    assert (payment["review_reason"], payment["amount_paid"]) == ("booking_canceled", PRICE)
    assert (await world.booking(booking))["status"] == "canceled"


# --- a database that is away ------------------------------------------------------------------------------------------


class Road:
    """The way to the database, which can be blocked: a lock on the file, or a cut wire to the server."""

    def __init__(self, url: str) -> None:
        self._real = url
        self._wire: Wire | None = None
        self._lock: sqlite3.Connection | None = None
        if not url.startswith("sqlite"):
            parts = urlsplit(url)
            self._wire = Wire(str(parts.hostname), int(parts.port or 5432))
            self.url = urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{self._wire.port}"))
        else:
            self.url = url

    @property
    def store(self) -> SqliteStore | None:
        """A store that waits for a lock for a moment only."""
        address = read_address(self._real)
        return SqliteStore(address.path, busy_seconds=0.2) if isinstance(address, SqliteAddress) else None

    @contextmanager
    def blocked(self) -> Iterator[None]:
        if self._wire is not None:
            with self._wire.cut():
                yield
            return
        path = self._real.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()


class Wire:
    """A TCP proxy in a thread with a loop of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._is_cut = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._carry, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    @contextmanager
    def cut(self) -> Iterator[None]:
        self._is_cut = True
        self._do(self._drop())
        try:
            yield
        finally:
            self._is_cut = False

    def close(self) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(10)

    async def _drop(self) -> None:
        for end in tuple(self._ends):
            end.transport.abort()

    async def _end(self) -> None:
        self._server.close()
        await self._drop()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    async def _carry(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        if self._is_cut:
            near_out.transport.abort()
            return
        far_in, far_out = await asyncio.open_connection(*self._to)
        self._ends |= {near_out, far_out}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(near_in, far_out))
                both.create_task(_pump(far_in, near_out))
        finally:
            for end in (near_out, far_out):
                self._ends.discard(end)
                end.transport.abort()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(65536):
            target.write(piece)
            await target.drain()
    target.close()


@pytest.fixture
async def road(fresh_database_url: str) -> AsyncIterator[Road]:
    road = Road(fresh_database_url)
    yield road
    await asyncio.to_thread(road.close)


@pytest.mark.fault("F75")
@pytest.mark.fault("F76")
async def test_a_database_that_is_away_is_told_in_the_callers_format_and_khalti_is_not_called(
    road: Road, fresh_database_url: str, khalti: Khalti
) -> None:
    async with a_world(road.url, khalti, store=road.store, read_from=fresh_database_url) as world:
        booking = await world.register()
        with road.blocked():
            initiated = await world.initiate(booking)
            registered = await world.http.post("/v1/bookings", json=a_booking("42", PRICE), headers=AS_STAFF)
            opened = await world.http.post(
                "/v1/payments", json={"booking_id": booking, "gateway": "khalti"}, headers=AS_STAFF
            )
            ready = await world.http.get("/health/ready")
            live = await world.http.get("/health/live")

        refused(initiated, 503)
        for answer in (registered, opened):
            assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
            assert answer.headers["retry-after"].isdigit()
        assert (ready.status_code, live.status_code) == (503, 200)
        assert khalti.simulator.initiates_seen == 0
        _, pidx, _ = await world.open_link(booking)
        khalti.pay(pidx)
        await it_settles(world, booking, pidx)


@pytest.mark.fault("F75")
@pytest.mark.fault("F76")
async def test_a_database_that_goes_away_while_khalti_is_asked_loses_nothing(
    road: Road, fresh_database_url: str, khalti: Khalti
) -> None:
    async with a_world(road.url, khalti, store=road.store, read_from=fresh_database_url) as world:
        booking, pidx, payment = await world.open_link()
        back = khalti.pay(pidx)
        before = khalti.simulator.lookups_seen
        khalti.arm("lookup", "delay", seconds=4, times=3)
        asking = [
            asyncio.create_task(world.process(booking, pidx)),
            asyncio.create_task(world.verify(payment["id"])),
            asyncio.create_task(world.come_back(back)),
        ]
        two_at_once = before + 2  # one of the browsers waits for the other's look, and for one of its own after that
        await asyncio.to_thread(wait_for, lambda: khalti.simulator.lookups_seen == two_at_once)

        with road.blocked():
            processed, verified, returned = await asyncio.gather(*asking)

        refused(processed, 503)
        assert (verified.status_code, verified.headers["content-type"]) == (503, "application/problem+json")
        assert (returned.status_code, returned.headers["content-type"].partition(";")[0]) == (503, "text/html")
        assert returned.headers["refresh"].isdigit()
        assert not re.search("fail|Traceback|sqlite|asyncpg", returned.text, re.IGNORECASE)
        assert (await world.payment(pidx))["status"] == "open"
        await it_settles(world, booking, pidx)


@pytest.mark.fault("F75")
async def test_a_link_that_could_not_be_stored_is_not_shown(
    road: Road, fresh_database_url: str, khalti: Khalti
) -> None:
    async with a_world(road.url, khalti, store=road.store, read_from=fresh_database_url) as world:
        booking = await world.register()
        khalti.arm("initiate", "delay", seconds=4)
        asking = asyncio.create_task(world.initiate(booking))
        await asyncio.to_thread(wait_for, lambda: khalti.simulator.initiates_seen == 1)

        with road.blocked():
            answer = await asking

        refused(answer, 503)
        assert next(iter(khalti.ledger())) not in answer.text
        assert [row["status"] for row in await world.attempts(booking)] == ["created"]
        world.clock.offset += timedelta(seconds=60)
        _, pidx, _ = await world.open_link(booking)
        khalti.pay(pidx)
        await it_settles(world, booking, pidx)


@pytest.mark.postgres
@pytest.mark.fault("F75")
async def test_a_server_that_takes_no_connections_is_told_as_away(
    postgres_server: PostgresServer, fresh_postgres_url: str, khalti: Khalti
) -> None:
    migrate(fresh_postgres_url)
    name = urlsplit(fresh_postgres_url).path.removeprefix("/")
    async with a_world(fresh_postgres_url, khalti) as world:
        booking = await world.register()
        postgres_server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        ended = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sewapay' AND datname = "
        )
        postgres_server.execute(f"{ended}'{name}'")

        away = await world.initiate(booking)
        postgres_server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')

        refused(away, 503)
        assert khalti.simulator.initiates_seen == 0
        await world.open_link(booking)
        await world.the_promises_hold()
