"""A process that dies at its n-th await of a store, a gateway or a clock, and the one that takes its place.

    points = Points(strike_at=7, strike=throws)
    async with a_service(url, outside, points) as service:
        await SCENARIOS["refund"](service, customer)

Run as a program, it is the nursery of `os._exit`: a process without threads that forks one child for each point, and
lets another child do what the next start of the service would do.
"""

import asyncio
import json
import os
import random
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from attrs import define, field
from dependency_injector import providers
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from sewapay.adapters.sql.audit import read_shelves
from sewapay.adapters.sql.store import build_store
from sewapay.application.audit import audit_bookings
from sewapay.application.errors import (
    CheckoutInProgress,
    StillBeingChecked,
    StillRunning,
)
from sewapay.application.idempotency import AlreadyAnswered, Answer, KeyName, Once
from sewapay.application.open_checkout import CheckoutRequest, OpenedCheckout
from sewapay.application.ports import Order, RefundOrder
from sewapay.application.refund_payment import RefundRequest
from sewapay.application.register_booking import NewBooking
from sewapay.application.storage import Store, Tx, View
from sewapay.application.verify_payment import Verification
from sewapay.domain.booking import Booking
from sewapay.domain.errors import BookingAlreadyPaid, RefundInProgress
from sewapay.domain.identifiers import BookingId, GatewayName, PaymentId
from sewapay.domain.money import Money
from sewapay.domain.refund import Refund
from sewapay.entrypoints.container import Container, build_container
from sewapay.entrypoints.worker import Worker
from tests.backend.system.simulation.gateway import CALM, KHALTI, SimulatedGateway
from tests.backend.system.simulation.till import Held, Paid, Till
from tests.backend.system.simulation.truth import truth_of_till
from tests.backend.system.simulation.turns import BEGAN
from tests.shop import SERVICE, SITA, STAFF

T = TypeVar("T")

PRICE: Final = 113000
PART: Final = 30000
POLICIES: Final = {"SEWAPAY_ON_SURPLUS": "refund"}


class Died(BaseException):
    """The end of a process: nothing may catch it and go on."""


class Broke(Exception):
    """An error that nobody expected."""


@define
class Points:
    """Counts awaits, and strikes at one of them."""

    strike_at: int | None = None
    strike: Callable[[], None] = lambda: None
    passed: list[str] = field(factory=list)

    async def reached(self, name: str) -> None:
        number = len(self.passed)
        self.passed.append(name)
        if number == self.strike_at:
            self.strike()
            await asyncio.sleep(0)  # where a cancellation arrives


@define
class Outside:
    """What no process takes with it when it dies: the gateway's books, and the time."""

    till: Till = field(factory=Till)
    seconds: float = 0.0

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.seconds)

    def written(self) -> str:
        paid = [
            [p.name, p.order_reference, p.order_amount, p.dies_at.isoformat(), [p.held.status, p.held.amount,
             p.held.transaction_id], p.refunds] for p in self.till.payments.values()
        ]  # fmt: skip
        return json.dumps([self.seconds, paid])

    @classmethod
    def read(cls, written: str) -> "Outside":
        seconds, paid = json.loads(written)
        outside = cls(seconds=seconds)
        for pidx, order, amount, dies_at, held, refunds in paid:
            kept = Paid(pidx, order, amount, datetime.fromisoformat(dies_at), Held(*held))
            kept.refunds = [(each[0], each[1]) for each in refunds]
            outside.till.payments[pidx] = kept
        return outside


class Service:
    """One process: the real container, its ports wrapped so that each await of them is a point."""

    def __init__(self, store: Store, outside: Outside, points: Points) -> None:
        self.outside = outside
        self.points = points
        self.chance = random.Random(0)
        self.till = outside.till
        self.complaints: list[str] = []
        self._store = store
        self.container: Container = build_container(
            {"SEWAPAY_ENV": "test", "SEWAPAY_RETURN_ORIGINS": "https://shop.example", **POLICIES}
        )
        gateway = SimulatedGateway(self, outside.till, lambda: CALM)
        self.container.gateways.override(providers.Object({gateway.name: gateway}))
        self.container.store.override(providers.Object(self))
        self.container.clock.override(providers.Object(self))

    def now(self) -> datetime:
        return self.outside.now()

    async def pause(self, seconds: float) -> None:
        self.outside.seconds += seconds
        await self.points.reached("pause")

    async def turn(self) -> None:
        await self.points.reached("gateway")

    def note(self, line: str) -> None:
        return

    def heard(self, name: str, *, is_true: bool) -> None:
        return

    def is_written_down(self, order: Order, wanted: RefundOrder | None) -> bool:
        return True  # the simulation judges that

    def is_of(self, order: Order, gateway: GatewayName) -> bool:
        return True  # likewise

    def complain(self, text: str) -> None:
        self.complaints.append(text)

    async def transact(self, work: Callable[[Tx], T]) -> T:
        await self.points.reached("before a transaction")
        result = await self._store.transact(work)
        await self.points.reached("after a transaction")
        return result

    async def read(self, work: Callable[[View], T]) -> T:
        await self.points.reached("before a reading")
        result = await self._store.read(work)
        await self.points.reached("after a reading")
        return result

    async def work_off(self) -> None:
        """The worker works until nothing is due."""
        done = await Worker(self.container).until_nothing_is_due()
        for _, error in done.broken:
            raise error


@asynccontextmanager
async def a_service(url: str, outside: Outside, points: Points) -> AsyncIterator[Service]:
    """A process that has just started."""
    store = build_store(url, now=outside.now)
    await store.open()
    try:
        yield Service(store, outside, points)
    finally:
        await store.close()


# --- what customers and staff do; each step may be done again, and is after a crash ----------------------------------


def _once(actor: str, operation: str, told: Callable[[Any], Answer]) -> Once[Any]:
    return Once(
        name=KeyName(principal=actor, operation=operation, key="the only one"), fingerprint=operation, render=told
    )


def _answer(**said: object) -> Answer:
    return Answer(status=200, headers={}, body=json.dumps(said).encode())


async def _told(asked: Awaitable[Any]) -> dict[str, Any]:
    """What the answer says, whether it is given for the first time or again."""
    try:
        result = await asked
    except AlreadyAnswered as before:
        said: dict[str, Any] = json.loads(before.answer.body)
        return said
    if isinstance(result, OpenedCheckout):
        return _opened(result)
    return {"status": result.status.value}


def _opened(opened: OpenedCheckout) -> dict[str, Any]:
    return {"id": str(opened.payment.id), "data": {"pidx": opened.payment.gateway_reference}}


async def register(service: Service, number: int) -> None:
    def told(booking: Booking) -> Answer:
        return _answer(id=int(booking.id))

    new = NewBooking(
        by=SERVICE,
        id=BookingId(number),
        customer=SITA,
        title="Deep cleaning",
        amount=Money(PRICE),
        once=_once(SERVICE.actor, f"register {number}", told),
    )
    await _told(service.container.register_booking()(new))


async def open_link(service: Service, number: int, name: str) -> dict[str, Any]:
    request = CheckoutRequest(
        by=SERVICE,
        booking_id=BookingId(number),
        gateway=KHALTI,
        once=_once(SERVICE.actor, f"open {number} {name}", lambda opened: _answer(**_opened(opened))),
    )
    return await _told(service.container.open_checkout()(request))


async def come_back(service: Service, payment_id: str) -> None:
    await service.container.verify_payment()(Verification(by=None, payment=PaymentId(payment_id)))


async def give_back(service: Service, number: int, payment_id: str) -> None:
    def told(refund: Refund) -> Answer:
        return _answer(id=str(refund.id), payment_id=payment_id, status=refund.status.value)

    request = RefundRequest(
        by=STAFF,
        payment_id=PaymentId(payment_id),
        amount=Money(PART),
        reason="the cleaner was late",
        once=_once(STAFF.actor, f"refund {number}", told),
    )
    await _told(service.container.refund_payment()(request))


async def pay_and_come_back(service: Service, number: int) -> None:
    """Register, open, pay, return: with a key each."""
    await register(service, number)
    link = await open_link(service, number, "first")
    service.till.pay(link["data"]["pidx"], service.now())
    await come_back(service, link["id"])


async def pay_and_never_come_back(service: Service, number: int) -> None:
    """Open, pay, close the browser: the reconciler finds it."""
    await register(service, number)
    link = await open_link(service, number, "first")
    service.till.pay(link["data"]["pidx"], service.now())
    service.outside.seconds += 61
    await service.work_off()


async def pay_and_get_a_part_back(service: Service, number: int) -> None:
    """A partial refund under a key."""
    await register(service, number)
    link = await open_link(service, number, "first")
    service.till.pay(link["data"]["pidx"], service.now())
    await come_back(service, link["id"])
    await give_back(service, number, link["id"])


async def pay_twice(service: Service, number: int) -> None:
    """A canceled link is paid after all, beside its successor: the second payment is given back by itself."""
    await register(service, number)
    first = await open_link(service, number, "first")
    service.till.says(first["data"]["pidx"], "canceled", service.now())
    second = await open_link(service, number, "second")
    service.till.pay(second["data"]["pidx"], service.now())
    await come_back(service, second["id"])
    service.till.pay(first["data"]["pidx"], service.now(), late=True)
    await come_back(service, first["id"])
    await service.work_off()


SCENARIOS: Final[Mapping[str, Callable[[Service, int], Awaitable[None]]]] = {
    "pay and come back": pay_and_come_back,
    "pay and never come back": pay_and_never_come_back,
    "pay and get a part back": pay_and_get_a_part_back,
    "pay twice": pay_twice,
}
# In the end, whatever happened: how many payments came to the gateway, and what went back there.
OUTCOMES: Final = {
    "pay and come back": (1, []),
    "pay and never come back": (1, []),
    "pay and get a part back": (1, [PART]),
    "pay twice": (2, [PRICE]),
}


# A process that dies after a refund was written down and before it was sent leaves one that did not happen: after an
# hour the gateway's books say so, and it is rejected. Nobody sends it again by themselves.
MOST_NEVER_SENT: Final = 3


# --- after a crash ---------------------------------------------------------------------------------------------------


async def do_it_again(service: Service, scenario: str, number: int) -> None:
    """Whoever got no answer asks again, with the same keys, until there is one."""
    for _ in range(12):
        try:
            await SCENARIOS[scenario](service, number)
        except (StillRunning, StillBeingChecked, CheckoutInProgress, RefundInProgress):
            service.outside.seconds += 60
            await service.work_off()
        except BookingAlreadyPaid:
            return
        else:
            return
    raise AssertionError(f"{scenario} {number}: no answer after all that time")


async def time_for_the_server(url: str) -> None:
    """A server's own clock cannot be moved: what it keeps times of is made older instead."""
    if not url.startswith("postgresql"):
        return
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE payments SET leased_until = 1 WHERE leased_until IS NOT NULL"))
        await connection.execute(text("UPDATE answers SET begun_at = begun_at - interval '1 hour' WHERE body IS NULL"))
        await connection.execute(text("DELETE FROM paces"))
    await engine.dispose()


async def settle(url: str, outside: Outside) -> None:
    """Forty days with a worker."""
    await time_for_the_server(url)
    async with a_service(url, outside, Points()) as service:
        for step in (*(60,) * 5, *(600,) * 9, *(3600,) * 26, *(86400,) * 40):
            outside.seconds += step
            await service.work_off()


async def wrong(url: str, outside: Outside, scenario: str, numbers: list[int]) -> list[str]:
    """What the audit finds, and what is not as it is without any crash."""
    books = await read_shelves(url, lambda shelves: list(shelves.books()))
    found = [
        str(finding)
        for each in books
        for finding in audit_bookings(each, truth_of_till(outside.till), now=outside.now(), is_quiet=True)
    ]
    bookings = {row["id"]: row for each in books for row in each.bookings}
    payments = [row for each in books for row in each.payments]
    refunds = [row for each in books for row in each.refunds]
    never_sent = 0
    for number in numbers:
        ours = {row["gateway_reference"] for row in payments if row["booking_id"] == number}
        paid = [there for pidx, there in outside.till.payments.items() if pidx in ours and there.is_paid]
        back = [amount for there in paid for amount, _ in there.refunds]
        came, expected = OUTCOMES[scenario]
        unsent = [row["amount"] for row in refunds if row["booking_id"] == number and row["status"] == "rejected"]
        if len(paid) != came or expected not in (back, back + unsent) or bookings[number]["status"] != "confirmed":
            found.append(f"{scenario} {number}: {len(paid)} came, {back} went back, {bookings[number]['status']}")
        never_sent += expected != back
    if never_sent > MOST_NEVER_SENT:
        found.append(f"{never_sent} refunds were never sent")
    return found


# --- the nursery -----------------------------------------------------------------------------------------------------


def _in_a_child(work: Callable[[], None]) -> int:
    """How a forked child ended: 0, 9 when it was killed, 1 with an error on stderr."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def nursery(url: str, scenario: str, ledger: Path) -> int:
    """Kill a process at each point, start another, and in the end judge; returns the number of points."""
    numbers: list[int] = []
    ledger.write_text(Outside().written())
    point, code = 0, 9
    while code == 9:
        number = point + 1

        def dies(point: int = point, number: int = number) -> None:
            outside = Outside.read(ledger.read_text())

            def strike() -> None:
                ledger.write_text(outside.written())
                os._exit(9)

            async def live() -> None:
                async with a_service(url, outside, Points(strike_at=point, strike=strike)) as service:
                    await SCENARIOS[scenario](service, number)

            asyncio.run(live())
            ledger.write_text(outside.written())

        def lives_on(number: int = number) -> None:
            outside = Outside.read(ledger.read_text())

            async def live() -> None:
                outside.seconds += 150
                async with a_service(url, outside, Points()) as service:
                    await do_it_again(service, scenario, number)

            asyncio.run(live())
            ledger.write_text(outside.written())

        code = _in_a_child(dies)
        if code not in (0, 9) or _in_a_child(lives_on) != 0:
            raise SystemExit(f"{scenario}: point {point} went wrong")
        numbers.append(number)
        point += 1

    def judge() -> None:
        outside = Outside.read(ledger.read_text())

        async def judged() -> list[str]:
            await settle(url, outside)
            return await wrong(url, outside, scenario, numbers)

        assert asyncio.run(judged()) == []

    if _in_a_child(judge) != 0:
        raise SystemExit(f"{scenario}: the books are not in order")
    return point - 1


if __name__ == "__main__":
    print(nursery(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
