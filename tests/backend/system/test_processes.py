"""The service as it is run: real processes, several at once, killed in the middle of things."""

import asyncio
import json
import resource
import signal
import socket
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest

from sewapay.adapters.web.auth import issue_token
from tests.backend.system.promises import broken, broken_between, unsettled
from tests.backend.system.serving import Service, a_service, wait_for
from tests.backend.system.world import (
    AS_SITA,
    AS_STAFF,
    GUIDE,
    JWT_SECRET,
    KHALTI_KEY,
    SHOP,
    Database,
    Khalti,
    MovedClock,
    a_booking,
    database_at,
    environ_for,
    rows_of,
)

NO_LIMIT: Final = resource.RLIM_INFINITY
CLOCK: Final = MovedClock()
AS_SHOP: Final = AS_STAFF  # staff may register bookings too, and need no key from the database


@pytest.fixture
async def database(fresh_database_url: str) -> AsyncIterator[Database]:
    database = database_at(fresh_database_url)
    yield database
    await database.close()


@pytest.fixture
def service(database: Database, khalti: Khalti, tmp_path: Path) -> Iterator[Service]:
    """One process, on a database of its own."""
    with a_service(environ_for(database.url, khalti.address), tmp_path) as service:
        yield service


@contextmanager
def several(database: Database, khalti: Khalti, folder: Path) -> Iterator[list[str]]:
    """Addresses behind which at least two processes share one database."""
    environ = environ_for(database.url, khalti.address)
    if database.url.startswith("sqlite"):
        with a_service(environ, folder, workers=2) as service:
            yield [service.url]
        return
    with a_service(environ, folder, workers=2) as first, a_service(environ, folder) as second:
        yield [first.url, second.url]


@asynccontextmanager
async def talking(url: str = "", headers: dict[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=0)  # each request may meet another process
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=40, limits=limits) as client:
        yield client


async def register(http: httpx.AsyncClient, url: str) -> int:
    answer = await http.post(f"{url}/v1/bookings", json=a_booking("42", 113000), headers=AS_SHOP)
    assert answer.status_code == 201, answer.text
    number: int = answer.json()["id"]
    return number


async def initiate(http: httpx.AsyncClient, url: str, booking: int) -> httpx.Response:
    body = {"booking_id": booking, "return_url": f"{SHOP}/payment/callback", "website_url": SHOP}
    return await http.post(f"{url}{GUIDE}/initiate_khalti_payment/", json=body, headers=AS_SITA)


async def opened(http: httpx.AsyncClient, url: str, booking: int) -> str:
    answer = await initiate(http, url, booking)
    assert answer.status_code == 200, answer.text
    pidx: str = answer.json()["data"]["pidx"]
    return pidx


async def process(http: httpx.AsyncClient, url: str, booking: int, pidx: str) -> httpx.Response:
    body = {"pidx": pidx, "booking_id": booking, "transaction_id": None}
    return await http.post(f"{url}{GUIDE}/process_khalti_callback/", json=body, headers=AS_SITA)


async def status_of(http: httpx.AsyncClient, url: str, booking: int) -> str:
    answer = await http.get(f"{url}/v1/bookings/{booking}", headers=AS_STAFF)
    assert answer.status_code == 200, answer.text
    status: str = answer.json()["status"]
    return status


async def the_promises_hold(database: Database, khalti: Khalti, *, settled: bool = True) -> None:
    rows, ledger = await rows_of(database, 1), khalti.ledger()
    assert broken(rows, ledger, CLOCK.now()) == []
    if settled:
        assert unsettled(rows, ledger) == []


async def some_minutes_pass(database: Database) -> None:
    """Whatever was begun, was begun a while ago."""
    if database.url.startswith("sqlite"):
        with closing(sqlite3.connect(database.url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute("UPDATE payments SET created_at = '2026-01-15T06:15:00.000000+00:00'")
        return
    connection = await asyncpg.connect(database.url, timeout=10)
    try:
        await connection.execute("UPDATE payments SET created_at = created_at - interval '5 minutes'")
    finally:
        await connection.close()


# --- kill -9 ----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F70")
@pytest.mark.fault("F20")
async def test_a_payment_made_while_the_service_is_dead_is_settled_after_its_restart(
    service: Service, database: Database, khalti: Khalti
) -> None:
    async with talking() as http:
        bookings = [await register(http, service.url) for _ in range(3)]
        links = [await opened(http, service.url, booking) for booking in bookings]
        before = await rows_of(database, 1)

        service.kill()
        returns = [khalti.pay(pidx) for pidx in links]
        service.start()

        came_back = await http.get(returns[0])
        processed = await process(http, service.url, bookings[1], links[1])
        payment = next(row for row in before.payments.values() if row["gateway_reference"] == links[2])
        verified = await http.post(f"{service.url}/v1/payments/{payment['id']}/verification", headers=AS_STAFF)

        assert (
            came_back.status_code,
            processed.json()["success"],
            verified.json()["status"],
        ) == (303, True, "completed")
        assert [await status_of(http, service.url, booking) for booking in bookings] == ["confirmed"] * 3
    assert broken_between(before, await rows_of(database, 1)) == []
    await the_promises_hold(database, khalti)


@pytest.mark.fault("F70")
async def test_whatever_was_acknowledged_is_still_true_after_a_kill_under_load(
    service: Service, database: Database, khalti: Khalti
) -> None:
    registered: list[int] = []
    shown: dict[str, int] = {}
    confirmed: list[int] = []

    async def customers(http: httpx.AsyncClient) -> None:
        with suppress(httpx.TransportError):
            while True:
                booking = await register(http, service.url)
                registered.append(booking)
                pidx = await opened(http, service.url, booking)
                shown[pidx] = booking
                await asyncio.to_thread(khalti.simulator.pay, pidx)
                if (await process(http, service.url, booking, pidx)).json()["success"]:
                    confirmed.append(booking)

    async with talking() as http:
        for round_ in (1, 2):
            load = [asyncio.create_task(customers(http)) for _ in range(8)]
            while len(confirmed) < 12 * round_:
                await asyncio.sleep(0.02)
                assert not any(task.done() for task in load), service.told()
            service.kill()
            await asyncio.gather(*load)
            service.start()

            rows = await rows_of(database, 1)
            assert [booking for booking in registered if booking not in rows.bookings] == []
            assert [booking for booking in confirmed if rows.bookings[booking]["status"] != "confirmed"] == []
            kept = {row["gateway_reference"]: row["booking_id"] for row in rows.payments.values()}
            assert shown == {pidx: kept.get(pidx) for pidx in shown}
            await the_promises_hold(database, khalti, settled=False)

        for pidx, booking in shown.items():
            await process(http, service.url, booking, pidx)
    await the_promises_hold(database, khalti)
    assert len(confirmed) >= 24


@pytest.mark.fault("F08")
async def test_a_kill_before_khalti_did_anything_leaves_an_attempt_that_nobody_was_shown(
    service: Service, database: Database, khalti: Khalti, tmp_path: Path
) -> None:
    with deaf_khalti() as (address, called), a_service(environ_for(database.url, address), tmp_path) as before_deaf:
        async with talking() as http:
            booking = await register(http, before_deaf.url)
            asking = asyncio.create_task(initiate(http, before_deaf.url, booking))
            await asyncio.to_thread(called.wait, 10)
            before_deaf.kill()
            with pytest.raises(httpx.TransportError):
                await asking
    await some_minutes_pass(database)

    async with talking() as http:
        pidx = await opened(http, service.url, booking)

    rows = await rows_of(database, 1)
    assert [("created", True, None), ("open", False, pidx)] == sorted(
        (row["status"], row["outcome_unknown"], row["gateway_reference"]) for row in rows.payments.values()
    )
    await the_promises_hold(database, khalti)


@pytest.mark.fault("F08")
async def test_a_kill_after_khalti_made_a_link_leaves_one_that_nobody_was_shown(
    service: Service, database: Database, khalti: Khalti
) -> None:
    khalti.arm("initiate", "delay", seconds=20)
    async with talking() as http:
        booking = await register(http, service.url)
        asking = asyncio.create_task(initiate(http, service.url, booking))
        await asyncio.to_thread(wait_for, lambda: khalti.ledger())
        orphan = next(iter(khalti.ledger()))
        service.kill()
        with pytest.raises(httpx.TransportError):
            await asking
        service.start()
        await some_minutes_pass(database)

        pidx = await opened(http, service.url, booking)
        khalti.pay(pidx)
        processed = await process(http, service.url, booking, pidx)

    assert pidx != orphan
    assert processed.json()["success"] is True
    assert orphan not in {row["gateway_reference"] for row in (await rows_of(database, 1)).payments.values()}
    await the_promises_hold(database, khalti)


@pytest.mark.fault("F08")
async def test_a_kill_after_the_link_was_stored_gives_the_same_link_to_whoever_asks_again(
    service: Service, database: Database, khalti: Khalti
) -> None:
    async with talking() as http:
        booking = await register(http, service.url)
        body = json.dumps({"booking_id": booking, "return_url": f"{SHOP}/done", "website_url": SHOP})
        with socket.create_connection(("127.0.0.1", service.port)) as browser:
            browser.sendall(written(f"{GUIDE}/initiate_khalti_payment/", body))
            await is_open(database)
            service.kill()  # whatever was answered, nobody read it
        service.start()

        pidx = await opened(http, service.url, booking)

    assert [pidx] == list(khalti.ledger())
    await the_promises_hold(database, khalti)


def written(path: str, body: str) -> bytes:
    head = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in AS_SITA.items()),
    ]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


async def is_open(database: Database) -> None:
    """Wait until a payment's link is stored."""
    async with asyncio.timeout(15):
        while "open" not in {row["status"] for row in (await rows_of(database, 1)).payments.values()}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextmanager
def deaf_khalti() -> Iterator[tuple[str, threading.Event]]:
    """A Khalti that takes connections and does nothing; and whether it was called."""
    called = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1)
                    called.set()
                    connection.settimeout(30)
                    while connection.recv(65536):
                        pass

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", called
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


# --- all at once ------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F24")
@pytest.mark.fault("F04")
async def test_many_at_once_before_several_processes(database: Database, khalti: Khalti, tmp_path: Path) -> None:
    with several(database, khalti, tmp_path) as urls:
        async with talking() as http:
            await fifty_open_one_checkout(http, urls, database, khalti)
            await twenty_processed_callbacks_tell_the_same(http, urls, database, khalti)
            await a_hundred_returns_change_it_once(http, urls, database, khalti)
    await the_promises_hold(database, khalti)


async def fifty_open_one_checkout(http: httpx.AsyncClient, urls: list[str], database: Database, khalti: Khalti) -> None:
    booking = await register(http, urls[0])
    links_before = len(khalti.ledger())

    answers = await asyncio.gather(*(initiate(http, urls[n % len(urls)], booking) for n in range(50)))

    assert {200} == {answer.status_code for answer in answers}
    assert len({answer.json()["data"]["pidx"] for answer in answers}) == 1
    assert len(khalti.ledger()) - links_before == 1
    assert len((await rows_of(database, 1)).of_booking(booking)) == 1


async def twenty_processed_callbacks_tell_the_same(
    http: httpx.AsyncClient, urls: list[str], database: Database, khalti: Khalti
) -> None:
    booking = await register(http, urls[0])
    pidx = await opened(http, urls[0], booking)
    khalti.pay(pidx)

    answers = await asyncio.gather(*(process(http, urls[n % len(urls)], booking, pidx) for n in range(20)))

    assert {200} == {answer.status_code for answer in answers}
    assert len({answer.content for answer in answers}) == 1
    body = answers[0].json()
    assert (
        body["success"],
        body["booking_status"],
        body["message"],
    ) == (True, "confirmed", "Payment completed successfully")
    assert body["khalti_transaction_id"] == khalti.at(pidx).transaction_id
    await it_was_confirmed_once(database, booking)


async def a_hundred_returns_change_it_once(
    http: httpx.AsyncClient, urls: list[str], database: Database, khalti: Khalti
) -> None:
    booking = await register(http, urls[0])
    pidx = await opened(http, urls[0], booking)
    back = khalti.pay(pidx)
    path = back[back.index("/return/") :]

    answers = await asyncio.gather(*(http.get(f"{urls[n % len(urls)]}{path}") for n in range(100)))

    assert {303} == {answer.status_code for answer in answers}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert "status=Completed" in answers[0].headers["location"]
    await it_was_confirmed_once(database, booking)


async def it_was_confirmed_once(database: Database, booking: int) -> None:
    rows = await rows_of(database, 1)
    told = [event["kind"] for event in rows.events if event["booking_id"] == booking]
    assert told == [
        "booking.registered", "payment.created", "payment.opened", "payment.completed", "booking.confirmed",
    ]  # fmt: skip


# --- an orderly end, a full disk, and what the log tells --------------------------------------------------------------


@pytest.mark.fault("F72")
async def test_a_request_that_runs_when_the_service_is_told_to_end_is_finished(
    service: Service, database: Database, khalti: Khalti
) -> None:
    async with talking() as http:
        booking = await register(http, service.url)
        pidx = await opened(http, service.url, booking)
        khalti.pay(pidx)
        khalti.arm("lookup", "delay", seconds=4)
        seen = khalti.simulator.lookups_seen
        asking = asyncio.create_task(process(http, service.url, booking, pidx))
        await asyncio.to_thread(wait_for, lambda: khalti.simulator.lookups_seen > seen)

        ending = service.ask_to_end()
        was_running = not asking.done()
        answer = await asking

    assert was_running
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    assert await asyncio.to_thread(ending.wait, 30) in (0, -signal.SIGTERM), service.told()
    await the_promises_hold(database, khalti)


@pytest.mark.fault("F77")
async def test_a_full_disk_is_told_before_khalti_is_called_and_everything_goes_on_when_there_is_room(
    khalti: Khalti, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'sewapay.db'}"
    with a_service(environ_for(url, khalti.address), tmp_path) as service:
        async with talking() as http:
            booking, other = [await register(http, service.url) for _ in range(2)]
            pidx = await opened(http, service.url, booking)
            khalti.pay(pidx)
            links = len(khalti.ledger())

            service.allow_file_size(0)
            refused = await initiate(http, service.url, other)
            not_recorded = await process(http, service.url, booking, pidx)
            not_registered = await http.post(
                f"{service.url}/v1/bookings", json=a_booking("42", 113000), headers=AS_SHOP
            )
            links_meanwhile = len(khalti.ledger())
            service.allow_file_size(NO_LIMIT)

            settled = await process(http, service.url, booking, pidx)
            second = await opened(http, service.url, other)

    for answer in (refused, not_recorded):
        assert (answer.status_code, list(answer.json())) == (503, ["error"]), answer.text
    assert (
        not_registered.status_code,
        not_registered.headers["content-type"],
    ) == (503, "application/problem+json")
    assert all(answer.headers["retry-after"].isdigit() for answer in (refused, not_recorded, not_registered))
    assert links == links_meanwhile
    assert settled.json()["success"] is True
    assert second in khalti.ledger()
    database = database_at(url)
    await the_promises_hold(database, khalti)
    await database.close()


@pytest.mark.fault("F31")
@pytest.mark.fault("F97")
async def test_no_secret_and_nothing_that_a_browser_brought_reaches_the_log(khalti: Khalti, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sewapay.db'}"
    log = tmp_path / "sewapay.log"
    environ = environ_for(url, khalti.address, SEWAPAY_LOG_FILE=str(log))
    token = issue_token(JWT_SECRET.encode(), subject="42")
    with a_service(environ, tmp_path) as service:
        async with talking() as http:
            booking = await register(http, service.url)
            pidx = await opened(http, service.url, booking)
            back = khalti.pay(pidx)
            khalti.arm("lookup", "status", status=500, body="html")
            await http.get(f"{back}&mobile=9800000123&secret=canaryinquery")
            khalti.arm("lookup", "malformed")
            await http.get(f"{back}&mobile=9800000123&secret=canaryinquery")
            await process(http, service.url, booking, pidx)
            await http.post(f"{service.url}/v1/bookings", content=b'{"canaryinbody":', headers=AS_SHOP)
            await http.get(f"{service.url}/v1/bookings", headers={"Authorization": f"Bearer {token}x"})

    told = log.read_text() + service.output.read_text()
    transaction = khalti.at(pidx).transaction_id
    assert "request" in told
    for canary in (KHALTI_KEY, JWT_SECRET, token, "9800000123", "canaryinquery", "canaryinbody", transaction):
        assert str(canary) not in told
    for line in log.read_text().splitlines():
        spoken: dict[str, Any] = json.loads(line)
        assert spoken["at"]
