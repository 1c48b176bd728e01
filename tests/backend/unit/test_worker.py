"""The reconciler's loop: it stops when told, rests when idle, and goes on after whatever went wrong."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

import pytest
from click.testing import CliRunner
from dependency_injector import providers

from sewapay.adapters.fake.gateway import FakeGateway
from sewapay.adapters.memory.store import MemoryStore
from sewapay.application.errors import StoreUnavailable
from sewapay.application.ports import Order
from sewapay.application.reconcile_payments import Reconciled
from sewapay.application.storage import Claim, Poisoned, Tx
from sewapay.domain.identifiers import GatewayName
from sewapay.domain.observation import Observation
from sewapay.domain.payment import PaymentStatus
from sewapay.entrypoints import worker as module
from sewapay.entrypoints.cli import main
from sewapay.entrypoints.worker import Worker
from tests.backend.unit.world import InterruptedGateway, until
from tests.shop import Shop

T = TypeVar("T")


class CountedRuns(Worker):
    """A worker that knows how often it ran, and stops itself after so many runs."""

    def __init__(self, shop: Shop, *, runs: int = 1000, claimed_at_once: int = 100, idle_seconds: float = 0) -> None:
        super().__init__(shop.container, claimed_at_once=claimed_at_once, idle_seconds=idle_seconds)
        self.ran = 0
        self._runs = runs

    async def once(self) -> Reconciled:
        self.ran += 1
        if self.ran == self._runs:
            self.stop()
        return await super().once()


async def given_due_payments(shop: Shop, number: int) -> None:
    for _ in range(number):
        shop.gateway.customer_pays(await shop.given_an_open_payment())
    shop.clock.advance(minutes=1)


async def ends(task: "asyncio.Task[None]") -> bool:
    """Whether it ends by itself, long before any rest would be over."""
    async with asyncio.timeout(2):
        await task
    return True


async def test_a_run_takes_what_is_due_and_says_what_came_of_it(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop()
    await given_due_payments(shop, 3)

    with caplog.at_level(logging.INFO, "sewapay.worker"):
        done = await Worker(shop.container).once()

    assert (done.claimed, done.changed) == (3, 3)
    assert caplog.messages[0].startswith(
        "reconciled: 3 due, 3 asked, 3 changed, 0 silent, 0 skipped, 0 taken over, in "
    )


async def test_a_run_that_finds_nothing_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sewapay.worker"):
        await Worker(Shop().container).once()

    assert caplog.messages == []


async def test_it_rests_only_when_fewer_were_due_than_it_takes() -> None:
    shop = Shop()
    await given_due_payments(shop, 25)
    worker = CountedRuns(shop, claimed_at_once=10, idle_seconds=3600)

    working = asyncio.create_task(worker.until_stopped())
    await until(lambda: worker.ran == 3)
    await until(lambda: shop.gateway.looked_up == 25)
    worker.stop()

    assert await ends(working)
    assert worker.ran == 3


async def test_it_stops_at_once_while_it_rests() -> None:
    worker = CountedRuns(Shop(), idle_seconds=3600)
    working = asyncio.create_task(worker.until_stopped())
    await until(lambda: worker.ran == 1)

    worker.stop()

    assert await ends(working)
    assert worker.ran == 1


async def test_told_to_stop_before_it_began_it_takes_nothing() -> None:
    worker = CountedRuns(Shop())

    worker.stop()
    await worker.until_stopped()

    assert worker.ran == 0


@pytest.mark.fault("F72")
async def test_a_run_that_has_begun_is_finished() -> None:
    gateway = InterruptedGateway()
    shop = Shop(gateway=gateway)
    shop.gateway = gateway
    paid = await shop.given_an_open_payment()
    gateway.customer_pays(paid)
    shop.clock.advance(minutes=1)
    worker = CountedRuns(shop, idle_seconds=3600)

    async def told_to_stop() -> None:
        worker.stop()

    gateway.while_looking = told_to_stop
    await worker.until_stopped()

    assert (worker.ran, (await shop.stored_payment(paid)).status) == (1, PaymentStatus.COMPLETED)


@pytest.mark.fault("F75")
async def test_a_database_that_is_away_is_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AWAY_SECONDS", 0)
    shop = Shop()
    await given_due_payments(shop, 1)
    shop.memory.break_down()
    worker = CountedRuns(shop)

    working = asyncio.create_task(worker.until_stopped())
    await until(lambda: worker.ran == 3)
    shop.memory.repair()
    await until(lambda: shop.gateway.looked_up == 1)
    worker.stop()

    assert await ends(working)
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert caplog.messages[0] == "the database cannot be used: the store was told to be unavailable"


class BrokenStore(MemoryStore):
    """A store with a bug in it."""

    async def transact(self, work: Callable[[Tx], T]) -> T:
        raise ZeroDivisionError


async def test_a_run_that_breaks_is_logged_and_does_not_end_the_worker(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AWAY_SECONDS", 0)
    worker = CountedRuns(Shop(store=BrokenStore()), runs=3)

    await worker.until_stopped()

    assert worker.ran == 3
    runs = ["a run of the reconciler broke over the gateway khalti"] * 2
    assert caplog.messages == ["a run of the reconciler broke", *runs], "tidying that breaks keeps no run from its work"
    assert all(record.exc_info for record in caplog.records)


async def test_one_payment_that_breaks_is_named_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Poisonous(InterruptedGateway):
        async def look_up(self, order: Order) -> Observation:
            if order.payment_id == poison.id:
                raise ZeroDivisionError
            return await super().look_up(order)

    gateway = Poisonous()
    shop = Shop(gateway=gateway)
    shop.gateway = gateway
    poison = await shop.given_an_open_payment()
    await given_due_payments(shop, 2)

    done = await Worker(shop.container).once()

    assert (done.changed, len(done.broken)) == (2, 1)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        f"payment {poison.id} broke the reconciler: put off for an hour"
    ]


class Broken:
    """Runs in which one gateway broke as a whole."""

    async def __call__(self, limit: int) -> Reconciled:
        return Reconciled(claimed=3, stopped=STOPPED)

    async def forget_old_answers(self) -> None:
        pass


STOPPED: Final = ((GatewayName("tinypay"), ZeroDivisionError("S3CRET")),)


async def test_a_gateway_that_breaks_a_whole_run_is_named_and_tried_again_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = Shop()
    shop.container.reconcile_payments.override(providers.Object(Broken()))
    worker = CountedRuns(shop, claimed_at_once=3)

    working = asyncio.create_task(worker.until_stopped())
    await until(lambda: bool(caplog.messages))
    for _ in range(20):
        await asyncio.sleep(0)
    worker.stop()

    assert await ends(working)
    assert (worker.ran, caplog.messages) == (1, ["a run of the reconciler broke over the gateway tinypay"])


def test_once_for_cron_is_red_when_a_gateway_breaks_a_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "run", lambda *_, **__: Reconciled(claimed=3, stopped=STOPPED))

    done = CliRunner().invoke(main, ["worker", "--once"])

    assert done.exit_code == 1
    assert done.stdout.splitlines()[1:] == [
        "What is due at tinypay waits: the run broke over this gateway (ZeroDivisionError)."
    ]


async def test_a_row_that_cannot_be_read_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Unreadable:
        async def __call__(self, limit: int) -> Reconciled:
            return Reconciled(poisoned=(Poisoned(payment_id="0000", why="no amount"),))

        async def forget_old_answers(self) -> None:
            pass

    shop = Shop()
    shop.container.reconcile_payments.override(providers.Object(Unreadable()))

    await Worker(shop.container).once()

    assert caplog.messages == ["payment 0000 cannot be read (no amount): put off for a day"]


async def test_once_for_cron_works_until_nothing_is_due() -> None:
    shop = Shop()
    await given_due_payments(shop, 25)

    done = await Worker(shop.container, claimed_at_once=10).until_nothing_is_due()

    assert (done.claimed, done.changed, shop.gateway.looked_up) == (25, 25, 25)


async def test_once_for_cron_does_not_wait_for_a_gateway_that_is_away() -> None:
    shop = Shop()
    await given_due_payments(shop, 40)
    shop.gateway.goes_silent()

    done = await Worker(shop.container, claimed_at_once=40).until_nothing_is_due()

    assert done.silent + done.skipped == 40
    assert done.changed == done.silent


async def test_that_a_gateway_is_left_alone_is_in_the_log_once_for_each_pause(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop()
    await given_due_payments(shop, 5)
    shop.gateway.goes_silent()
    worker = Worker(shop.container)

    with caplog.at_level(logging.WARNING, "sewapay.worker"):
        for _ in range(4):
            await worker.once()

    assert [record.getMessage() for record in caplog.records if record.name == "sewapay.worker"] == [
        f"khalti is left alone until {shop.clock.now() + timedelta(seconds=30)}: it does not answer, or refuses our key"
    ]


async def test_once_for_cron_says_so_when_the_database_is_away() -> None:
    shop = Shop()
    shop.memory.break_down()

    with pytest.raises(StoreUnavailable):
        await Worker(shop.container).until_nothing_is_due()


async def test_old_answers_are_forgotten_now_and_then_and_not_in_every_run() -> None:
    class Counting:
        tidied = 0
        ran = 0

        async def __call__(self, limit: int) -> Reconciled:
            self.ran += 1
            return Reconciled()

        async def forget_old_answers(self) -> None:
            self.tidied += 1

    shop, runs = Shop(), Counting()
    shop.container.reconcile_payments.override(providers.Object(runs))
    worker = Worker(shop.container)

    for _ in range(5):
        await worker.once()

    assert (runs.ran, runs.tidied) == (5, 1)


UNASKED: Final = (
    "nobody asks khalti (sandbox), which is not enabled here, about its undecided payments that are due (2): enable it "
    "again until they are decided, or decide each by hand as `sewapay reconcile --payment ID --explain` tells"
)


async def a_worker_that_does_not_ask_khalti() -> tuple[Worker, Shop]:
    """Two payments of Khalti's are due, and another gateway is enabled alone."""
    shop = Shop()
    await given_due_payments(shop, 2)
    shop.takes(FakeGateway(name=GatewayName("esewa")))
    return Worker(shop.container), shop


def told_by_the_worker(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(each.levelname, each.getMessage()) for each in caplog.records if each.name == "sewapay.worker"]


async def test_payments_that_nobody_asks_about_are_in_the_log_at_the_first_run_and_not_in_every_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker, _ = await a_worker_that_does_not_ask_khalti()

    for _ in range(5):
        await worker.once()

    assert told_by_the_worker(caplog) == [("WARNING", UNASKED)]


async def test_payments_that_nobody_asks_about_are_told_again_while_it_stays_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIDY_SECONDS", 0)
    worker, shop = await a_worker_that_does_not_ask_khalti()

    for _ in range(3):
        await worker.once()
    shop.takes(shop.gateway)
    for _ in range(3):
        await worker.once()

    assert told_by_the_worker(caplog) == [("WARNING", UNASKED)] * 3


async def test_once_for_cron_says_what_nobody_asks_about(caplog: pytest.LogCaptureFixture) -> None:
    worker, _ = await a_worker_that_does_not_ask_khalti()

    done = await worker.until_nothing_is_due()

    assert done.claimed == 0
    assert told_by_the_worker(caplog) == [("WARNING", UNASKED)]


def test_what_several_runs_did_adds_up() -> None:
    row = Poisoned(payment_id="0000", why="no amount")
    broken: tuple[tuple[Claim, Exception], ...] = ()
    one = Reconciled(
        claimed=5, asked=4, changed=3, silent=1, skipped=1, lost=1, poisoned=(row,), broken=broken, stopped=STOPPED
    )

    assert one.and_(one) == Reconciled(
        claimed=10,
        asked=8,
        changed=6,
        silent=2,
        skipped=2,
        lost=2,
        poisoned=(row, row),
        broken=broken,
        stopped=STOPPED * 2,
    )
