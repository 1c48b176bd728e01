"""What is measured, and what it should come to."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import product
from typing import Final

from attrs import frozen

__all__ = [
    "TARGETS",
    "Answers",
    "Cell",
    "Database",
    "Measured",
    "Operation",
    "Reconciled",
    "Target",
    "Verdict",
    "cells",
    "judge",
]


class Operation(StrEnum):
    """What is asked of the service."""

    INITIATE = "initiate"
    CALLBACK = "callback"
    REPEAT = "repeat"
    READ = "read"

    @property
    def asks_the_gateway(self) -> bool:
        """Whether the gateway's time is part of it."""
        return self in (Operation.INITIATE, Operation.CALLBACK)


class Database(StrEnum):
    """Where the service keeps its rows."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"


class Answers(StrEnum):
    """What the gateway says of every payment that the reconciler looks at, so that it stays open or is settled."""

    OPEN = "open"
    COMPLETED = "completed"


@frozen(kw_only=True)
class Cell:
    """One thing to measure. At `half_load` requests come at half the rate that the service can do, at random times."""

    operation: Operation
    database: Database
    workers: int
    connections: int
    delay_ms: int
    half_load: bool = False

    @property
    def limit(self) -> float | None:
        """The requests a second that the gateway's time allows, whatever the service costs; None without such time."""
        return self.connections / (self.delay_ms / 1000) if self.delay_ms else None


@frozen(kw_only=True)
class Measured:
    """What a cell came to. CPU is a request's; memory is that of the greatest process.

    `elsewhere` is how many CPUs everything but the service, Khalti and the load kept busy meanwhile: PostgreSQL, when
    it runs here, and whatever else does. `probe_ms` is what a fixed piece of work cost meanwhile (`probe.py`).
    """

    cell: Cell
    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    rss_mib: float
    gateway_cpu_ms: float
    load_cpu_ms: float
    elsewhere: float
    probe_ms: float
    errors: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        """How much of the gateway's limit was reached."""
        return self.per_second / self.cell.limit if self.cell.limit else None

    @property
    def added_ms(self) -> float:
        """What the service added to the gateway's own time, at the 99th percentile."""
        return self.p99_ms - self.cell.delay_ms


@frozen(kw_only=True)
class Reconciled:
    """What the reconciler came to over many due payments, and a bare loop of the same look-ups beside it.

    CPU is a look-up's. `rss_mib` is the most that was seen, `grown_mib` how much it grew after the first fifth.
    """

    database: Database
    answers: Answers
    payments: int
    per_second: float
    cpu_ms: float
    bare_per_second: float
    bare_cpu_ms: float
    rss_mib: float
    grown_mib: float
    elsewhere: float
    probe_ms: float
    errors: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """How many look-ups a second for each of the bare loop's."""
        return self.per_second / self.bare_per_second

    @property
    def cpu_ratio(self) -> float:
        """The same by CPU time, which a busy machine distorts less."""
        return self.bare_cpu_ms / self.cpu_ms


def cells(
    *,
    operations: Sequence[Operation],
    databases: Sequence[Database],
    workers: Sequence[int],
    connections: Sequence[int],
    delays_ms: Sequence[int],
    only_with_targets: bool = False,
) -> list[Cell]:
    """Every combination that tells something.

    What does not ask the gateway is measured with the fast one only, and a single connection behind a slow gateway,
    which measures the gateway, only when it is all that was asked for.
    """
    chosen = []
    for database, of_workers in product(databases, workers):
        for delay_ms, of_connections, operation in product(delays_ms, connections, operations):
            if not operation.asks_the_gateway and delay_ms != min(delays_ms):
                continue
            if of_connections == 1 and delay_ms and (len(connections) > 1 or len(delays_ms) > 1):
                continue
            chosen.append(
                Cell(
                    operation=operation,
                    database=database,
                    workers=of_workers,
                    connections=of_connections,
                    delay_ms=delay_ms,
                )
            )
            if of_connections == 32 and of_workers == 1 and operation.asks_the_gateway:
                chosen.append(
                    Cell(
                        operation=operation,
                        database=database,
                        workers=of_workers,
                        connections=of_connections,
                        delay_ms=delay_ms,
                        half_load=True,
                    )
                )
    if only_with_targets:
        return [cell for cell in chosen if any(target.concerns(cell) for target in TARGETS)]
    return chosen


@frozen(kw_only=True)
class Target:
    """A bound for one number of the cells that it concerns; the worst of them counts."""

    name: str
    bound: float
    is_most: bool
    unit: str
    concerns: Callable[[Cell], bool]
    of: Callable[[Measured], float | None]

    @property
    def text(self) -> str:
        """The bound as it is read."""
        return f"at {'most' if self.is_most else 'least'} {self.bound:g}{self.unit}"


@frozen(kw_only=True)
class Verdict:
    """A target and what was measured; `value` is None when nothing that it concerns was."""

    target: Target
    value: float | None

    @property
    def is_met(self) -> bool:
        """Whether the bound was kept."""
        if self.value is None:
            return False
        return self.value <= self.target.bound if self.target.is_most else self.value >= self.target.bound


def judge(measured: Iterable[Measured]) -> Iterator[Verdict]:
    """Each target beside the worst of what it concerns."""
    results = list(measured)
    for target in TARGETS:
        values = [value for one in results if target.concerns(one.cell) and (value := target.of(one)) is not None]
        worst = (max(values) if target.is_most else min(values)) if values else None
        yield Verdict(target=target, value=worst)


def _at(operation: Operation, database: Database, *, workers: int, connections: int, delay_ms: int) -> Cell:
    return Cell(operation=operation, database=database, workers=workers, connections=connections, delay_ms=delay_ms)


def _cpu(operation: Operation, database: Database, bound: float) -> Target:
    where = _at(operation, database, workers=1, connections=32, delay_ms=0)
    return Target(
        name=f"{operation}, {database}: app CPU",
        bound=bound,
        is_most=True,
        unit=" ms",
        concerns=lambda cell: cell == where,
        of=lambda one: one.cpu_ms,
    )


def _share(operation: Operation, database: Database, *, workers: int, connections: int, bound: float) -> Target:
    where = _at(operation, database, workers=workers, connections=connections, delay_ms=100)
    return Target(
        name=f"{operation}, {database}: share of the limit at {connections} connections, {workers} workers",
        bound=bound,
        is_most=False,
        unit="",
        concerns=lambda cell: cell == where,
        of=lambda one: one.share,
    )


def _added(database: Database) -> Target:
    return Target(
        name=f"initiate and callback, {database}: p99 added at half load, 32 connections",
        bound=25,
        is_most=True,
        unit=" ms",
        concerns=lambda cell: cell.half_load and cell.database is database,
        of=lambda one: one.added_ms,
    )


_SQLITE, _POSTGRES = Database.SQLITE, Database.POSTGRES

TARGETS: Final[tuple[Target, ...]] = (
    _cpu(Operation.INITIATE, _SQLITE, 1.3),
    _cpu(Operation.CALLBACK, _SQLITE, 1.2),
    _cpu(Operation.REPEAT, _SQLITE, 0.5),
    _cpu(Operation.READ, _SQLITE, 0.5),
    _cpu(Operation.INITIATE, _POSTGRES, 2.0),
    _cpu(Operation.CALLBACK, _POSTGRES, 2.0),
    *(
        _share(operation, database, workers=1, connections=32, bound=0.85)
        for operation, database in product((Operation.INITIATE, Operation.CALLBACK), Database)
    ),
    *(
        _share(operation, database, workers=2, connections=128, bound=0.6)
        for operation, database in product((Operation.INITIATE, Operation.CALLBACK), Database)
    ),
    _added(_SQLITE),
    _added(_POSTGRES),
)
