"""Real SQLite and the real transactions, run inline on the caller: what happens in one of them happens at once."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import select

from sewapay.adapters.sql import tables
from sewapay.adapters.sql.errors import RunAgain
from sewapay.adapters.sql.group_commit import GroupCommit
from sewapay.adapters.sql.migrations import migrate
from sewapay.adapters.sql.session import Prepared
from sewapay.adapters.sql.sqlite_file import SqliteFile
from sewapay.adapters.sql.views import SqlView
from sewapay.adapters.sql.workers import Job
from sewapay.application.audit import Books
from sewapay.application.storage import Tx, View

__all__ = ["Database", "InlineStore", "a_template"]

T = TypeVar("T")

# Nothing of it has to outlive this process: durability is shown by the tests that kill real ones.
_FORGETFUL: Final = ("PRAGMA journal_mode=MEMORY", "PRAGMA synchronous=OFF")
_ROWS: Final[Mapping[str, Prepared]] = {
    "bookings": Prepared(select(tables.bookings)),
    "payments": Prepared(select(tables.payments)),
    "events": Prepared(select(tables.events)),
    "observations": Prepared(select(tables.observations)),
    "refunds": Prepared(select(tables.refunds)),
    "entries": Prepared(select(tables.ledger_entries)),
    "answers": Prepared(select(tables.answers)),
}


def a_template(folder: Path) -> Path:
    """A migrated, empty file, to be copied for each world."""
    path = folder / "template.db"
    migrate(f"sqlite:///{path}")
    return path


class Database:
    """One file, and the time that it goes by."""

    def __init__(self, template: Path, now: Callable[[], datetime]) -> None:
        self.path = template.with_name("world.db")
        for end in ("", "-wal", "-shm", "-journal"):
            self.path.with_name(f"world.db{end}").unlink(missing_ok=True)
        shutil.copyfile(template, self.path)
        self._now = now
        self._file = SqliteFile(self.path, _FORGETFUL, busy_seconds=0)
        self._writer = GroupCommit(self._file, now)

    @property
    def commits(self) -> int:
        return self._writer.commits

    def transact(self, work: Callable[[Tx], T], *, runs_twice: bool = False) -> T:
        """Run it and commit. `runs_twice`: facts changed underneath, so the function is run once more."""
        runs = 0

        def again(tx: Tx) -> T:
            nonlocal runs
            runs += 1
            result = work(tx)
            if runs_twice and runs == 1:
                raise RunAgain("somebody else was faster")
            return result

        job: Job[T] = Job(again, asyncio.get_running_loop().create_future())
        self._writer.run(job, lambda: None)
        return job.outcome()

    def read(self, work: Callable[[View], T]) -> T:
        self._file.begin("BEGIN")
        try:
            return work(SqlView(self._file.session()))
        finally:
            self._file.execute("COMMIT")

    def books(self) -> Books:
        """Everything that is stored."""
        self._file.begin("BEGIN")
        try:
            session = self._file.session()
            rows = {name: session.rows(every, {}) for name, every in _ROWS.items()}
        finally:
            self._file.execute("COMMIT")
        return Books(
            time=self._now(),
            bookings=rows["bookings"],
            payments=rows["payments"],
            events=rows["events"],
            observations=rows["observations"],
            refunds=rows["refunds"],
            entries=rows["entries"],
            answers=rows["answers"],
        )

    def close(self) -> None:
        self._file.close()


class InlineStore:
    """A store over the database, for a shop that is one process."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> None:
        return

    async def close(self) -> None:
        return

    async def ping(self) -> None:
        return

    async def transact(self, work: Callable[[Tx], T]) -> T:
        return self._database.transact(work)

    async def read(self, work: Callable[[View], T]) -> T:
        return self._database.read(work)
