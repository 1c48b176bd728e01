"""How fast gateways may be asked, and the database's time."""

import asyncio
from datetime import UTC, timedelta
from typing import Final

from attrs import evolve

from sewapay.application.pacing import Pace
from sewapay.application.storage import Store, Tx
from sewapay.domain.identifiers import Environment, GatewayName
from sewapay.testing.builders import KHALTI, NOON, minutes
from sewapay.testing.stores.given import clause

SANDBOX: Final = Environment.SANDBOX
PRODUCTION: Final = Environment.PRODUCTION
ESEWA: Final = GatewayName("esewa")


async def pace_of(store: Store, gateway: GatewayName = KHALTI, environment: Environment = SANDBOX) -> Pace:
    return await store.transact(lambda tx: tx.paces.get(gateway, environment))


async def keep_pace(store: Store, where: tuple[GatewayName, Environment], pace: Pace) -> None:
    await store.transact(lambda tx: tx.paces.save(*where, pace))


@clause
async def a_gateway_that_was_never_asked_has_its_whole_budget(store: Store) -> None:
    pace, now = await store.transact(lambda tx: (tx.paces.get(KHALTI, SANDBOX), tx.time()))

    _, granted = pace.take(1000, per_minute=60, now=now)

    assert (pace.silences, pace.away_until) == (0, None)
    assert granted == 60


@clause
async def each_gateways_pace_is_kept(store: Store) -> None:
    paces = {
        (KHALTI, SANDBOX): Pace(spent_until=NOON + timedelta(microseconds=1), silences=7, away_until=NOON + minutes(5)),
        (KHALTI, PRODUCTION): Pace(spent_until=NOON, silences=1),
        (ESEWA, SANDBOX): Pace(spent_until=NOON - minutes(1)),
    }
    for where, pace in paces.items():
        await keep_pace(store, where, Pace.full(NOON))
        await keep_pace(store, where, pace)

    assert {where: await pace_of(store, *where) for where in paces} == paces


@clause
async def no_call_is_counted_twice_or_not_at_all(store: Store) -> None:
    def count(tx: Tx) -> None:
        pace = tx.paces.get(KHALTI, SANDBOX)
        tx.paces.save(KHALTI, SANDBOX, evolve(pace, silences=pace.silences + 1))

    await asyncio.gather(*(store.transact(count) for _ in range(40)))

    assert (await pace_of(store)).silences == 40


@clause
async def the_databases_time_is_in_utc_and_goes_on(store: Store) -> None:
    first, second = await store.transact(lambda tx: (tx.time(), tx.time()))
    later = await store.transact(lambda tx: tx.time())

    assert first.tzinfo is not None
    assert first.astimezone(UTC).utcoffset() == first.utcoffset()
    assert first <= second <= later
