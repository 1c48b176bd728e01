"""Tables for people, and one JSON file for comparing."""

import platform
import statistics
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil
from attrs import asdict, evolve, frozen

from bench.plan import TARGETS, Answers, Cell, Database, Measured, Reconciled, judge

__all__ = [
    "RSS_BOUND_MIB",
    "Memory",
    "Results",
    "median",
    "median_reconciled",
    "reconciled_heads",
    "reconciled_row",
    "row",
    "row_heads",
    "summary",
    "write",
]

FOLDER: Final = Path(__file__).resolve().parent / "results"
RSS_BOUND_MIB: Final = 130
FLAT_MIB: Final = 8
BUSY: Final = 0.2
LEAST_RATIO: Final = 0.6
RECONCILER_RSS_MIB: Final = 150
_NUMBERS: Final = (
    *("requests", "per_second", "p50_ms", "p99_ms", "cpu_ms", "rss_mib"),
    *("gateway_cpu_ms", "load_cpu_ms", "elsewhere", "probe_ms"),
)  # fmt: skip


@frozen
class Memory:
    """Resident memory of one worker, in MiB, after so many requests each."""

    points: tuple[tuple[int, float], ...]

    @property
    def greatest(self) -> float:
        """The most that was seen."""
        return max(mebibytes for _, mebibytes in self.points)

    @property
    def grown(self) -> float:
        """Growth after the first fifth, in which caches fill."""
        last = self.points[-1][0]
        later = [mebibytes for requests, mebibytes in self.points if requests >= last / 5]
        return later[-1] - later[0]

    @property
    def is_met(self) -> bool:
        """Whether it stayed below the bound and flat."""
        return self.greatest <= RSS_BOUND_MIB and self.grown <= FLAT_MIB


@frozen
class Results:
    """Everything that a run came to."""

    measured: tuple[Measured, ...]
    reconciled: tuple[Reconciled, ...]
    memory: Memory | None

    @property
    def errors(self) -> list[str]:
        """Everything that was not as it should be."""
        of_requests = [error for one in self.measured for error in one.errors]
        return of_requests + [error for one in self.reconciled for error in one.errors]


def median(runs: Sequence[Measured]) -> Measured:
    """One cell's runs as one: the median of each number, and every error."""
    middle: dict[str, Any] = {name: statistics.median(getattr(one, name) for one in runs) for name in _NUMBERS}
    middle["requests"] = int(middle["requests"])
    return evolve(runs[0], **middle, errors=tuple(error for one in runs for error in one.errors))


_RECONCILED: Final = (
    *("per_second", "cpu_ms", "bare_per_second", "bare_cpu_ms"),
    *("rss_mib", "grown_mib", "elsewhere", "probe_ms"),
)  # fmt: skip


def median_reconciled(runs: Sequence[Reconciled]) -> Reconciled:
    """Several runs as one: the run whose ratio is in the middle, the most memory, and every error.

    Its own bare loop belongs to a run: medians of the parts would not make a ratio that was measured.
    """
    middle = sorted(runs, key=lambda one: one.ratio)[(len(runs) - 1) // 2]
    return evolve(
        middle,
        rss_mib=max(one.rss_mib for one in runs),
        grown_mib=max(one.grown_mib for one in runs),
        errors=tuple(error for one in runs for error in one.errors),
    )


_COLUMNS: Final = (
    ("operation", 10), ("database", 9), ("work", 5), ("conn", 5), ("gw ms", 6), ("req/s", 9), ("p50 ms", 9),
    ("p99 ms", 9), ("CPU ms", 8), ("RSS MiB", 8), ("requests", 9), ("errors", 7), ("share", 6), ("added p99", 10),
    ("elsewhere", 10), ("probe ms", 9),
)  # fmt: skip


_OF_RECONCILER: Final = (
    ("answers", 10), ("database", 9), ("payments", 9), ("look-ups/s", 11), ("bare/s", 8), ("ratio", 6), ("CPU ms", 8),
    ("bare", 6), ("ratio", 6), ("RSS MiB", 8), ("grown", 6), ("errors", 7), ("elsewhere", 10), ("probe ms", 9),
)  # fmt: skip


def reconciled_heads() -> str:
    """The first line of the reconciler's table."""
    return _line([name for name, _ in _OF_RECONCILER], _OF_RECONCILER)


def reconciled_row(one: Reconciled) -> str:
    """One line of it."""
    texts = [
        one.answers,
        one.database,
        str(one.payments),
        f"{one.per_second:.0f}",
        f"{one.bare_per_second:.0f}",
        f"{one.ratio:.2f}",
        f"{one.cpu_ms:.3f}",
        f"{one.bare_cpu_ms:.3f}",
        f"{one.cpu_ratio:.2f}",
        f"{one.rss_mib:.0f}",
        f"{one.grown_mib:.1f}",
        str(len(one.errors)),
        f"{one.elsewhere:.2f}",
        f"{one.probe_ms:.2f}",
    ]
    return _line(texts, _OF_RECONCILER)


def row_heads() -> str:
    """The first line of the table."""
    return _line([name for name, _ in _COLUMNS], _COLUMNS)


def row(one: Measured) -> str:
    """One line of the table."""
    cell = one.cell
    return _line(
        [
            f"{cell.operation}{' ½' if cell.half_load else ''}",
            cell.database,
            str(cell.workers),
            str(cell.connections),
            str(cell.delay_ms) if cell.operation.asks_the_gateway else "-",
            f"{one.per_second:.0f}",
            f"{one.p50_ms:.1f}",
            f"{one.p99_ms:.1f}",
            f"{one.cpu_ms:.2f}",
            f"{one.rss_mib:.0f}",
            str(one.requests),
            str(len(one.errors)),
            "" if one.share is None or cell.half_load else f"{one.share:.2f}",
            f"{one.added_ms:.1f}" if cell.half_load else "",
            f"{one.elsewhere:.2f}",
            f"{one.probe_ms:.2f}",
        ],
        _COLUMNS,
    )


def _line(texts: Iterable[str], columns: Sequence[tuple[str, int]]) -> str:
    parts = []
    for place, (text, (_, width)) in enumerate(zip(texts, columns, strict=True)):
        parts.append(text.ljust(width) if place < 2 else text.rjust(width))
    return " ".join(parts).rstrip()


def summary(results: Results) -> str:
    """The targets beside what was measured, the memory, and what the others used."""
    lines = ["", f"{'target':82} {'bound':>14} {'measured':>9}"]
    for verdict in judge(results.measured):
        if verdict.value is not None:
            met = "met" if verdict.is_met else "MISSED"
            lines.append(f"{verdict.target.name:82} {verdict.target.text:>14} {verdict.value:9.2f}  {met}")
    unmeasured = sum(verdict.value is None for verdict in judge(results.measured))
    for one in results.reconciled:
        lines += _verdicts(one)
    if results.memory is not None:
        memory = results.memory
        name = f"memory of one worker after {memory.points[-1][0]} requests, flat"
        met = "met" if memory.is_met else "MISSED"
        lines.append(f"{name:82} {f'at most {RSS_BOUND_MIB} MiB':>14} {memory.greatest:9.1f}  {met}")
        lines.append("  " + ", ".join(f"{requests}: {mebibytes:.1f}" for requests, mebibytes in memory.points))
        lines.append(f"  grown by {memory.grown:.1f} MiB after the first fifth (flat is at most {FLAT_MIB})")
    else:
        unmeasured += 1
    if unmeasured:
        lines.append(f"({unmeasured} of {len(TARGETS) + 1} targets not measured in this run)")
    if results.measured:
        gateway = statistics.median(one.gateway_cpu_ms for one in results.measured)
        load = statistics.median(one.load_cpu_ms for one in results.measured)
        lines.append(f"beside it, CPU a request, median: the fast Khalti {gateway:.3f} ms, the load {load:.3f} ms")
        probes = sorted(one.probe_ms for one in results.measured)
        lines.append(
            f"the probe cost {probes[0]:.2f} to {probes[-1]:.2f} ms, median {statistics.median(probes):.2f}: "
            "the steadier, the better the numbers compare"
        )
        others = [one.elsewhere for one in results.measured if one.cell.database is Database.SQLITE]
        if others and statistics.median(others) > BUSY:
            busy = f"{statistics.median(others):.1f} of {psutil.cpu_count()} CPUs"
            lines.append(f"times and rates are not to be trusted: {busy} were busy with something else")
    errors = results.errors
    if errors:
        lines.append(f"\n{len(errors)} ERRORS, for example:")
        lines += [f"  {error}" for error in errors[:5]]
    return "\n".join(lines)


def _verdicts(one: Reconciled) -> list[str]:
    """What the reconciler should come to. Settling writes what a look-up does not, so it has no ratio to reach."""
    lines = []
    name = f"reconciling {one.payments} payments, {one.database}, {one.answers}"
    if one.answers is Answers.OPEN:
        met = "met" if one.ratio >= LEAST_RATIO else "MISSED"
        ratio = f"{name}: share of a bare loop's look-ups a second"
        lines.append(f"{ratio:82} {f'at least {LEAST_RATIO:g}':>14} {one.ratio:9.2f}  {met}")
    is_flat = one.rss_mib <= RECONCILER_RSS_MIB and one.grown_mib <= FLAT_MIB
    memory = f"{name}: memory, flat"
    met = "met" if is_flat else "MISSED"
    lines.append(f"{memory:82} {f'at most {RECONCILER_RSS_MIB} MiB':>14} {one.rss_mib:9.1f}  {met}")
    return lines


def machine() -> dict[str, object]:
    """What the numbers depend on, without anything that names a machine or a place."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": psutil.cpu_count(),
        "libraries": {name: version(name) for name in ("litestar", "sqlalchemy", "aiohttp", "httpx", "uvicorn")},
    }


def write(results: Results, name: str) -> Path:
    """Keep the results as JSON under this name."""
    kept = {
        "machine": machine(),
        "measured": [_as_kept(one) for one in results.measured],
        "targets": [
            {"name": v.target.name, "bound": v.target.text, "measured": _rounded(v.value), "met": v.is_met}
            for v in judge(results.measured)
            if v.value is not None
        ],
        "reconciled": [_as_kept_too(one) for one in results.reconciled],
        "memory_mib": None if results.memory is None else [list(point) for point in results.memory.points],
    }
    path = FOLDER / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
    return path


def _as_kept(one: Measured) -> dict[str, object]:
    fields: dict[str, object] = asdict(one.cell, filter=lambda attribute, _: attribute.name in _CELL)
    fields |= {name: _rounded(getattr(one, name)) for name in _NUMBERS}
    if one.errors:
        fields["errors"] = len(one.errors)
    return fields


def _as_kept_too(one: Reconciled) -> dict[str, object]:
    fields: dict[str, object] = {"database": one.database, "answers": one.answers, "payments": one.payments}
    fields |= {name: _rounded(getattr(one, name)) for name in (*_RECONCILED, "ratio", "cpu_ratio")}
    if one.errors:
        fields["errors"] = len(one.errors)
    return fields


_CELL: Final = frozenset(attribute.name for attribute in Cell.__attrs_attrs__)


def _rounded(number: float | None) -> float | int | None:
    return round(number, 3) if isinstance(number, float) else number
