"""Everybody at once, before four processes: one change, one event, few look-ups, and no money back that never came.

SEWAPAY_GATE_REPEATS says how often each crowd comes.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from attrs import define

from tests.backend.system.audited import findings
from tests.backend.system.by_hand import change
from tests.backend.system.serving import a_service, a_worker
from tests.backend.system.world import (
    AS_SITA,
    AS_STAFF,
    SHOP,
    Database,
    Khalti,
    a_booking,
    database_at,
    environ_for,
    rows_of,
)

REPEATS: Final = int(os.environ.get("SEWAPAY_GATE_REPEATS") or 10)
PRICE: Final = 113000
CONFIRMED_ONCE: Final = [
    "booking.registered", "payment.created", "payment.opened", "payment.completed", "booking.confirmed",
]  # fmt: skip


@define
class Gate:
    """Four processes before one database, and somebody who asks them in turn."""

    urls: list[str]
    database: Database
    khalti: Khalti
    http: httpx.AsyncClient
    _turn: int = 0

    def url(self) -> str:
        """The next process's address."""
        self._turn += 1
        return self.urls[self._turn % len(self.urls)]

    async def registered(self) -> int:
        """A new booking."""
        answer = await self.http.post(f"{self.url()}/v1/bookings", json=a_booking("42", PRICE), headers=AS_STAFF)
        assert answer.status_code == 201, answer.text
        number: int = answer.json()["id"]
        return number

    async def open(self, booking: int) -> httpx.Response:
        """Its customer asks for a link."""
        body = {"booking_id": booking, "gateway": "khalti", "return_url": f"{SHOP}/done"}
        return await self.http.post(f"{self.url()}/v1/payments", json=body, headers=AS_SITA)

    async def opened(self) -> dict[str, Any]:
        """A new booking's payment."""
        answer = await self.open(await self.registered())
        assert answer.status_code == 201, answer.text
        payment: dict[str, Any] = answer.json()
        return payment

    async def paid(self) -> dict[str, Any]:
        """A new booking's payment, which was paid at Khalti."""
        payment = await self.opened()
        self.khalti.simulator.pay(payment["gateway_reference"])
        return payment

    async def come_back(self, payment: dict[str, Any]) -> httpx.Response:
        """A browser comes back."""
        query = f"pidx={payment['gateway_reference']}&status=Completed"
        return await self.http.get(f"{self.url()}/return/{payment['id']}/?{query}")

    async def verified(self, payment: dict[str, Any]) -> httpx.Response:
        """Staff ask Khalti."""
        return await self.http.post(f"{self.url()}/v1/payments/{payment['id']}/verification", headers=AS_STAFF)

    async def give_back(self, payment: dict[str, Any], amount: int | None) -> httpx.Response:
        """Staff give money back."""
        body = {"reason": "asked for", **({} if amount is None else {"amount": amount})}
        return await self.http.post(
            f"{self.url()}/v1/payments/{payment['id']}/refunds", json=body, headers=AS_STAFF, timeout=60
        )

    async def read(self, payment: dict[str, Any]) -> httpx.Response:
        """The customer's page asks how it stands."""
        return await self.http.get(f"{self.url()}/v1/payments/{payment['id']}", headers=AS_SITA)

    async def told_of(self, booking: int) -> list[str]:
        """The kinds of a booking's events, in their order."""
        return [event["kind"] for event in (await rows_of(self.database, 1)).events if event["booking_id"] == booking]

    async def make_due(self) -> None:
        """Every undecided payment is due for the worker."""
        await change(self.database.url, "UPDATE payments SET next_check_at = created_at WHERE status = 'open'")

    def looked_up(self, payment: dict[str, Any]) -> int:
        """How often Khalti was asked about it."""
        return self.khalti.at(payment["gateway_reference"]).lookups


@contextmanager
def four_processes(url: str, khalti: Khalti, folder: Path) -> Iterator[list[str]]:
    """Addresses behind which four processes share one database; a worker looks at what is due."""
    environ = environ_for(url, khalti.address)
    with ExitStack() as running:
        running.enter_context(a_worker(environ, folder))
        if url.startswith("sqlite"):
            yield [running.enter_context(a_service(environ, folder, workers=4, with_worker=False)).url]
            return
        services = [running.enter_context(a_service(environ, folder, workers=2, with_worker=False)) for _ in range(2)]
        yield [service.url for service in services]


@pytest.fixture
async def gate(fresh_database_url: str, khalti: Khalti, tmp_path: Path) -> AsyncIterator[Gate]:
    database = database_at(fresh_database_url)
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=0)  # each request may meet another process
    with four_processes(fresh_database_url, khalti, tmp_path) as urls:
        async with httpx.AsyncClient(trust_env=False, timeout=40, limits=limits) as http:
            yield Gate(urls, database, khalti, http)
    await database.close()


@pytest.mark.fault("F04")
@pytest.mark.fault("F23")
@pytest.mark.fault("F24")
@pytest.mark.fault("F62")
@pytest.mark.fault("F63")
async def test_crowds_before_four_processes_change_everything_once(gate: Gate) -> None:
    looks: dict[str, list[int]] = {}
    for _ in range(REPEATS):
        for crowd in (
            a_hundred_returns,
            fifty_checkouts,
            fifty_partial_refunds,
            fifty_full_and_partial_refunds,
            returns_worker_staff_and_a_refund,
            a_hundred_readers,
        ):
            looks.setdefault(crowd.__name__, []).append(await crowd(gate))

    print(f"\n{REPEATS} crowds of each kind; look-ups of each payment: {looks}")
    assert await findings(gate.database.url, gate.khalti) == []


async def a_hundred_returns(gate: Gate) -> int:
    """Each process has one look running and one waiting at most: two looks a process."""
    payment = await gate.paid()

    answers = await asyncio.gather(*(gate.come_back(payment) for _ in range(100)))

    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert await gate.told_of(payment["booking_id"]) == CONFIRMED_ONCE
    assert 1 <= gate.looked_up(payment) <= 2 * 4
    return gate.looked_up(payment)


async def fifty_checkouts(gate: Gate) -> int:
    """One call to Khalti makes one link; whoever waited for it need not look whether it was used."""
    booking, links = await gate.registered(), len(gate.khalti.ledger())

    answers = await asyncio.gather(*(gate.open(booking) for _ in range(50)))

    told = Counter(answer.status_code for answer in answers)
    assert told == {201: 1, 200: 49}
    payments = {answer.json()["id"]: answer.json() for answer in answers}
    assert len(payments) == 1
    assert len(gate.khalti.ledger()) - links == 1
    [payment] = payments.values()
    return gate.looked_up(payment)


async def fifty_partial_refunds(gate: Gate) -> int:
    """113000 paisa hold three times 30000: three are given back, and Khalti was asked for three."""
    payment = await gate.paid()
    await gate.come_back(payment)
    asked = gate.khalti.simulator.refunds_seen

    answers = await asyncio.gather(*(gate.give_back(payment, 30000) for _ in range(50)))

    told = Counter(answer.status_code for answer in answers)
    assert set(told) <= {201, 409, 422}, [answer.text for answer in answers if answer.status_code > 422]
    assert told[201] == 3, told
    assert gate.khalti.at(payment["gateway_reference"]).refunded_amount == 90000
    assert gate.khalti.simulator.refunds_seen - asked == 3
    return gate.looked_up(payment)


async def fifty_full_and_partial_refunds(gate: Gate) -> int:
    """Whichever come through: never more than came, and every yes has its money."""
    payment = await gate.paid()
    await gate.come_back(payment)
    amounts = [None, 113000, 30000, 50000, 1] * 10

    answers = await asyncio.gather(*(gate.give_back(payment, amount) for amount in amounts))

    assert {answer.status_code for answer in answers} <= {201, 409, 422}
    given = [answer.json() for answer in answers if answer.status_code == 201]
    there = gate.khalti.at(payment["gateway_reference"])
    assert {refund["status"] for refund in given} == {"confirmed"}
    assert sum(refund["amount"] for refund in given) == there.refunded_amount <= PRICE
    assert sorted(refund["amount"] for refund in given) == sorted(refund.amount for refund in there.refunds)
    return gate.looked_up(payment)


async def returns_worker_staff_and_a_refund(gate: Gate) -> int:
    """A browser's return, the worker, staff who verify, staff who give it back, and a page that reads."""
    payment = await gate.paid()
    await gate.make_due()

    answers = await asyncio.gather(
        *(gate.come_back(payment) for _ in range(20)),
        *(gate.verified(payment) for _ in range(10)),
        *(gate.read(payment) for _ in range(10)),
        *(gate.give_back(payment, None) for _ in range(5)),
    )
    await gate.give_back(payment, None)  # those came too early, perhaps

    assert {answer.status_code for answer in answers} <= {200, 201, 303, 409, 422}
    there = gate.khalti.at(payment["gateway_reference"])
    assert [refund.amount for refund in there.refunds] == [PRICE]
    told = await gate.told_of(payment["booking_id"])
    assert [told.count(kind) for kind in CONFIRMED_ONCE] == [1] * 5
    assert told.count("refund.confirmed") == told.count("booking.refunded") == 1
    assert gate.looked_up(payment) <= 30  # of 45 that asked: those who ask one process together share a look
    return gate.looked_up(payment)


async def a_hundred_readers(gate: Gate) -> int:
    """All of them together cost one look, which whoever reads afterwards profits from."""
    payment = await gate.paid()
    await a_minute_passes_since_it_was_opened(gate, payment)

    answers = await asyncio.gather(*(gate.read(payment) for _ in range(100)))

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["status"] for answer in answers} <= {"open", "completed"}
    assert (await gate.read(payment)).json()["status"] == "completed"
    assert gate.looked_up(payment) == 1
    return gate.looked_up(payment)


async def a_minute_passes_since_it_was_opened(gate: Gate, payment: dict[str, Any]) -> None:
    """The opening counts as a look for a few seconds."""
    a_minute_ago = datetime.now(UTC) - timedelta(seconds=50)
    await change(gate.database.url, "UPDATE payments SET opened_at = $1 WHERE id = $2", a_minute_ago, payment["id"])
