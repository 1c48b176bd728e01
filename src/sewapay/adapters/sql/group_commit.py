"""Group commit: transactions that wait together run one after another and share one commit, so one `fsync`.

Each runs in a savepoint, so an error of one rolls back that one alone. A full disk or a failed read or write is
another matter: SQLite then rolls the whole transaction back without a word (sqlite.org/lang_transaction.html,
"Response to errors within a transaction"). So after every function we look whether the transaction is still there. When
it is gone, or when the commit fails, nothing of the group was kept and nobody was told otherwise: each of the group is
then run again in a transaction of its own.

Every transaction begins with `BEGIN IMMEDIATE`: one that reads first and writes later fails at once when another
process has written meanwhile, whatever the timeout.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from sewapay.adapters.sql.errors import MOST_RUNS, as_told, is_worth_another_run
from sewapay.adapters.sql.sqlite_file import SqliteFile
from sewapay.adapters.sql.transaction import SqlTx
from sewapay.adapters.sql.workers import Job

__all__ = ["GroupCommit"]

MOST_TOGETHER: Final = 64

TakeNow = Callable[[], "Job[Any] | None"]


class _TransactionGone(Exception):
    """The transaction around the savepoints was rolled back, with everything in it."""


class GroupCommit:
    """The one writer of a file. Used by one thread. `now` is what a transaction is told as the database's time."""

    def __init__(self, file: SqliteFile, now: Callable[[], datetime]) -> None:
        self._file = file
        self._now = now
        self.commits = 0
        """How many commits there were."""

    def run(self, first: Job[Any], take_now: TakeNow) -> list[Job[Any]]:
        """Run `first` and those that wait as one group; returns them once their outcome is durable."""
        try:
            self._file.begin("BEGIN IMMEDIATE")
        except Exception as error:
            self._file.give_up(error)
            return _fail([first, *_all(take_now)], error)
        group: list[Job[Any]] = []
        job: Job[Any] | None = first
        try:
            while job is not None:
                group.append(job)
                self._run_one(job)
                job = take_now() if len(group) < MOST_TOGETHER else None
            self._commit()
        except Exception as error:
            cause = error.__cause__ or error
            self._file.give_up(cause)
            return self._run_apart(group) if len(group) > 1 else _fail(group, cause)
        return group

    def close(self) -> None:
        """Let go of the connection."""
        self._file.close()

    def _commit(self) -> None:
        self._file.execute("COMMIT")
        self.commits += 1

    def _run_one(self, job: Job[Any]) -> None:
        """Run a job in a savepoint. Its own errors are its outcome; raises when the whole transaction is gone."""
        for _ in range(MOST_RUNS):
            self._file.execute("SAVEPOINT one")
            tx = SqlTx(self._file.session(), now=self._now)
            try:
                job.error = None
                job.result = job.work(tx)
                tx.finish()
            except BaseException as error:
                if not self._file.is_in_transaction:
                    raise _TransactionGone from error
                self._file.execute("ROLLBACK TO one")
                self._file.execute("RELEASE one")
                job.error = as_told(error)
                if is_worth_another_run(error):
                    continue
                return
            self._file.execute("RELEASE one")
            return

    def _run_apart(self, group: list[Job[Any]]) -> list[Job[Any]]:
        """Run each in a transaction of its own. The first that cannot even begin fails those after it too."""
        for place, job in enumerate(group):
            try:
                self._file.begin("BEGIN IMMEDIATE")
            except Exception as error:
                self._file.give_up(error)
                _fail(group[place:], error)
                break
            try:
                self._run_one(job)
                self._commit()
            except Exception as error:
                cause = error.__cause__ or error
                self._file.give_up(cause)
                _fail([job], cause)
        return group


def _all(take_now: TakeNow) -> list[Job[Any]]:
    """Everybody who waits: each would only wait as long again for the same answer."""
    return list(iter(take_now, None))


def _fail(jobs: list[Job[Any]], error: BaseException) -> list[Job[Any]]:
    for job in jobs:
        job.error = as_told(error)
    return jobs
