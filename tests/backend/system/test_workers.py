"""Workers as real processes on bad days: told to end, held, without a database or a disk, with a wrong clock."""

import asyncio
import resource
import signal
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import asyncpg
import httpx
import pytest

from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.sql.postgres import CONNECTIONS
from tests.backend.system.audited import findings
from tests.backend.system.by_hand import change, fetch, some_minutes_pass
from tests.backend.system.customers import Customers
from tests.backend.system.later import program
from tests.backend.system.serving import Worker, a_service, a_worker, process_environ, ran, wait_for
from tests.backend.system.world import AS_STAFF, Khalti, World, a_booking, a_world, environ_for
from tests.postgres import PostgresServer, mortal_postgres

HOUR: Final = 3600
NO_LIMIT: Final = resource.RLIM_INFINITY
ROOM_FOR_A_LOG: Final = 4096  # and not for a page of the database with what stands before it
TAKEN: Final = "SELECT count(*) FROM payments WHERE leased_until IS NOT NULL"


@pytest.fixture
async def world(fresh_database_url: str, khalti: Khalti) -> AsyncIterator[World]:
    """The service, which leaves what is due to workers."""
    async with a_world(fresh_database_url, khalti, SEWAPAY_ON_PAID_LATE="refund") as world:
        yield world


def environ_of(world: World, **more: str) -> dict[str, str]:
    return environ_for(world.database.url, world.khalti.address, SEWAPAY_ON_PAID_LATE="refund", **more)


async def a_paid_payment(world: World) -> dict[str, Any]:
    """A payment that was paid at Khalti, and whose customer never comes back."""
    _, pidx, payment = await world.open_link()
    world.khalti.simulator.pay(pidx)
    return payment


async def make_due(url: str, *, since: timedelta = timedelta(minutes=1)) -> None:
    """Every payment is due."""
    await change(url, "UPDATE payments SET next_check_at = $1", datetime.now(UTC) - since)


async def until(url: str, query: str, expected: list[tuple[object, ...]], *, seconds: float = 40) -> None:
    """Look until the database says so."""
    async with asyncio.timeout(seconds):
        while await fetch(url, query) != expected:  # noqa: ASYNC110 (another process does it)
            await asyncio.sleep(0.05)


async def until_confirmed(url: str, bookings: int = 1) -> None:
    await until(url, "SELECT count(*) FROM bookings WHERE status = 'confirmed'", [(bookings,)])


@asynccontextmanager
async def a_look_under_way(world: World) -> AsyncIterator[None]:
    """Somebody has taken the one payment to look at it, and Khalti answers nobody until this is over."""
    with world.khalti.simulator.lock:
        await make_due(world.database.url)
        await until(world.database.url, TAKEN, [(1,)])
        yield


async def told_of(url: str, kind: str) -> int:
    """How often an event of this kind happened."""
    [(number,)] = await fetch(url, "SELECT count(*) FROM events WHERE kind = $1", kind)
    assert isinstance(number, int)
    return number


# --- told to end ------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F72")
async def test_an_idle_worker_ends_at_once_when_it_is_told_to(world: World, tmp_path: Path) -> None:
    with a_worker(environ_of(world), tmp_path) as worker:
        told = time.monotonic()
        ended = await asyncio.to_thread(worker.end, signal.SIGTERM)

    assert ended == 0
    assert time.monotonic() - told < 10


@pytest.mark.fault("F72")
async def test_a_worker_that_is_told_to_end_finishes_what_it_began(world: World, tmp_path: Path) -> None:
    await a_paid_payment(world)
    world.khalti.arm("lookup", "delay", seconds=1.5)
    with a_worker(environ_of(world), tmp_path) as worker:
        async with a_look_under_way(world):
            ending = worker.ask_to_end()
        ended = await asyncio.to_thread(ending.wait, 30)

    assert ended == 0, worker.told()
    assert await fetch(world.database.url, "SELECT status, leased_until FROM payments") == [("completed", None)]
    assert await findings(world.database.url, world.khalti) == []


@pytest.mark.fault("F72")
async def test_a_service_that_is_told_to_end_finishes_what_its_own_worker_began(world: World, tmp_path: Path) -> None:
    await a_paid_payment(world)
    world.khalti.arm("lookup", "delay", seconds=1.5)
    with a_service(environ_of(world), tmp_path) as service:
        async with a_look_under_way(world):
            ending = service.ask_to_end()
        await asyncio.to_thread(ending.wait, 40)

    assert await fetch(world.database.url, "SELECT status, leased_until FROM payments") == [("completed", None)]


# --- held past its lease ----------------------------------------------------------------------------------------------


@pytest.mark.fault("F74")
async def test_a_worker_that_was_held_past_its_lease_changes_nothing_that_another_took_over(
    world: World, tmp_path: Path
) -> None:
    url, khalti = world.database.url, world.khalti
    await a_paid_payment(world)
    await make_due(url)
    khalti.arm("lookup", "delay", seconds=4)
    with a_worker(environ_of(world), tmp_path, name="held") as held:
        await asyncio.to_thread(wait_for, lambda: khalti.simulator.lookups_seen)
        held.hold()
        await the_lease_runs_out(url)
        with a_worker(environ_of(world), tmp_path, name="other"):
            await until_confirmed(url)
            held.go_on()
            await asyncio.to_thread(wait_for, lambda: held.said("1 taken over"), 30, held.told)

    assert (await told_of(url, "payment.completed"), await told_of(url, "booking.confirmed")) == (1, 1)
    assert khalti.simulator.lookups_seen == 2
    assert await findings(url, khalti) == []


@pytest.mark.fault("F74")
@pytest.mark.fault("F66")
async def test_a_worker_that_was_held_while_it_gave_money_back_does_not_give_it_back_twice(
    world: World, tmp_path: Path
) -> None:
    url, khalti = world.database.url, world.khalti
    payment = await a_paid_payment(world)
    await world.http.post(f"/v1/bookings/{payment['booking_id']}/cancellation", headers=AS_STAFF)
    await world.verify(payment["id"])
    khalti.arm("refund", "delay", seconds=4)
    with a_worker(environ_of(world), tmp_path, name="held") as held:
        await asyncio.to_thread(wait_for, lambda: khalti.simulator.refunds_seen)
        held.hold()
        await the_lease_runs_out(url)
        with a_worker(environ_of(world), tmp_path, name="other"):
            await until(url, "SELECT status FROM refunds", [("confirmed",)])
            held.go_on()
            await asyncio.to_thread(wait_for, lambda: held.said("reconciled: "), 30, held.told)

    assert khalti.simulator.refunds_seen == 1
    assert (await told_of(url, "refund.submitted"), await told_of(url, "refund.confirmed")) == (1, 1)
    assert await findings(url, khalti) == []


async def the_lease_runs_out(url: str) -> None:
    """What is held is free to be taken over, and due."""
    assert await fetch(url, TAKEN) == [(1,)]
    await change(url, "UPDATE payments SET leased_until = 0 WHERE leased_until IS NOT NULL")
    await make_due(url)


# --- without its database, its disk, its connections ------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.fault("F75")
async def test_a_worker_waits_for_a_database_that_is_away_and_goes_on(khalti: Khalti, tmp_path: Path) -> None:
    with mortal_postgres() as server:
        url = server.server.create_database()
        migrate(url)
        async with a_world(url, khalti) as world:
            environ = environ_for(url, khalti.address)
            with a_worker(environ, tmp_path) as worker:
                await a_paid_payment(world)
                server.kill()
                await asyncio.to_thread(wait_for, lambda: worker.said("the database cannot be used"), 40, worker.told)
                never_began = ran(environ, tmp_path, "worker", "--once")
                server.start()
                await make_due(url)
                await until_confirmed(url)

                assert worker.is_running
            await world.database.close()
            assert await findings(url, khalti) == []
    assert never_began.returncode == 1
    assert "Traceback" not in never_began.stderr
    assert "sewapay: " in never_began.stderr


@pytest.mark.fault("F77")
async def test_a_worker_without_room_on_its_disk_asks_nobody_and_goes_on_when_there_is_room(
    khalti: Khalti, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'sewapay.db'}"
    migrate(url)
    async with a_world(url, khalti) as world:
        await a_paid_payment(world)
        with a_worker(environ_for(url, khalti.address), tmp_path) as worker:
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (ROOM_FOR_A_LOG, NO_LIMIT))
            await make_due(url)
            await asyncio.to_thread(wait_for, lambda: worker.said("the database cannot be used"), 30, worker.told)
            asked_without_room = khalti.simulator.lookups_seen
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (NO_LIMIT, NO_LIMIT))
            await until_confirmed(url)

            assert worker.is_running
    assert asked_without_room == 0
    assert await findings(url, khalti) == []


@pytest.mark.postgres
@pytest.mark.fault("F79")
async def test_connections_that_are_cut_again_and_again_cost_nobody_anything(
    khalti: Khalti, postgres_server: PostgresServer, fresh_postgres_url: str, tmp_path: Path
) -> None:
    migrate(fresh_postgres_url)
    environ = environ_for(fresh_postgres_url, khalti.address)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sewapay'"
    with a_service(environ, tmp_path, with_worker=False) as service, a_worker(environ, tmp_path) as worker:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            shop = Customers([service.url], khalti, http, Random(1))

            async def cut_them_all() -> None:
                for _ in range(20):
                    await asyncio.sleep(0.2)
                    await asyncio.to_thread(postgres_server.execute, cut)

            await shop.round(6, cut_them_all)
            await some_minutes_pass(fresh_postgres_url)
            refused = await shop.ask_for_the_rest()
            different = await shop.changed_when_asked_again(30)
        for pidx in shop.links:
            if khalti.status(pidx) == "Initiated":
                khalti.simulator.cancel(pidx)
        await make_due(fresh_postgres_url)
        links = len(shop.links)
        await until(fresh_postgres_url, "SELECT count(*) FROM payments WHERE status IN ('open', 'pending')", [(0,)])

        assert worker.is_running
    assert (refused, different) == ([], [])
    assert shop.told[500] == 0
    assert links > 0
    assert await findings(fresh_postgres_url, khalti) == []


@pytest.mark.postgres
@pytest.mark.fault("F83")
async def test_whoever_cannot_be_served_is_told_when_to_come_again_and_the_service_stays_alive(
    khalti: Khalti, fresh_postgres_url: str, tmp_path: Path
) -> None:
    migrate(fresh_postgres_url)
    with a_service(environ_for(fresh_postgres_url, khalti.address), tmp_path) as service:
        async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=40) as http:

            async def register() -> httpx.Response:
                return await http.post("/v1/bookings", json=a_booking("42", 113000), headers=AS_STAFF)

            async with holding("bookings", fresh_postgres_url):
                crowd = [asyncio.create_task(register()) for _ in range(60)]
                await until(fresh_postgres_url, "SELECT count(*) FROM pg_locks WHERE NOT granted", [(CONNECTIONS,)])
                began = time.monotonic()
                alive = await http.get("/health/live")
                alive_after = time.monotonic() - began
                told = await asyncio.gather(*crowd)
            afterwards = await register()

    assert (alive.status_code, afterwards.status_code) == (200, 201)
    assert alive_after < 2
    assert {answer.status_code for answer in told} == {503}
    assert all(answer.headers["retry-after"].isdigit() for answer in told)


@asynccontextmanager
async def holding(table: str, url: str) -> AsyncIterator[None]:
    """Nobody else comes to this table until this is over."""
    holder = await asyncpg.connect(url, timeout=10)
    try:
        async with holder.transaction():
            await holder.execute(f"LOCK TABLE {table}")
            yield
    finally:
        await holder.close()


@pytest.mark.fault("F83")
async def test_a_worker_that_waits_for_a_slow_khalti_keeps_no_customer_waiting(world: World, tmp_path: Path) -> None:
    khalti = world.khalti
    slow = [await a_paid_payment(world) for _ in range(40)]
    quick = await a_paid_payment(world)
    for payment in slow:
        khalti.arm("lookup", "delay", seconds=6, pidx=payment["gateway_reference"])
    await change(
        world.database.url,
        "UPDATE payments SET next_check_at = $1 WHERE id <> $2",
        datetime.now(UTC) - timedelta(minutes=1),
        quick["id"],
    )
    with a_service(environ_of(world, KHALTI_DEADLINE_SECONDS="12"), tmp_path) as service:
        await asyncio.to_thread(wait_for, lambda: khalti.simulator.lookups_seen >= 32)
        async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=40) as http:
            back = await http.get(f"/return/{quick['id']}/?pidx={quick['gateway_reference']}&status=Completed")
        confirmed = await fetch(world.database.url, "SELECT count(*) FROM bookings WHERE status = 'confirmed'")
        khalti.heal()
        await until_confirmed(world.database.url, 41)

    assert back.status_code == 303
    assert "status=Completed" in back.headers["location"]
    assert confirmed == [(1,)]  # the others were still being asked about


# --- clocks, and rows that nobody can read ----------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.fault("F80")
async def test_two_workers_whose_clocks_are_two_hours_apart_do_not_work_on_the_same_payments(
    khalti: Khalti, fresh_postgres_url: str, tmp_path: Path
) -> None:
    migrate(fresh_postgres_url)
    environ = process_environ(environ_for(fresh_postgres_url, khalti.address))
    async with a_world(fresh_postgres_url, khalti) as world:
        payments = [await a_paid_payment(world) for _ in range(20)]
        khalti.arm("lookup", "delay", seconds=1.5, times=20)
        with ExitStack() as running:
            workers = [
                Worker(environ, tmp_path, "behind", program(-HOUR)),
                Worker(environ, tmp_path, "ahead", program(HOUR)),  # by its clock they are due
            ]
            with khalti.simulator.lock:  # it answers nobody meanwhile
                for worker in workers:
                    running.callback(worker.end)
                    worker.start()
                await until(fresh_postgres_url, TAKEN, [(20,)])
                await make_due(fresh_postgres_url, since=timedelta(days=1))  # by the other's too
                leases = await fetch(
                    fresh_postgres_url,
                    "SELECT leased_until - extract(epoch FROM clock_timestamp()) * 1000 FROM payments"
                    " WHERE leased_until IS NOT NULL",
                )
            await until_confirmed(fresh_postgres_url, 20)

    assert [khalti.at(payment["gateway_reference"]).lookups for payment in payments] == [1] * 20
    assert len(leases) == 20
    assert all(100_000 < float(str(left)) <= 120_000 for (left,) in leases), leases


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param("UPDATE payments SET order_reference = 'poison' WHERE id = $1", id="payment"),
        pytest.param(
            "UPDATE bookings SET title = '' WHERE id = (SELECT booking_id FROM payments WHERE id = $1)", id="booking"
        ),
    ],
)
async def test_a_row_that_cannot_be_read_is_put_aside_and_told_and_the_rest_goes_on(
    world: World, tmp_path: Path, poison: str
) -> None:
    payments = [await a_paid_payment(world) for _ in range(5)]
    await change(world.database.url, poison, payments[2]["id"])
    await make_due(world.database.url)

    with a_worker(environ_of(world), tmp_path) as worker:
        await until_confirmed(world.database.url, 4)
        await asyncio.to_thread(wait_for, lambda: worker.said("reconciled: "), 20, worker.told)
    once = ran(environ_of(world), tmp_path, "worker", "--once")

    assert worker.said(payments[2]["id"]) == 1, worker.told()
    assert worker.said("put off for") == 1
    assert (once.returncode, once.stdout[:1]) == (0, "0")  # it is not due again before long
    found = await findings(world.database.url, world.khalti)
    assert any(payments[2]["id"] in finding or "booking" in finding for finding in found), found
