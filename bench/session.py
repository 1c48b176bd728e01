"""One service under load: keeps a stock of bookings in each state, so that any cell can be measured at any time."""

import asyncio
import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import define, field

from bench.load import Job
from bench.plan import Cell, Database, Measured, Operation
from bench.probe import Probe
from bench.processes import Khalti, Load, Service, fast_khalti, load_generator, machine_cpu_seconds, service
from bench.shop import Sale, check, register, request

__all__ = ["Session", "session"]

WARM_UP: Final = 1500
RECURRING: Final = 1000
MOST_AT_ONCE: Final = 30_000
HEADROOM: Final = 1.3
UNMEASURED_SECONDS: Final = 60.0
FIRST_GUESS: Final = 500.0


@define
class Session:
    """A running service, Khalti and load, and the sales that they have got to so far."""

    database: Database
    workers: int
    _database_url: str = field(repr=False)
    _service: Service
    _khalti: Khalti
    _load: Load
    _registered: deque[Sale] = field(factory=deque, repr=False)
    _opened: deque[Sale] = field(factory=deque, repr=False)
    _settled: deque[Sale] = field(factory=lambda: deque(maxlen=RECURRING), repr=False)
    _last_number: int = 0
    _rates: dict[tuple[Operation, int, int], float] = field(factory=dict, repr=False)

    def warm_up(self) -> None:
        """Have every path run until nothing is done for the first time; learn how fast they are."""
        for operation in Operation:
            cell = self._unmeasured(operation)
            measured = self._run(cell, WARM_UP, UNMEASURED_SECONDS)
            _require_right(measured)

    def measure(self, cell: Cell, seconds: float) -> Measured:
        """Measure a cell for about so long; less when the prepared bookings run out, which changes no rate."""
        rate = self._rate(cell)
        many = math.ceil(rate * seconds * HEADROOM) + cell.connections
        return self._run(cell, min(many, MOST_AT_ONCE), seconds, rate if cell.half_load else 0.0)

    def measure_requests(self, operation: Operation, many: int) -> Measured:
        """Measure so many requests at 32 connections, however long they take."""
        return self._run(self._unmeasured(operation), many, UNMEASURED_SECONDS * 5)

    @property
    def rss(self) -> float:
        """Memory of the service's greatest process, in MiB."""
        return self._service.rss

    def _unmeasured(self, operation: Operation) -> Cell:
        return Cell(operation=operation, database=self.database, workers=self.workers, connections=32, delay_ms=0)

    def _rate(self, cell: Cell) -> float:
        """Requests a second that this cell may come to; at half load those that are sent."""
        known = self._rates.get((cell.operation, 32, 0), FIRST_GUESS)
        rate = self._rates.get((cell.operation, cell.connections, cell.delay_ms), known)
        if cell.limit is not None:
            rate = cell.limit if cell.half_load else min(known, cell.limit)
        return rate / 2 if cell.half_load else rate

    def _run(self, cell: Cell, many: int, seconds: float, rate: float = 0.0) -> Measured:
        sales = self._take(cell.operation, many)
        self._khalti.take(cell.delay_ms)
        self._load.prepare(
            Job(
                port=self._service.port,
                connections=cell.connections,
                requests=[request(cell.operation, sale) for sale in sales],
                seconds=seconds,
                most=many,
                recur=not cell.operation.asks_the_gateway,
                rate=rate,
                spread_seconds=cell.delay_ms / 1000,
            )
        )
        before = self._cpu()
        probe = Probe()
        with probe.running():
            outcome = self._load.run()
        cpu, gateway_cpu, load_cpu, machine_cpu = (
            after - earlier for after, earlier in zip(self._cpu(), before, strict=True)
        )

        errors = []
        for answer in outcome.answers:
            sale = sales[answer.request % len(sales)]
            wrong = check(cell.operation, sale, answer.status, answer.body)
            if wrong:
                errors.append(wrong)
        self._put(cell.operation, sales)
        if not outcome.answers:
            errors.append(f"{cell.operation}: no answers at all")
        answered = max(1, len(outcome.answers))
        times = sorted(answer.seconds for answer in outcome.answers) or [math.nan]
        per_second = answered / outcome.seconds
        if not cell.half_load:
            self._rates[cell.operation, cell.connections, cell.delay_ms] = per_second
        return Measured(
            cell=cell,
            requests=len(outcome.answers),
            per_second=per_second,
            p50_ms=_percentile(times, 0.5) * 1000,
            p99_ms=_percentile(times, 0.99) * 1000,
            cpu_ms=cpu / answered * 1000,
            rss_mib=self._service.rss,
            gateway_cpu_ms=gateway_cpu / answered * 1000,
            load_cpu_ms=load_cpu / answered * 1000,
            elsewhere=max(0.0, machine_cpu - cpu - gateway_cpu - load_cpu) / outcome.seconds,
            probe_ms=probe.milliseconds,
            errors=tuple(errors),
        )

    def _cpu(self) -> tuple[float, float, float, float]:
        """CPU seconds so far of the service, of Khalti, of the load and of the whole machine."""
        return self._service.cpu, self._khalti.cpu, self._load.cpu, machine_cpu_seconds()

    def _take(self, operation: Operation, many: int) -> list[Sale]:
        """Sales that this operation can be done to; makes those that are missing, unmeasured."""
        if not operation.asks_the_gateway:
            if not self._settled:
                _require_right(self._run(self._unmeasured(Operation.CALLBACK), RECURRING, UNMEASURED_SECONDS))
            return list(self._settled)
        if operation is Operation.CALLBACK:
            missing = many - len(self._opened)
            if missing > 0:
                _require_right(self._run(self._unmeasured(Operation.INITIATE), missing, UNMEASURED_SECONDS))
            return [self._opened.popleft() for _ in range(min(many, len(self._opened)))]
        missing = many - len(self._registered)
        if missing > 0:
            made = asyncio.run(register(self._database_url, self._last_number + 1, missing))
            self._last_number += missing
            self._registered.extend(made)
        return [self._registered.popleft() for _ in range(many)]

    def _put(self, operation: Operation, sales: Sequence[Sale]) -> None:
        """Sort the sales by how far they came."""
        if not operation.asks_the_gateway:
            return
        for sale in sales:
            if sale.payment_id:
                self._settled.append(sale)
            elif sale.pidx:
                self._opened.append(sale)
            else:
                self._registered.append(sale)


@contextmanager
def session(database: Database, database_url: str, *, workers: int, folder: Path) -> Iterator[Session]:
    """A session with a service of its own, warmed up."""
    with (
        fast_khalti() as khalti,
        service(database_url, khalti, workers=workers, folder=folder) as running,
        load_generator() as load,
    ):
        started = Session(database, workers, database_url, running, khalti, load)
        started.warm_up()
        yield started


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _require_right(measured: Measured) -> None:
    if measured.errors:
        raise RuntimeError(f"{len(measured.errors)} errors while getting ready: {measured.errors[0]}")
