"""`python -m bench`: the real service under load on this machine, its costs beside the targets."""

import argparse
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest
from attrs import frozen

from bench import profile_app, reconcile, report
from bench.plan import Answers, Cell, Database, Measured, Operation, Reconciled, cells
from bench.processes import Patience
from bench.session import Session, session
from tests.postgres import PostgresServer, running_postgres

SECONDS: Final = 2.5
QUICK_SECONDS: Final = 2.0
REQUESTS_FOR_MEMORY: Final = 100_000
FEWER_REQUESTS_FOR_MEMORY: Final = 12_000
MEMORY_POINTS: Final = 10
PAYMENTS: Final = 100_000
FEWER_PAYMENTS: Final = 10_000
MEMORY: Final = "memory"
RECONCILE: Final = "reconcile"


@frozen
class _Databases:
    """Makes an empty database for each session."""

    folder: Path
    postgres: PostgresServer | None

    @contextmanager
    def fresh(self, database: Database) -> Iterator[tuple[str, Path]]:
        """Its address, and a folder for the service to work in; both are gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            if database is Database.SQLITE:
                yield f"sqlite:///{folder}/bench.db", Path(folder)
                return
            if self.postgres is None:
                raise RuntimeError("no PostgreSQL server")
            address = self.postgres.create_database()
            try:
                yield address, Path(folder)
            finally:
                self.postgres.drop_database(address)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for. 0 when every answer was right, whether or not the targets were met."""
    asked = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that whatever was started is ended
    named = [Operation(name) for name in asked.only if name not in (MEMORY, RECONCILE)]
    operations = named or list(Operation)
    plan = cells(
        operations=operations,
        databases=[Database(name) for name in asked.database],
        workers=asked.workers,
        connections=asked.connections,
        delays_ms=asked.delay,
        only_with_targets=asked.quick,
    )
    if asked.only and not named:
        plan = []
    payments = 0
    if asked.payments is not None or RECONCILE in asked.only:
        payments = asked.payments or PAYMENTS
    elif not asked.only and not asked.profile:
        payments = FEWER_PAYMENTS
    requests = 0
    if asked.memory is not None or MEMORY in asked.only:
        requests = asked.memory or REQUESTS_FOR_MEMORY
    elif not asked.only and not asked.profile:
        requests = FEWER_REQUESTS_FOR_MEMORY

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sewapay-bench-")))
        postgres = _postgres(stack) if Database.POSTGRES in asked.database else None
        if postgres is None:
            plan = [cell for cell in plan if cell.database is not Database.POSTGRES]
        databases = _Databases(folder, postgres)
        there = [database for database in map(Database, asked.database) if postgres or database is Database.SQLITE]
        if asked.profile:
            for database in sorted({cell.database for cell in plan}):
                with databases.fresh(database) as (address, place):
                    profile_app.run(address, place, operations)
            for database in there if payments else ():
                with databases.fresh(database) as (address, place):
                    profile_app.run_reconciler(address, place, asked.payments or FEWER_PAYMENTS)
            return 0
        seconds = asked.seconds or (QUICK_SECONDS if asked.quick else SECONDS)
        results = report.Results(
            tuple(_measure(plan, databases, seconds, asked.repeat, Patience(asked.patience))),
            tuple(_reconcile(there, databases, payments, asked.repeat) if payments else ()),
            _memory(databases, requests) if requests else None,
        )
    print(report.summary(results))
    kept = report.write(results, asked.name)
    print(f"kept as bench/results/{kept.name}")
    return 1 if results.errors else 0


def _measure(
    plan: list[Cell], databases: _Databases, seconds: float, repeat: int, patience: Patience
) -> Iterator[Measured]:
    """Every cell, `repeat` times over the whole plan, so that a slow minute of the machine meets no cell thrice."""
    runs: dict[Cell, list[Measured]] = {cell: [] for cell in plan}
    for number in range(1, repeat + 1):
        if plan:
            print(f"run {number} of {repeat}\n{report.row_heads()}" if repeat > 1 else report.row_heads())
        for (database, workers), group in groupby(plan, key=lambda cell: (cell.database, cell.workers)):
            with (
                databases.fresh(database) as (address, folder),
                session(database, address, workers=workers, folder=folder) as under_load,
            ):
                for cell in group:
                    patience.wait_for_quiet()
                    measured = under_load.measure(cell, seconds)
                    runs[cell].append(measured)
                    print(report.row(measured), flush=True)
    if repeat > 1 and plan:
        print(f"medians of {repeat}\n{report.row_heads()}")
    for several in runs.values():
        middle = report.median(several)
        if repeat > 1:
            print(report.row(middle))
        yield middle


def _reconcile(there: list[Database], databases: _Databases, payments: int, repeat: int) -> Iterator[Reconciled]:
    """The reconciler over so many due payments: each kind of answer, `repeat` times, the kinds in turns."""
    print(f"reconciling: {payments} payments\n{report.reconciled_heads()}")
    for database in there:
        runs: dict[Answers, list[Reconciled]] = {answers: [] for answers in Answers}
        for _ in range(repeat):
            for answers, several in runs.items():
                with databases.fresh(database) as (address, folder):
                    several.append(reconcile.measure(database, address, folder, payments=payments, answers=answers))
                print(report.reconciled_row(several[-1]), flush=True)
        yield from (report.median_reconciled(several) for several in runs.values())


def _memory(databases: _Databases, requests: int) -> report.Memory:
    """Memory of one worker on SQLite, while so many requests are made: a quarter of them of each kind, in turns."""
    print(f"memory: {requests} requests", flush=True)
    with (
        databases.fresh(Database.SQLITE) as (address, folder),
        session(Database.SQLITE, address, workers=1, folder=folder) as under_load,
    ):
        points = [(0, under_load.rss)]
        for turn in range(1, MEMORY_POINTS + 1):
            _one_turn(under_load, requests // MEMORY_POINTS)
            points.append((requests // MEMORY_POINTS * turn, under_load.rss))
    return report.Memory(tuple(points))


def _one_turn(under_load: Session, requests: int) -> None:
    for operation in Operation:
        measured = under_load.measure_requests(operation, requests // len(Operation))
        if measured.errors:
            raise RuntimeError(f"{len(measured.errors)} errors: {measured.errors[0]}")


def _postgres(stack: ExitStack) -> PostgresServer | None:
    """The tests' server; without one SQLite is measured alone."""
    try:
        return stack.enter_context(running_postgres())
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        print(f"PostgreSQL is left out: {missing}", file=sys.stderr)
        return None


_PARTS: Final = "initiate,callback,repeat,read,reconcile,memory"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, epilog="bench/README.md explains.")
    add = parser.add_argument
    add("--quick", action="store_true", help=f"only what has a target, {QUICK_SECONDS:g} s each")
    add("--only", type=_words(*Operation, RECONCILE, MEMORY), default=[], help=_PARTS)
    add("--database", type=_words(*Database), default=list(Database), help="sqlite,postgres")
    add("--workers", type=_numbers(1, 8), default=[1, 2], help="worker processes (1,2)")
    add("--connections", type=_numbers(1, 512), default=[1, 32, 128], help="connections (1,32,128)")
    add("--delay", type=_numbers(0, 2000), default=[0, 100], help="the gateway's own time in ms (0,100)")
    add("--seconds", type=float, help=f"how long each cell takes ({SECONDS:g})")
    add("--repeat", type=int, choices=range(1, 10), default=1, help="runs; the medians count")
    add("--patience", type=float, default=0.0, metavar="SECONDS", help="wait so long in all for a quiet machine (0)")
    add("--memory", type=int, nargs="?", const=REQUESTS_FOR_MEMORY, metavar="REQUESTS", help="measure memory longer")
    add("--payments", type=int, metavar="MANY", help=f"due payments for the reconciler ({PAYMENTS})")
    add("--profile", action="store_true", help="show where the time goes, instead of how much it is")
    add("--name", type=_name, default="latest", help="results/NAME.json (latest)")
    return parser


def _words(*known: str) -> Callable[[str], list[str]]:
    """Reads `a,b` where each is one of those that are known."""

    def words(text: str) -> list[str]:
        chosen = text.split(",")
        for word in chosen:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(known)}")
        return list(dict.fromkeys(chosen))

    return words


def _numbers(least: int, most: int) -> Callable[[str], list[int]]:
    """Reads `1,32` where each lies within these bounds."""

    def numbers(text: str) -> list[int]:
        chosen = [int(word) for word in text.split(",")]
        if not all(least <= number <= most for number in chosen):
            raise argparse.ArgumentTypeError(f"each is from {least} to {most}")
        return list(dict.fromkeys(chosen))

    return numbers


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", text):
        raise argparse.ArgumentTypeError("a name is of a-z, 0-9, - and _")
    return text


if __name__ == "__main__":
    sys.exit(main())
