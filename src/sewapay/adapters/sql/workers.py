"""Threads that run a store's functions, and how the outcomes get back to the event loop.

A hop costs some tens of microseconds: an entry in a queue on the way there, and on the way back one wake-up of the
loop for everything that was finished together.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, Protocol, TypeVar

from sewapay.application.errors import StoreUnavailable

__all__ = ["Job", "Runner", "Workers"]

T = TypeVar("T")

MOST_WAITING: Final = 2_000


class Job(Generic[T]):
    """A function that waits for its turn, and then what became of it: its result, or the error if that is set.

    `done` only says that there is an outcome: a future does not carry every exception.
    """

    __slots__ = ("done", "error", "result", "work")

    def __init__(self, work: Callable[[Any], T], done: "asyncio.Future[None]") -> None:
        self.work = work
        self.done = done
        self.result: T | None = None
        self.error: BaseException | None = None

    @property
    def is_unwanted(self) -> bool:
        """Whether whoever waited for it was canceled."""
        return self.done.cancelled()

    def outcome(self) -> T:
        """The result; raises the error."""
        if self.error is None:
            return self.result  # type: ignore[return-value]  # None where the function returned None
        try:
            raise self.error
        finally:
            self.error = None  # its traceback holds this frame, which holds this job


class Runner(Protocol):
    """What a thread does with jobs: it owns a connection, and is used by that thread only."""

    def run(self, first: Job[Any], take_now: Callable[[], Job[Any] | None]) -> list[Job[Any]]:
        """Run `first`, and whatever else `take_now` gives if it likes; returns those that have an outcome now."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


def _end(_: object) -> None:
    """The work of the job that ends a thread."""


class Workers:
    """Threads that take jobs from one queue, each with a runner of its own."""

    def __init__(self, name: str, runners: Iterable[Runner]) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: SimpleQueue[Job[Any]] = SimpleQueue()
        self._is_closed = False
        self._threads = [
            threading.Thread(target=self._serve, args=(runner,), name=f"{name}-{number}", daemon=True)
            for number, runner in enumerate(runners)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[Any], T]) -> T:
        """Have a thread run it. Whoever is canceled while waiting leaves the function to run, or not, as a whole.

        Raises `StoreUnavailable` when too many wait already, or when this is closed.
        """
        if self._is_closed:
            raise StoreUnavailable("the database is closed")
        if self._waiting.qsize() >= MOST_WAITING:
            raise StoreUnavailable("too many requests wait for the database")
        job = Job(work, self._loop.create_future())
        self._waiting.put(job)
        await job.done
        return job.outcome()

    async def close(self) -> None:
        """Take nothing more, finish what waits, end the threads."""
        if self._is_closed:
            return
        self._is_closed = True
        ends = [Job(_end, self._loop.create_future()) for _ in self._threads]
        for job in ends:
            self._waiting.put(job)
        await asyncio.gather(*(job.done for job in ends))
        for thread in self._threads:
            thread.join()

    def _serve(self, runner: Runner) -> None:
        job = self._waiting.get()
        while job.work is not _end:
            if not job.is_unwanted:
                self._tell_of(runner.run(job, self._take_now))
            job = self._waiting.get()
        runner.close()
        self._tell_of([job])

    def _take_now(self) -> Job[Any] | None:
        """A job that waits already and is still wanted, if there is one."""
        while True:
            try:
                job = self._waiting.get_nowait()
            except Empty:
                return None
            if job.work is _end:
                self._waiting.put(job)  # a thread ends between two runs
                return None
            if not job.is_unwanted:
                return job

    def _tell_of(self, jobs: list[Job[Any]]) -> None:
        try:
            self._loop.call_soon_threadsafe(_tell, jobs)
        except RuntimeError:  # the loop was closed: nobody waits any more
            return


def _tell(jobs: list[Job[Any]]) -> None:
    for job in jobs:
        if not job.done.done():  # canceled meanwhile
            job.done.set_result(None)
