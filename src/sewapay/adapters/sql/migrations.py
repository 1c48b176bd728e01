"""Bring a database's tables to this version's. Plain functions, usable inside and outside an event loop.

The scripts lie in `migrations/`, inside the package; the working directory does not matter. A migration happens as a
whole or not at all, and only one process migrates a database at a time.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from sewapay.adapters.sql.errors import as_told
from sewapay.adapters.sql.sqlite_file import WRITING, connect_to_file
from sewapay.adapters.sql.urls import PostgresAddress, SqliteAddress, read_address
from sewapay.application.errors import UnusableSetting

__all__ = ["current_revision", "downgrade", "head_revision", "migrate"]

T = TypeVar("T")

SCRIPTS: Final = Path(__file__).with_name("migrations")
SECONDS_TO_CONNECT: Final = 10.0
SECONDS_FOR_THE_FILE: Final = 30.0
_LOCK: Final = 0x73657761706179  # "sewapay": the advisory lock of whoever migrates
_ONE_AT_A_TIME: Final = threading.Lock()  # alembic keeps what it works on in globals of its own


def migrate(url: str, *, to: str = "head") -> None:
    """Bring the database at this address to `head_revision`; nothing happens when it is there.

    `to`: an older revision, for tests. Raises `UnusableSetting` for the address and for a newer version's database,
    `StoreUnavailable` when it is away.
    """

    def upgrade(connection: Connection) -> None:
        _known_revision(connection)
        command.upgrade(_config(connection), to)

    _on(url, upgrade, changes=True)


def downgrade(url: str, revision: str) -> None:
    """Take the tables back to a revision, and what was stored since is lost; `base` removes them all. For tests."""
    _on(url, lambda connection: command.downgrade(_config(connection), revision), changes=True)


def current_revision(url: str) -> str | None:
    """The revision that the database is at; None for one that was never migrated, or is not there yet.

    Raises `UnusableSetting` for the address and for a newer version's database, `StoreUnavailable` when a server is
    away.
    """
    address = read_address(url)
    if isinstance(address, SqliteAddress) and not address.path.exists():
        return None
    return _on(url, _known_revision, changes=False)


def head_revision() -> str:
    """The revision that this version of sewapay needs."""
    head = ScriptDirectory(str(SCRIPTS)).get_current_head()
    if head is None:
        raise LookupError("no migration is part of this installation")
    return head


def _known_revision(connection: Connection) -> str | None:
    """The revision that the database is at. Raises `UnusableSetting` for one that only a newer version knows."""
    revision = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory(str(SCRIPTS)).walk_revisions()}
    if revision is not None and revision not in known:
        raise UnusableSetting(
            "SEWAPAY_DATABASE_URL: this database is of a newer version of sewapay: install that version or a later one"
        )
    return revision


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _on(url: str, work: Callable[[Connection], T], *, changes: bool) -> T:
    """Run `work` in one transaction on that database, in a thread: a loop may be running in this one."""
    address = read_address(url)

    def run() -> T:
        with _ONE_AT_A_TIME:
            if isinstance(address, PostgresAddress):
                return asyncio.run(_on_postgres(address.url, work, changes=changes))
            return _on_sqlite(address.path, work, changes=changes)

    with ThreadPoolExecutor(1, "sewapay-migrate") as thread:
        try:
            return thread.submit(run).result()
        except (DBAPIError, OSError) as error:
            raise as_told(error)  # noqa: B904 (it carries its cause)


def _on_sqlite(path: Path, work: Callable[[Connection], T], *, changes: bool) -> T:
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: connect_to_file(path, busy_seconds=SECONDS_FOR_THE_FILE, may_create=changes),
        poolclass=NullPool,
        hide_parameters=True,
    )
    try:
        with engine.connect() as connection:
            for statement in (*WRITING, "BEGIN IMMEDIATE") if changes else ("BEGIN",):
                connection.exec_driver_sql(statement)
            result = work(connection)
            connection.commit()
            return result
    finally:
        engine.dispose()


async def _on_postgres(url: URL, work: Callable[[Connection], T], *, changes: bool) -> T:
    engine = create_async_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": SECONDS_TO_CONNECT}
    )
    try:
        async with engine.begin() as connection:
            if changes:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
                await connection.execute(text("SET LOCAL lock_timeout = '10s'"))  # do not queue the service behind us
            return await connection.run_sync(work)
    finally:
        await engine.dispose()
