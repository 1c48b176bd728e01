"""The reconciler over many due payments: the real `sewapay worker --once`, between two bare loops of look-ups.

The bare loop (`bare.py`) is what the gateway's client costs by itself, on the same machine and in the same minute;
half of it runs before the worker and half after, so that a machine that gets slower meets both alike. A process is
measured from the moment at which it has done a twentieth of its work: starting up is no part of a look-up.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil
from attrs import frozen

from bench.due import fill, looked_at
from bench.plan import Answers, Database, Reconciled
from bench.probe import Probe
from bench.processes import (
    MEBIBYTE,
    PROGRAM,
    Khalti,
    cpu_seconds,
    fast_khalti,
    machine_cpu_seconds,
    migrate,
    program,
    worker_settings,
)
from sewapay.adapters.system import CALLS_AT_A_TIME

__all__ = ["measure"]

SHARE_FOR_STARTING: Final = 0.05
SHARE_FOR_FILLING: Final = 0.2
LOOK_EVERY_SECONDS: Final = 0.05
LONGEST_SECONDS: Final = 1800.0
MOST_BARE: Final = 20_000
"""Look-ups of each of the two bare loops, at most."""


@frozen
class _Moment:
    """How far everything was: time, look-ups, CPU seconds of the process, of Khalti and of the machine, memory."""

    at: float
    look_ups: int
    cpu: float
    gateway_cpu: float
    machine_cpu: float
    rss_mib: float


@frozen
class _Road:
    """What was seen of one process that asked Khalti."""

    moments: tuple[_Moment, ...]

    @property
    def look_ups(self) -> int:
        return self.moments[-1].look_ups - self.moments[0].look_ups

    @property
    def seconds(self) -> float:
        return self.moments[-1].at - self.moments[0].at

    @property
    def per_second(self) -> float:
        return self.look_ups / self.seconds

    @property
    def cpu_ms(self) -> float:
        return (self.moments[-1].cpu - self.moments[0].cpu) / self.look_ups * 1000

    @property
    def elsewhere(self) -> float:
        first, last = self.moments[0], self.moments[-1]
        ours = last.cpu - first.cpu + last.gateway_cpu - first.gateway_cpu
        return max(0.0, last.machine_cpu - first.machine_cpu - ours) / self.seconds

    @property
    def rss_mib(self) -> float:
        return max(moment.rss_mib for moment in self.moments)

    @property
    def grown_mib(self) -> float:
        filled = self.moments[0].look_ups + self.look_ups * SHARE_FOR_FILLING
        later = [moment.rss_mib for moment in self.moments if moment.look_ups >= filled]
        return max(later) - later[0]


def measure(database: Database, database_url: str, folder: Path, *, payments: int, answers: Answers) -> Reconciled:
    """Fill the empty database, have the worker look at everything, and ask as much without it.

    Raises `RuntimeError` when a bare loop does not come to its end.
    """
    few = min(payments, MOST_BARE)
    probe = Probe()
    with fast_khalti() as khalti:
        settings = worker_settings(database_url, khalti)
        bare = [sys.executable, "-m", "bench.bare", str(khalti.port), str(few), str(CALLS_AT_A_TIME)]
        migrate(settings, folder)
        asyncio.run(fill(database_url, 1, payments, answers))
        with probe.running():
            before = _watched(bare, settings, folder / "bare-before.txt", khalti, few)
            said = folder / "worker.txt"
            worked = _watched([PROGRAM, "worker", "--once"], settings, said, khalti, payments)
            after = _watched(bare, settings, folder / "bare-after.txt", khalti, few)
    left = asyncio.run(looked_at(database_url))
    return Reconciled(
        database=database,
        answers=answers,
        payments=payments,
        per_second=worked.per_second,
        cpu_ms=worked.cpu_ms,
        bare_per_second=(before.look_ups + after.look_ups) / (before.seconds + after.seconds),
        bare_cpu_ms=statistics.mean((before.cpu_ms, after.cpu_ms)),
        rss_mib=worked.rss_mib,
        grown_mib=worked.grown_mib,
        elsewhere=worked.elsewhere,
        probe_ms=probe.milliseconds,
        errors=tuple(_wrong(payments, answers, said.read_text(errors="replace"), left)),
    )


def _watched(command: Sequence[str], settings: dict[str, str], said: Path, khalti: Khalti, many: int) -> _Road:
    """Run it to its end. Raises `RuntimeError` when it fails, takes too long, or asks something other than so often."""
    already = khalti.look_ups
    moments: list[_Moment] = []
    done = 0
    deadline = time.monotonic() + LONGEST_SECONDS
    with program(command, settings, said) as process:
        while process.poll() is None and time.monotonic() < deadline:
            moment = _moment(process, khalti, already)
            if moment is not None and moment.look_ups >= max(done, many * SHARE_FOR_STARTING):
                moments.append(moment)
                done = moment.look_ups + 1
            time.sleep(LOOK_EVERY_SECONDS)
    asked = khalti.look_ups - already
    if process.returncode != 0 or asked != many or len(moments) < 2:
        log = said.with_suffix(".log").read_text(errors="replace")[-3000:]
        raise RuntimeError(f"{command}: exit code {process.returncode}, {asked} look-ups of {many}:\n{log}")
    return _Road(tuple(moments))


def _moment(process: "subprocess.Popen[bytes]", khalti: Khalti, already: int) -> _Moment | None:
    """How far everything is; None when the process has just ended."""
    try:
        return _Moment(
            at=time.monotonic(),
            look_ups=khalti.look_ups - already,
            cpu=cpu_seconds(process.pid),
            gateway_cpu=khalti.cpu,
            machine_cpu=machine_cpu_seconds(),
            rss_mib=psutil.Process(process.pid).memory_info().rss / MEBIBYTE,
        )
    except (OSError, psutil.Error):
        return None


def _wrong(payments: int, answers: Answers, said: str, left: dict[str, int]) -> list[str]:
    """What is not as it should be afterwards."""
    changed = payments if answers is Answers.COMPLETED else 0
    expected = f"{payments} due payments taken: {payments} asked about, {changed} changed, 0 without an answer"
    wrong = [] if said.startswith(expected) else [f"the worker said: {said[:200]!r}"]
    return wrong if left == {answers.value: payments} else [*wrong, f"looked at and given back: {left}"]
