"""One thread's connection to an SQLite file, and how its transactions begin and end."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from sewapay.adapters.sql.errors import sqlite_name
from sewapay.adapters.sql.session import Ordered, Session, from_json, to_json
from sewapay.application.errors import StoreUnavailable

__all__ = ["READING", "WRITING", "SqliteFile", "connect_to_file"]

EVERYWHERE: Final = ("PRAGMA foreign_keys=ON", "PRAGMA trusted_schema=OFF", "PRAGMA cache_size=-4096")
# A commit is on the disk when it returns (sqlite.org/pragma.html#pragma_synchronous); on macOS only with fullfsync.
WITH_A_LOG: Final = "PRAGMA journal_mode=WAL"
WRITING: Final = (
    WITH_A_LOG,
    "PRAGMA synchronous=FULL",
    "PRAGMA fullfsync=ON",
    "PRAGMA checkpoint_fullfsync=ON",
    "PRAGMA journal_size_limit=67108864",
)
READING: Final = ("PRAGMA query_only=ON", "PRAGMA cache_size=-2048")

_DIALECT: Final = SQLiteDialect_pysqlite(json_serializer=to_json, json_deserializer=from_json)
_HEALTHY: Final = frozenset({"SQLITE_BUSY", "SQLITE_FULL"})  # the connection is as good as before


def connect_to_file(path: Path, *, busy_seconds: float, may_create: bool = False) -> sqlite3.Connection:
    """A connection that begins and ends no transaction by itself. Raises `sqlite3.Error`."""
    address = f"file:{quote(str(path))}?mode={'rwc' if may_create else 'rw'}"
    return sqlite3.connect(address, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)


class SqliteFile:
    """A connection that is opened when it is needed, and anew after a failure that may have harmed it."""

    def __init__(self, path: Path, pragmas: Iterable[str], *, busy_seconds: float) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._pragmas = (*EVERYWHERE, *pragmas)
        self._connection: sqlite3.Connection | None = None

    def begin(self, statement: str) -> None:
        """Begin a transaction with this statement. Raises `sqlite3.Error`, `StoreUnavailable`."""
        if self._connection is None:
            self._connection = self._open()
        self._connection.execute(statement)

    def session(self) -> Session:
        """What one function runs its statements through, inside the transaction that was begun."""
        return Session(_DIALECT, _SqliteDriver(self._required()))

    def execute(self, statement: str) -> None:
        """Run one of `SAVEPOINT`, `RELEASE`, `COMMIT` and their like. Raises `sqlite3.Error`."""
        self._required().execute(statement)

    @property
    def is_in_transaction(self) -> bool:
        """Whether the transaction that was begun is still there: some errors roll it back without a word."""
        return self._connection is not None and self._connection.in_transaction

    def give_up(self, error: BaseException) -> None:
        """Roll back what is left; let go of the connection unless the error says that it is as good as before."""
        is_healthy = not isinstance(error, sqlite3.Error) or sqlite_name(error) in _HEALTHY
        try:
            if self.is_in_transaction:
                self.execute("ROLLBACK")
        except sqlite3.Error:
            is_healthy = False
        if not is_healthy:
            self.close()

    def close(self) -> None:
        """Let go of the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _required(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("no connection is open")
        return self._connection

    def _open(self) -> sqlite3.Connection:
        connection = connect_to_file(self._path, busy_seconds=self._busy_seconds)
        try:
            answers = {pragma: connection.execute(pragma).fetchone() for pragma in self._pragmas}
            if answers.get(WITH_A_LOG, ("wal",)) != ("wal",):
                raise StoreUnavailable("the database's file system does not allow SQLite's write-ahead log")
        except BaseException:
            connection.close()
            raise
        return connection


class _SqliteDriver:
    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def fetch(self, sql: str, values: Ordered) -> Sequence[Sequence[Any]]:
        return self._connection.execute(sql, values).fetchall()

    def write(self, sql: str, values: Ordered) -> int:
        return self._connection.execute(sql, values).rowcount

    def write_all(self, sql: str, values: Sequence[Ordered]) -> None:
        self._connection.executemany(sql, values)
