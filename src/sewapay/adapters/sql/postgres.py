"""The store on a PostgreSQL server: asyncpg, one connection a transaction, `READ COMMITTED` with the booking locked.

- A whole transaction runs in one `run_sync`: its statements are plain calls, and nothing in it can await a gateway.
- It runs in a task of its own that nobody cancels: a caller that goes away leaves no transaction open, and none half.
- What PostgreSQL gives up to let others through (deadlock, serialization failure) is run again from the start; so is
  a transaction whose connection broke before its commit was sent.
- A connection that was closed while it lay in the pool is not handed out: asyncpg knows it without asking the server.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import asyncpg
from sqlalchemy import URL, Connection, event
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from sewapay.adapters.sql.errors import MOST_RUNS, as_told, is_lost, is_worth_another_run
from sewapay.adapters.sql.session import Ordered, Session, from_json, to_json
from sewapay.adapters.sql.transaction import SqlTx
from sewapay.adapters.sql.views import SqlView
from sewapay.application.errors import StoreUnavailable
from sewapay.application.storage import Tx, View

__all__ = ["PostgresStore"]

T = TypeVar("T")

CONNECTIONS: Final = 16
SECONDS_FOR_A_CONNECTION: Final = 5.0
SECONDS_FOR_A_STATEMENT: Final = 10.0
WRITING: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_ON_THE_SERVER: Final = {
    "application_name": "sewapay",
    "lock_timeout": "5s",
    "statement_timeout": "9s",
    "idle_in_transaction_session_timeout": "15s",  # what a machine that vanished leaves behind
    "synchronous_commit": "on",  # whatever the server's default: what is acknowledged is on the disk
    "TimeZone": "UTC",
    "jit": "off",  # its start costs more than our statements
}


class PostgresStore:
    """Bookings, payments and their events on a server. Opened inside the event loop that uses it.

    `connections`: how many it may hold; what comes on top waits for at most `SECONDS_FOR_A_CONNECTION`.
    """

    def __init__(self, url: URL, *, connections: int = CONNECTIONS) -> None:
        self._url = url
        self._connections = connections
        self._engine: AsyncEngine | None = None
        self._running: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Make the pool. The server is asked when it is first needed."""
        if self._engine is None:
            self._engine = create_async_engine(
                self._url,
                pool_size=self._connections,
                max_overflow=0,
                pool_timeout=SECONDS_FOR_A_CONNECTION,
                hide_parameters=True,
                json_serializer=to_json,
                json_deserializer=from_json,
                connect_args={
                    "timeout": SECONDS_FOR_A_CONNECTION,
                    "command_timeout": SECONDS_FOR_A_STATEMENT,
                    "server_settings": _ON_THE_SERVER,
                },
            )
            event.listen(self._engine.sync_engine, "checkout", _require_open)

    async def close(self) -> None:
        """Finish what runs, then let go of all connections."""
        engine, self._engine = self._engine, None
        while self._running:
            await asyncio.wait(self._running)
        if engine is not None:
            await engine.dispose()

    async def ping(self) -> None:
        """Run a transaction that changes nothing. Raises `StoreUnavailable`."""
        await self.transact(lambda tx: tx.api_keys.find(""))

    async def transact(self, work: Callable[[Tx], T]) -> T:
        """Run `work` as one transaction; it is durable when this returns. Raises `StoreUnavailable`."""

        def run(session: Session) -> T:
            tx = SqlTx(session)
            result = work(tx)
            tx.finish()
            return result

        return await self._undisturbed(WRITING, run)

    async def read(self, work: Callable[[View], T]) -> T:
        """Run `work` on one committed state. Raises `StoreUnavailable`."""
        return await self._undisturbed(READING, lambda session: work(SqlView(session)))

    async def _undisturbed(self, begin: str, work: Callable[[Session], T]) -> T:
        """Let it run to its end even when the caller is canceled."""
        if self._engine is None:
            raise StoreUnavailable("the database is closed")
        task = asyncio.create_task(_run(self._engine, begin, work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)


async def _run(engine: AsyncEngine, begin: str, work: Callable[[Session], T]) -> T:
    for run in range(MOST_RUNS):
        if run:
            await asyncio.sleep(random.uniform(0, 0.01 * 2**run))  # noqa: S311 (so that two do not meet again)
        attempt = _Attempt(begin, work)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(attempt)
        except Exception as error:
            if run == MOST_RUNS - 1 or not attempt.may_run_again(error):
                raise attempt.as_told(error)  # noqa: B904 (it carries its cause)
    raise AssertionError("the last run returns or raises")


class _Attempt(Generic[T]):
    """One run of a transaction's function, and how far it came."""

    def __init__(self, begin: str, work: Callable[[Session], T]) -> None:
        self._begin = begin
        self._work = work
        self._commit_was_sent = False
        self._connection_is_lost = False

    def __call__(self, connection: Connection) -> T:
        driver = _PostgresDriver(connection.connection.dbapi_connection)
        try:
            driver.execute(self._begin)
            result = self._work(Session(connection.dialect, driver))
            self._commit_was_sent = True
            driver.execute("COMMIT")
        except BaseException as error:
            self._leave(connection, driver, error)
            raise
        return result

    def may_run_again(self, error: BaseException) -> bool:
        """Whether nothing was kept, and another run may fare better.

        A connection that breaks after the commit was sent leaves open whether there was a commit: that is not run
        again.
        """
        if self._connection_is_lost:
            return not self._commit_was_sent
        return is_worth_another_run(error)

    def as_told(self, error: Exception) -> BaseException:
        """What the caller is told. asyncpg has no code of its own for a connection that is closed or out of step."""
        if self._connection_is_lost and isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
            error = ConnectionResetError(str(error))
        return as_told(error)

    def _leave(self, connection: Connection, driver: "_PostgresDriver", error: BaseException) -> None:
        """Roll back, or drop a connection that cannot: the server rolls back then.

        A server that ends a connection in the pool says so on it before it closes it; a statement that meets those
        words finds asyncpg out of step.
        """
        is_out_of_step = isinstance(error, asyncpg.InternalClientError)
        self._connection_is_lost = is_lost(error) or driver.is_closed or is_out_of_step
        is_clean = False
        try:
            if not self._connection_is_lost:
                driver.execute("ROLLBACK")
                is_clean = True
        except Exception:
            self._connection_is_lost = True
        finally:
            if not is_clean:
                connection.invalidate(error)


class _PostgresDriver:
    """asyncpg, called from inside `run_sync`."""

    __slots__ = ("_adapted",)

    def __init__(self, connection: object) -> None:
        if not isinstance(connection, AdaptedConnection):
            raise TypeError("the engine's driver is not asyncpg")
        self._adapted = connection

    @property
    def is_closed(self) -> bool:
        return bool(self._adapted.driver_connection.is_closed())

    def execute(self, statement: str) -> None:
        self._adapted.run_async(lambda raw: raw.execute(statement))

    def fetch(self, sql: str, values: Ordered) -> Sequence[Sequence[Any]]:
        rows: Sequence[Sequence[Any]] = self._adapted.run_async(lambda raw: raw.fetch(sql, *values))
        return rows

    def write(self, sql: str, values: Ordered) -> int:
        said: str = self._adapted.run_async(lambda raw: raw.execute(sql, *values))
        return int(said.rpartition(" ")[2])  # "UPDATE 1", "INSERT 0 1"

    def write_all(self, sql: str, values: Sequence[Ordered]) -> None:
        self._adapted.run_async(lambda raw: raw.executemany(sql, values))


def _require_open(connection: AdaptedConnection, *_: object) -> None:
    """A server that was restarted has closed every connection in the pool: none of them is handed out."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError
