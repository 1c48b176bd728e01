"""Two machines whose clocks differ, on one PostgreSQL: what they share goes by the server's clock."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import pytest
from attrs import evolve

from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.sql.store import build_store
from sewapay.application.storage import Claim, Store
from sewapay.domain.identifiers import Environment
from sewapay.testing.builders import KHALTI, NOON, a_booking, a_payment, payment_id
from sewapay.testing.stores.given import given

AN_HOUR: Final = timedelta(hours=1)
# What stands in `public` is found before the system's own once the search path says so.
AHEAD: Final = (
    "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE"
    " AS $$ SELECT pg_catalog.clock_timestamp() + interval '1 hour' $$"
)


@pytest.fixture
async def store(fresh_postgres_url: str) -> AsyncIterator[Store]:
    """On a server whose clock is an hour ahead of this machine's."""
    migrate(fresh_postgres_url)
    name = urlsplit(fresh_postgres_url).path.removeprefix("/")
    connection = await asyncpg.connect(fresh_postgres_url)
    await connection.execute(AHEAD)
    await connection.execute(f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog')
    await connection.close()
    made = build_store(fresh_postgres_url)
    await made.open()
    yield made
    await made.close()


async def claimed(store: Store, seconds: float) -> list[Claim]:
    """What somebody gets who claims everything that is due."""
    claims, _ = await store.transact(
        lambda tx: tx.payments.claim(KHALTI, Environment.SANDBOX, due_at=NOON, limit=9, lease_seconds=seconds)
    )
    return claims


async def leased_until(url: str) -> datetime:
    """When the only lease ends."""
    connection = await asyncpg.connect(url)
    milliseconds = await connection.fetchval("SELECT leased_until FROM payments")
    await connection.close()
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


@pytest.mark.fault("F80")
@pytest.mark.invariant("I23")
async def test_leases_go_by_the_servers_clock_however_ours_stands(store: Store, fresh_postgres_url: str) -> None:
    await given(store, a_booking(), evolve(a_payment(1), next_check_at=NOON))

    first = await claimed(store, seconds=90)
    while_it_is_held = await claimed(store, seconds=90)
    until = await leased_until(fresh_postgres_url)

    assert [claim.payment.id for claim in first] == [payment_id(1)]
    assert while_it_is_held == []
    assert timedelta(0) < until - (datetime.now(UTC) + AN_HOUR) <= timedelta(seconds=90)


@pytest.mark.fault("F80")
async def test_paces_and_keys_go_by_the_servers_clock(store: Store) -> None:
    told = await store.transact(lambda tx: tx.time())

    assert timedelta(minutes=59) < told - datetime.now(UTC) < timedelta(minutes=61)
