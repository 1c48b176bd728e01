"""A whole shop from one seed: processes, customers, staff and a gateway, in whatever order the seed says.

world.run(ops)      everything happens, and after each step the promises are checked; then all settles, or it is a bug
"""

import asyncio
import hashlib
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from sewapay.application.audit import Books, audit_invariants
from sewapay.application.auditing.truth import By, GatewayTruth, Line, Returned
from sewapay.application.errors import ApplicationError, StoreUnavailable
from sewapay.application.idempotency import AlreadyAnswered
from sewapay.application.reconcile_payments import Reconciled
from sewapay.domain.errors import DomainError
from sewapay.domain.payment import Payment
from sewapay.entrypoints.worker import Worker
from tests.backend.system.simulation.database import Database
from tests.backend.system.simulation.gateway import CALM
from tests.backend.system.simulation.process import Process, Shared
from tests.backend.system.simulation.till import FEE, Till
from tests.backend.system.simulation.turns import Turns, VirtualClock, VirtualLoop

__all__ = ["Broken", "World", "run_seed", "truth_of_till"]

NAMES: Final = ("one", "two")
TAIL: Final = 60
OLD_KEY: Final = "was begun over a day ago"
# At first every moment counts; the last look at what was paid is after 30 days, and a link may be paid on the last day.
STEPS: Final = (*(60.0,) * 12, *(600.0,) * 12, *(3600.0,) * 24, *(86400.0,) * 42)


class Broken(AssertionError):
    """A promise did not hold: the seed, what it was, and the end of what had happened."""

    def __init__(self, seed: int, ops: int, wrong: list[str], trace: list[str]) -> None:
        told = "\n".join([*trace[-TAIL:], "", *wrong])
        again = f"python -m tests.backend.system.simulation --seed {seed} --ops {ops}"
        super().__init__(f"seed {seed}\n{told}\n\nto run it again: {again}")


def truth_of_till(till: Till) -> GatewayTruth:
    """The gateway's own books, as an audit reads them."""
    return GatewayTruth(
        lines=tuple(
            Line(
                reference=paid.pidx,
                order_reference=paid.order_reference,
                amount=paid.held.amount,
                status=paid.held.status,
                transaction_id=paid.held.transaction_id,
                fee=FEE if paid.is_paid else None,
                refunded_amount=paid.given_back,
                refunds=tuple(Returned(amount=amount, by=By(who)) for amount, who in paid.refunds),
            )
            for paid in till.payments.values()
        )
    )


class World:
    """One seed's shop. What was answered to somebody is remembered, and has to be true for ever."""

    def __init__(self, seed: int, ops: int, template: Path, loop: VirtualLoop, turns: Turns) -> None:
        self.seed = seed
        self.ops = ops
        self.chance = random.Random(f"what happens {seed}")
        self.clock = VirtualClock(loop)
        self.database = Database(template, self.clock.now)
        self.shared = Shared(random.Random(f"what goes wrong {seed}"), turns, self.clock, self.database)
        self.till = self.shared.till
        self.policies = {
            f"SEWAPAY_ON_{case}": self.chance.choice(("hold", "refund", "honour"))
            for case in ("SURPLUS", "PAID_LATE", "AMOUNT_MISMATCH", "ORPHANED_REFERENCE", "STUCK_PENDING")
        }
        self.environ = {"SEWAPAY_ENV": "test", "SEWAPAY_RETURN_ORIGINS": "https://shop.example", **self.policies}
        self.processes = {name: Process(name, self.shared, self.environ) for name in NAMES}
        self.running: list[tuple[str, Process, asyncio.Task[Any]]] = []
        self.shown: dict[str, Payment] = {}
        self.answered: dict[str, bytes] = {}
        self.checked_at = -1

    # --- what is done ------------------------------------------------------------------------------------------------

    def somewhere(self) -> Process:
        """Any process."""
        return self.processes[self.chance.choice(NAMES)]

    def start(
        self,
        what: str,
        process: Process,
        work: Callable[[], Coroutine[Any, Any, Any]],
        then: Callable[[Any], None] = lambda _result: None,
    ) -> None:
        """Somebody asks for something. What they are told in the end is judged when it comes."""

        async def told() -> None:
            try:
                result = await work()
            except AlreadyAnswered as before:
                process.note(f"{what}: answered before")
                result = before
            except (ApplicationError, DomainError) as refused:
                process.note(f"{what}: {type(refused).__name__} {refused}")
                return
            process.note(f"{what}: done")
            then(result)

        process.note(f"{what}: begins")
        self.running.append((what, process, process.start(told())))

    def crash(self, name: str) -> None:
        """A process dies, and another takes its place."""
        self.processes[name].crash()
        self.running = [(what, process, task) for what, process, task in self.running if process.is_alive]
        self.processes[name] = Process(name, self.shared, self.environ)

    async def reconcile(self, process: Process, limit: int = 20) -> Reconciled:
        """One run of the reconciler there."""
        done = await process.container.reconcile_payments()(limit)
        for claim, error in done.broken:
            if not isinstance(error, StoreUnavailable):
                self.shared.complaints.append(f"payment {claim.payment.id} broke the reconciler: {error!r}")
        self.shared.complaints.extend(f"poisoned: {row}" for row in done.poisoned)
        return done

    def show(self, payment: Payment) -> None:
        """Somebody is given this link. I4: no other one of the booking that was given to somebody can be paid."""
        pidx, now = str(payment.gateway_reference), self.clock.now()
        for other, shown in self.shown.items():
            held = self.till.look(other, now)
            if other != pidx and shown.booking_id == payment.booking_id and held and held.status == "initiated":
                self.shared.complaints.append(f"I4 {pidx} was shown while {other} could be paid")
        self.shown[pidx] = payment

    def note(self, line: str) -> None:
        self.shared.note(f"- {line}")

    def payments(self) -> list[Payment]:
        """All payments as they are stored now, in the order of their references."""
        rows = self.database.books().payments
        return self.database.read(lambda view: [view.payments.get(row["id"]) for row in rows])

    # --- what has to be true -----------------------------------------------------------------------------------------

    def check(self, *, is_quiet: bool = False) -> None:
        """Raise `Broken` unless every promise holds now."""
        wrong = list(self.shared.complaints)
        for what, _, task in self.running:
            if task.done() and not task.cancelled() and task.exception() is not None:
                wrong.append(f"{what}: {task.exception()!r}")
        self.running = [running for running in self.running if not running[2].done()]
        if self.database.commits != self.checked_at or is_quiet:
            self.checked_at = self.database.commits
            books = self.database.books()
            wrong += self._judged(books, is_quiet=is_quiet)
            wrong += self._told(books)
        if wrong:
            raise Broken(self.seed, self.ops, wrong, self.shared.trace)

    def _judged(self, books: Books, *, is_quiet: bool) -> list[str]:
        honours_surplus = self.policies["SEWAPAY_ON_SURPLUS"] == "honour"
        now, truth = self.clock.now(), truth_of_till(self.till)
        found = audit_invariants(books, truth, now=now, is_quiet=is_quiet, honours_surplus=honours_surplus)
        # A worker that stood still for days has forgotten no old keys; they are free all the same.
        return [str(finding) for finding in found if is_quiet or OLD_KEY not in finding.text]

    def _told(self, books: Books) -> list[str]:
        """I18: a link that somebody was shown is stored, for the payment that it was shown for."""
        stored = {row["gateway_reference"]: row["id"] for row in books.payments}
        return [
            f"I18 {pidx} was shown for payment {payment.id}, and is stored for {stored.get(pidx)}"
            for pidx, payment in self.shown.items()
            if stored.get(pidx) != payment.id
        ]

    # --- how it ends -------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.shared.weather = CALM
        self.shared.database_is_away = False
        self.shared.commits_go_unheard = self.shared.facts_change = 0.0
        self.note("all is well again")

    async def settle(self) -> None:
        """Time passes with the workers at work, until nothing can be due any more."""
        for step in STEPS:
            await self.clock.pause(step)
            await self.work_off()
            self.check()
        self.check(is_quiet=True)

    async def work_off(self) -> None:
        """Both workers work until nothing is due."""
        workers = [Worker(process.container) for process in self.processes.values()]
        await asyncio.gather(*(worker.until_nothing_is_due() for worker in workers))

    def digest(self) -> str:
        """One hash over everything that happened and everything that is stored."""
        books = self.database.books()
        return hashlib.sha256("\n".join([*self.shared.trace, repr(books)]).encode()).hexdigest()


def run_seed(seed: int, *, ops: int, template: Path) -> str:
    """Live through one seed; returns the hash of all that happened. Raises `Broken`."""
    from tests.backend.system.simulation.rules import happen

    turns = Turns(random.Random(f"whose turn it is {seed}"))
    loop = VirtualLoop(turns)

    async def life() -> str:
        world = World(seed, ops, template, loop, turns)
        try:
            await happen(world, ops)
            return world.digest()
        except Broken:
            raise
        except Exception as error:
            raise Broken(seed, ops, [repr(error)], world.shared.trace) from error
        finally:
            world.database.close()

    try:
        return loop.run_until_complete(life())
    finally:
        loop.close()
