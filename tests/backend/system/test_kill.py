"""`kill -9` under load, again and again: whatever was acknowledged stays true, and everything settles.

SEWAPAY_KILL_ROUNDS says how many rounds there are on each database, SEWAPAY_KILL_SEED repeats a run that failed.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest
from attrs import define

from sewapay.adapters.sql.migrations import migrate
from tests.backend.system.audited import findings
from tests.backend.system.by_hand import some_minutes_pass
from tests.backend.system.customers import Customers
from tests.backend.system.later import program
from tests.backend.system.serving import Service, Worker, a_service, a_worker, process_environ, ran, wait_for
from tests.backend.system.world import Khalti, database_at, environ_for, rows_of
from tests.postgres import mortal_postgres

ROUNDS: Final = int(os.environ.get("SEWAPAY_KILL_ROUNDS") or 15)
SEED: Final = int(os.environ.get("SEWAPAY_KILL_SEED") or time.time())
CUSTOMERS: Final = 8
LATER: Final = timedelta(days=3)
WORK_SECONDS: Final = 0.35


@define
class Estate:
    """Everything that runs, and what can be killed in it: each a name, its end, and its beginning."""

    url: str
    services: list[Service]
    worker: Worker
    mortals: Mapping[str, tuple[Callable[[], object], Callable[[], object]]]
    environ: Mapping[str, str]

    def told(self) -> str:
        """The ends of the services' logs."""
        return "\n".join(service.told() for service in self.services)


@contextmanager
def on_sqlite(khalti: Khalti, folder: Path) -> Iterator[Estate]:
    """One service and one worker on a file."""
    url = f"sqlite:///{folder / 'sewapay.db'}"
    migrate(url)
    environ = environ_for(url, khalti.address)
    with a_service(environ, folder, with_worker=False) as service, a_worker(environ, folder) as worker:
        yield Estate(url, [service], worker, _mortal([service], worker), environ)


@contextmanager
def on_postgres(khalti: Khalti, folder: Path) -> Iterator[Estate]:
    """Two services and one worker on a server of their own."""
    with mortal_postgres() as server, ExitStack() as running:
        url = server.server.create_database()
        migrate(url)
        environ = environ_for(url, khalti.address)
        services = [running.enter_context(a_service(environ, folder, with_worker=False)) for _ in range(2)]
        worker = running.enter_context(a_worker(environ, folder))
        mortals = {**_mortal(services, worker), "PostgreSQL": (server.kill, server.start)}
        yield Estate(url, services, worker, mortals, environ)


def _mortal(services: list[Service], worker: Worker) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    named = {f"service {number}": (service.kill, service.start) for number, service in enumerate(services, 1)}
    return {**named, "worker": (worker.kill, worker.start)}


@pytest.mark.fault("F70")
@pytest.mark.fault("F66")
@pytest.mark.fault("F75")
@pytest.mark.parametrize(
    "estate_of",
    [pytest.param(on_sqlite, id="sqlite"), pytest.param(on_postgres, id="postgres", marks=pytest.mark.postgres)],
)
async def test_whatever_was_acknowledged_stays_true_however_often_something_is_killed(
    estate_of: Callable[[Khalti, Path], AbstractContextManager[Estate]], khalti: Khalti, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    began, killed = time.monotonic(), Counter[str]()
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=0)
    with estate_of(khalti, tmp_path) as estate:
        database = database_at(estate.url)
        async with httpx.AsyncClient(trust_env=False, timeout=30, limits=limits) as http:
            shop = Customers([service.url for service in estate.services], khalti, http, chance)
            for number in range(ROUNDS):
                names = sorted(estate.mortals)
                victim = names[number % len(names)] if number < len(names) else chance.choice(names)
                killed[victim] += 1
                kill, start = estate.mortals[victim]

                async def one_dies(kill: Callable[[], object] = kill, start: Callable[[], object] = start) -> None:
                    await asyncio.sleep(WORK_SECONDS * (0.5 + chance.random()))
                    await asyncio.to_thread(kill)
                    shop.is_starting = True
                    await asyncio.to_thread(start)

                await shop.round(CUSTOMERS, one_dies)

                await database.close()  # its server may have died
                rows = await rows_of(database, 1)
                round_ = f"round {number + 1} of seed {SEED}, after the death of {victim}"
                assert await shop.untrue(database, rows) == [], round_
                assert await shop.changed_when_asked_again(8) == [], round_
                assert await findings(estate.url, khalti) == [], round_

            await some_minutes_pass(estate.url)
            refused = await shop.ask_for_the_rest()
            assert refused == [], estate.told()
            await days_pass(estate, khalti, tmp_path)

            assert await shop.untrue(database, await rows_of(database, 1)) == []
            assert await shop.changed_when_asked_again(50) == []
            assert await findings(estate.url, khalti, is_quiet=True, later=LATER) == []
            audit = await asyncio.to_thread(
                ran, estate.environ, tmp_path, "audit", "--ledger", f"{khalti.address}/_sim/payments"
            )
            assert audit.returncode == 0, audit.stdout + audit.stderr
        await database.close()
    spent = time.monotonic() - began
    print(
        f"\n{ROUNDS} kills ({dict(killed)}), {len(shop.answered)} acknowledged requests, {len(shop.links)} links,"
        f" {len(shop.refunds)} refunds, answers {dict(shop.told)}, {spent:.1f} s, seed {SEED}"
    )


async def days_pass(estate: Estate, khalti: Khalti, folder: Path) -> None:
    """Today's worker goes home; another, three days later, works until nothing is due."""
    await asyncio.to_thread(estate.worker.end)
    khalti.control("clock", advance_seconds=LATER.total_seconds())
    fast = {**estate.environ, "SEWAPAY_LOOKUPS_PER_MINUTE": "1000000"}  # a fast machine leaves thousands to look at
    worker = Worker(process_environ(fast), folder, "later", program(int(LATER.total_seconds()), once=True))
    worker.begin()
    try:
        await asyncio.to_thread(wait_for, lambda: not worker.is_running, 300, worker.told)
    finally:
        ended = worker.end()
    assert ended == 0, worker.told()
