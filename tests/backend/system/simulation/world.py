"""A whole shop from one seed: processes, customers, staff and a gateway, in whatever order the seed says.

world.run(ops)      everything happens, and after each step the promises are checked; then all settles, or it is a bug
"""

import asyncio
import hashlib
import random
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from sewapay.application.audit import Books, audit_invariants
from sewapay.application.errors import ApplicationError, StoreUnavailable
from sewapay.application.idempotency import AlreadyAnswered
from sewapay.application.reconcile_payments import Reconciled
from sewapay.domain.errors import DomainError
from sewapay.domain.payment import Payment
from sewapay.entrypoints.worker import Worker
from tests.backend.system.simulation.database import Database
from tests.backend.system.simulation.gateway import CALM, CAN
from tests.backend.system.simulation.process import Process, Shared
from tests.backend.system.simulation.till import Paid
from tests.backend.system.simulation.truth import AllTruths, truth_of_till
from tests.backend.system.simulation.turns import Turns, VirtualClock, VirtualLoop

__all__ = ["Broken", "World", "name_of", "run_seed"]

NAMES: Final = ("one", "two")
TAIL: Final = 60
OLD_KEY: Final = "was begun over a day ago"
ONE_PRESS: Final = timedelta(seconds=10)
SINGLE_ENTRY: Final = frozenset(str(name) for name, can in CAN.items() if can.single_entry)
# At first every moment counts; the last look at what was paid is after 30 days, and a link may be paid on the last day.
STEPS: Final = (*(60.0,) * 12, *(600.0,) * 12, *(3600.0,) * 24, *(86400.0,) * 42)
BOTH_WORK: Final = 24
JUDGED_EVERY: Final = 4


class Broken(AssertionError):
    """A promise did not hold: the seed, what it was, and the end of what had happened."""

    def __init__(self, seed: int, ops: int, wrong: list[str], trace: list[str]) -> None:
        told = "\n".join([*trace[-TAIL:], "", *wrong])
        again = f"python -m tests.backend.system.simulation --seed {seed} --ops {ops}"
        super().__init__(f"seed {seed}\n{told}\n\nto run it again: {again}")


def name_of(payment: Payment) -> str:
    """What its gateway calls it: by its own name, or by ours."""
    return str(payment.gateway_reference or payment.order_reference)


class World:
    """One seed's shop. What was answered to somebody is remembered, and has to be true for ever."""

    def __init__(self, seed: int, ops: int, template: Path, loop: VirtualLoop, turns: Turns) -> None:
        self.seed = seed
        self.ops = ops
        self.chance = random.Random(f"what happens {seed}")
        self.clock = VirtualClock(loop)
        self.database = Database(template, self.clock.now)
        self.shared = Shared(random.Random(f"what goes wrong {seed}"), turns, self.clock, self.database)
        self.tills = self.shared.tills
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

    def there(self, payment: Payment) -> Paid | None:
        """The payment in its gateway's own books."""
        return self.tills[payment.gateway].payments.get(name_of(payment))

    def show(self, payment: Payment) -> None:
        """Somebody is given this link or form. I4: no other one of the booking that was given to somebody can be paid
        at the same gateway; where a form cannot be shown again, none that was given to the same press.
        """
        name, now = name_of(payment), self.clock.now()
        if payment.gateway in SINGLE_ENTRY and now >= (payment.opened_at or payment.created_at) + ONE_PRESS:
            self.shared.complaints.append(f"I4 {name} was shown long after it was opened, and may have been posted")
        for other, shown in self.shown.items():
            if other == name or (shown.booking_id, shown.gateway) != (payment.booking_id, payment.gateway):
                continue
            held = self.tills[payment.gateway].look(other, now)
            earlier, later = sorted((payment, shown), key=lambda one: one.created_at)
            is_one_press = later.created_at < (earlier.opened_at or earlier.created_at) + ONE_PRESS
            if held is not None and (held.status == "initiated" or (held.status == "absent" and is_one_press)):
                self.shared.complaints.append(f"I4 {name} was shown while {other} could be paid")
        self.shown[name] = payment

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
        now, truth = self.clock.now(), AllTruths.of_each(truth_of_till(till) for till in self.tills.values())
        found = audit_invariants(
            books,
            truth,
            now=now,
            is_quiet=is_quiet,
            honours_surplus=honours_surplus,
            single_entry=SINGLE_ENTRY,
        )
        # A worker that stood still for days has forgotten no old keys; they are free all the same.
        return [str(finding) for finding in found if is_quiet or OLD_KEY not in finding.text]

    def _told(self, books: Books) -> list[str]:
        """I18: a link that somebody was shown is stored, for the payment that it was shown for."""
        stored = {row["gateway_reference"] or row["order_reference"]: row["id"] for row in books.payments}
        return [
            f"I18 {name} was shown for payment {payment.id}, and is stored for {stored.get(name)}"
            for name, payment in self.shown.items()
            if stored.get(name) != payment.id
        ]

    # --- how it ends -------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.shared.weather.update(dict.fromkeys(CAN, CALM))
        self.shared.database_is_away = False
        self.shared.commits_go_unheard = self.shared.facts_change = 0.0
        self.note("all is well again")

    async def settle(self) -> None:
        """Time passes with the workers at work, until nothing can be due any more.

        What is wrong in the books stays there: with nothing going wrong any more, they are judged now and then.
        """
        for number, step in enumerate(STEPS):
            await self.clock.pause(step)
            await self.work_off(NAMES if number < BOTH_WORK else NAMES[number % 2 :][:1])
            if number % JUDGED_EVERY == 0:
                self.check()
        self.check(is_quiet=True)

    async def work_off(self, names: Sequence[str]) -> None:
        """These workers work until nothing is due."""
        workers = [Worker(self.processes[name].container) for name in names]
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
