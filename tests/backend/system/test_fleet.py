"""A busy day before a fleet: two API processes and two workers on one PostgreSQL, and nobody is forgotten.

SEWAPAY_FLEET_PAYMENTS says how many bookings there are: at least 40.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from attrs import define, field

from sewapay.adapters.sql.migrations import migrate
from tests.backend.system.audited import findings
from tests.backend.system.by_hand import change, fetch
from tests.backend.system.serving import Worker, a_service, a_worker, ran, wait_for
from tests.backend.system.world import AS_SITA, AS_STAFF, SHOP, Khalti, a_booking, environ_for

PAYMENTS: Final = int(os.environ.get("SEWAPAY_FLEET_PAYMENTS") or 1000)
PRICE: Final = 113000
AT_ONCE: Final = 24
OF_EVERY_KIND: Final = 20  # among so many bookings in a row there are all kinds of customers


@define
class Day:
    """What happened, and how often."""

    urls: list[str]
    khalti: Khalti
    http: httpx.AsyncClient
    happened: Counter[str] = field(factory=Counter)
    given_back: list[tuple[int, int]] = field(factory=list)

    async def of_bookings(self, numbers: Iterator[int]) -> None:
        """Customers who do not wait for each other."""

        async def customers() -> None:
            for number in numbers:
                await self.of_booking(number)

        await asyncio.gather(*(customers() for _ in range(AT_ONCE)))

    async def of_booking(self, number: int) -> None:
        """One in ten returns is lost, one in twenty pays twice, one in twenty gets the money back."""
        answer = await self._post(number, "/v1/bookings", a_booking("42", PRICE), AS_STAFF)
        booking: int = answer["id"]
        payment = await self._open(number, booking)
        if number % 20 == 3:
            await self._pay_twice(number, booking, payment)
            return
        self._pay(payment)
        if number % 10 == 7:
            self.happened["lost returns"] += 1
            return
        await self._come_back(number, payment)
        if number % 20 == 5:
            amount = (None, 30000)[number // 20 % 2]
            body = {"reason": "asked for", **({} if amount is None else {"amount": amount})}
            refund = await self._post(number, f"/v1/payments/{payment['id']}/refunds", body, AS_STAFF)
            assert refund["status"] == "confirmed", refund
            self.happened["refunds"] += 1

    async def _pay_twice(self, number: int, booking: int, first: dict[str, Any]) -> None:
        """The first link is canceled, and its page stays open in another tab: both are paid."""
        self.khalti.simulator.cancel(first["gateway_reference"])
        second = await self._open(number, booking)
        self._pay(second)
        await self._come_back(number, second)
        self._pay(first)
        self.happened["double payments"] += 1

    async def _open(self, number: int, booking: int) -> dict[str, Any]:
        body = {"booking_id": booking, "gateway": "khalti", "return_url": f"{SHOP}/done"}
        self.happened["links"] += 1
        return await self._post(number, "/v1/payments", body, AS_SITA)

    def _pay(self, payment: dict[str, Any]) -> None:
        self.khalti.simulator.pay(payment["gateway_reference"])

    async def _come_back(self, number: int, payment: dict[str, Any]) -> None:
        query = f"pidx={payment['gateway_reference']}&status=Completed"
        answer = await self.http.get(f"{self.urls[number % 2]}/return/{payment['id']}/?{query}")
        assert answer.status_code == 303, answer.text

    async def _post(self, number: int, path: str, body: dict[str, Any], who: Any) -> dict[str, Any]:
        answer = await self.http.post(f"{self.urls[number % 2]}{path}", json=body, headers=who)
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told


@pytest.mark.fault("F20")
@pytest.mark.fault("F60")
@pytest.mark.fault("F98")
async def test_a_thousand_payments_before_two_services_and_two_workers_all_settle(
    khalti: Khalti, fresh_postgres_url: str, tmp_path: Path
) -> None:
    migrate(fresh_postgres_url)
    environ = environ_for(
        fresh_postgres_url, khalti.address, SEWAPAY_ON_SURPLUS="refund", SEWAPAY_LOOKUPS_PER_MINUTE="6000"
    )
    began = time.monotonic()
    with ExitStack() as running:
        urls = [running.enter_context(a_service(environ, tmp_path, with_worker=False)).url for _ in range(2)]
        workers = [running.enter_context(a_worker(environ, tmp_path, name=f"worker-{name}")) for name in "ab"]
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            day = Day(urls, khalti, http)
            numbers = iter(range(PAYMENTS))
            await day.of_bookings(islice(numbers, PAYMENTS - 2 * OF_EVERY_KIND))
            await an_hour_passes(fresh_postgres_url)
            await until_nothing_is_open(fresh_postgres_url)
            said = []
            for worker, other in (workers, workers[::-1]):
                other.hold()  # or whoever looks first might take everything
                said.append(worker.said("reconciled: "))
                await day.of_bookings(islice(numbers, OF_EVERY_KIND))
                await an_hour_passes(fresh_postgres_url)
                await asyncio.to_thread(wait_for, partial(has_said_more, worker, said[-1]), 120, worker.told)
                other.go_on()
                await until_nothing_is_open(fresh_postgres_url)
        spent = time.monotonic() - began

        assert sum(map(has_said_more, workers, said)) == 2, [worker.told() for worker in workers]

    happened, seen = day.happened, khalti.simulator.lookups_seen
    print(
        f"\n{PAYMENTS} bookings in {spent:.1f} s, settled after {time.monotonic() - began:.1f} s: {dict(happened)},"
        f" {seen} look-ups, {khalti.simulator.refunds_seen} refunds asked for"
    )
    statuses = await fetch(fresh_postgres_url, "SELECT status, count(*) FROM bookings GROUP BY status ORDER BY status")
    full = (happened["refunds"] + 1) // 2
    assert statuses == [("confirmed", PAYMENTS - full), ("refunded", full)]
    assert khalti.simulator.refunds_seen == happened["refunds"] + happened["double payments"]
    assert await findings(fresh_postgres_url, khalti, is_quiet=True) == []
    audit = ran(environ, tmp_path, "audit", "--ledger", f"{khalti.address}/_sim/payments")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    # Each link is looked up once when it is paid, a canceled one before the next is opened too; a refund is looked at
    # before it is sent, and afterwards. Whatever was open for a minute may have been looked at in between.
    links = happened["links"] + happened["double payments"]
    most = links + 2 * khalti.simulator.refunds_seen + happened["links"] * (spent > 60)
    assert links + khalti.simulator.refunds_seen <= seen <= most


def has_said_more(worker: Worker, before: int) -> bool:
    """Whether it has looked at something since it had said so this often."""
    return worker.said("reconciled: ") > before


async def an_hour_passes(url: str) -> None:
    """What nobody came back for is due, and so is a canceled link: it is looked at once more after its death."""
    await change(
        url,
        "UPDATE payments SET next_check_at = $1 WHERE status IN ('open', 'canceled')",
        datetime.now(UTC) - timedelta(seconds=1),
    )


async def until_nothing_is_open(url: str) -> None:
    """The workers have settled everything, refunds too."""
    undecided = (
        "SELECT count(*) FROM payments WHERE status IN ('created', 'open', 'pending', 'canceled') OR refund_due"
        " OR amount_reserved > 0"
    )
    async with asyncio.timeout(300):
        while await fetch(url, undecided) != [(0,)]:  # noqa: ASYNC110 (another process does it)
            await asyncio.sleep(0.2)
