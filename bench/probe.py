"""How fast this machine is just now: the same small piece of work, timed again and again while something is measured.

A CPU shares its caches and its clock with its neighbours, on a virtual machine with strangers too, so that the same
code costs up to twice the CPU time in a bad minute. The probe costs about 2 % of one CPU.
"""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["Probe", "piece_of_work"]

PAUSE_SECONDS: Final = 0.1
ROUNDS: Final = 12_000


def piece_of_work() -> float:
    """Do it; the CPU milliseconds that it took."""
    began = time.thread_time()
    kept: dict[int, str] = {}
    for number in range(ROUNDS):
        kept[number % 97] = str(number)
    return (time.thread_time() - began) * 1000


class Probe:
    """Looks at the machine while `running`, and says how long the work took then."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look all the while."""
        thread = threading.Thread(target=self._look, name="probe", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    @property
    def milliseconds(self) -> float:
        """The median of the looks."""
        return statistics.median(self._times)

    def _look(self) -> None:
        while True:
            self._times.append(piece_of_work())
            if self._over.wait(PAUSE_SECONDS):
                return
