"""The store in an SQLite file: one writer that commits in groups, and readers on connections of their own."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from sewapay.adapters.sql.errors import as_told
from sewapay.adapters.sql.group_commit import GroupCommit
from sewapay.adapters.sql.sqlite_file import READING, WRITING, SqliteFile
from sewapay.adapters.sql.views import SqlView
from sewapay.adapters.sql.workers import Job, Workers
from sewapay.application.errors import StoreUnavailable
from sewapay.application.storage import Tx, View

__all__ = ["SqliteStore", "utc_now"]

T = TypeVar("T")

READERS: Final = 2
BUSY_SECONDS: Final = 5.0


def utc_now() -> datetime:
    """This machine's time, in UTC."""
    return datetime.now(UTC)


class SqliteStore:
    """Bookings, payments and their events in one file. Opened inside the event loop that uses it.

    `busy_seconds`: how long another process may hold the file before a transaction is given up. `now` (UTC): a file
    has no clock of its own, and belongs to one machine; so that machine's clock is the database's time.
    """

    def __init__(
        self, path: Path, *, busy_seconds: float = BUSY_SECONDS, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._now = now
        self._group_commit: GroupCommit | None = None
        self._writer: Workers | None = None
        self._readers: Workers | None = None

    async def open(self) -> None:
        """Start the threads. The file itself is opened when it is first needed, and again after it was away."""
        if self._writer is None:
            self._group_commit = GroupCommit(self._file(WRITING), self._now)
            self._writer = Workers("sewapay-writer", [self._group_commit])
            self._readers = Workers("sewapay-reader", [_Reader(self._file(READING)) for _ in range(READERS)])

    async def close(self) -> None:
        """Finish what waits, then let go of the file."""
        writer, self._writer = self._writer, None
        readers, self._readers = self._readers, None
        for workers in (writer, readers):
            if workers is not None:
                await workers.close()

    async def ping(self) -> None:
        """Begin and end a transaction that changes nothing, and read. Raises `StoreUnavailable`."""
        await self.transact(lambda tx: tx.api_keys.find(""))
        await self.read(lambda view: view.api_keys.find(""))

    @property
    def commits(self) -> int:
        """How many commits there were since it was opened: each waits for the disk once."""
        return 0 if self._group_commit is None else self._group_commit.commits

    async def transact(self, work: Callable[[Tx], T]) -> T:
        """Run `work` as one transaction; it is on the disk when this returns. Raises `StoreUnavailable`."""
        if self._writer is None:
            raise StoreUnavailable("the database is closed")
        return await self._writer.run(work)

    async def read(self, work: Callable[[View], T]) -> T:
        """Run `work` on the last committed state. Raises `StoreUnavailable`."""
        if self._readers is None:
            raise StoreUnavailable("the database is closed")
        return await self._readers.run(work)

    def _file(self, pragmas: tuple[str, ...]) -> SqliteFile:
        return SqliteFile(self.path, pragmas, busy_seconds=self._busy_seconds)


class _Reader:
    """Runs reading functions, each on one state of the file: what is committed meanwhile is not seen."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def run(self, first: Job[Any], take_now: Callable[[], Job[Any] | None]) -> list[Job[Any]]:
        """Run the first alone: nobody waits for another's reading."""
        try:
            self._file.begin("BEGIN")
            first.result = first.work(SqlView(self._file.session()))
            self._file.execute("COMMIT")
        except BaseException as error:
            first.error = as_told(error)
            self._file.give_up(error)
        return [first]

    def close(self) -> None:
        """Let go of the connection."""
        self._file.close()
