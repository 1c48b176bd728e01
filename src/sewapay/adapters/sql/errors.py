"""What databases raise, sorted by what can be done about it.

Nothing here shows a statement's values: engines are made with `hide_parameters`.
"""

import sqlite3
from collections.abc import Callable
from functools import wraps
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from sewapay.application.errors import StoreUnavailable
from sewapay.domain.errors import SewapayError

__all__ = [
    "MOST_RUNS",
    "RunAgain",
    "StaleVersion",
    "UnreadableRow",
    "as_told",
    "is_lost",
    "is_worth_another_run",
    "of_a_row",
    "sqlite_name",
    "sqlstate",
    "unavailable",
    "violates",
]

R = TypeVar("R")
E = TypeVar("E")

MOST_RUNS: Final = 5
"""How often a transaction is run when what it was built on changes underneath."""

NOT_MIGRATED: Final = "the database does not have this version's tables: run `sewapay migrate`"

_SQLITE_AWAY: Final = {
    "SQLITE_BUSY": "the database is locked by another process",
    "SQLITE_LOCKED": "the database is locked",
    "SQLITE_FULL": "the database's disk is full",
    "SQLITE_READONLY": "the database is read-only",
    "SQLITE_IOERR": "the database's disk failed to read or write",
    "SQLITE_CANTOPEN": "the database file cannot be opened: run `sewapay migrate` if there is none yet",
    "SQLITE_NOTADB": "the database file is not an SQLite database",
    "SQLITE_CORRUPT": "the database file is damaged",
    "SQLITE_PROTOCOL": "the database is locked by another process",
    "SQLITE_NOMEM": "the database ran out of memory",
    "SQLITE_PERM": "the database file may not be used by this user",
    "SQLITE_INTERRUPT": "the database was interrupted",
}

_NOT_UNIQUE: Final = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"})

# SQLSTATEs and their classes (PostgreSQL's manual, appendix A).
_UNIQUE_VIOLATION: Final = "23505"
_RUN_AGAIN: Final = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
_POSTGRES_AWAY: Final = {
    "08": "the connection to the database broke",
    "25P03": "the database ended a transaction that took too long",
    "25006": "the database is read-only",
    "28": "the database refused our user or password",
    "3D000": "the database does not exist on its server",
    "42P01": NOT_MIGRATED,
    "42703": NOT_MIGRATED,
    "53": "the database has no room, memory or connection left",
    "55000": "the database takes no connections right now",
    "55P03": "the database kept a lock for too long",
    "57": "the database is stopping, starting, or canceled the request",
    "58": "the database's disk failed",
    "F0": "the database's own files are damaged",
}


class RunAgain(Exception):
    """What a transaction was built on has changed underneath: its function is to be run again from the start."""


class StaleVersion(RunAgain):
    """An entity was saved whose version is not the stored one any more."""


class UnreadableRow(Exception):
    """A stored row that no entity can be made of: a damaged file, or a hand in the database; nobody who asks did it."""


def of_a_row(read: Callable[[R], E]) -> Callable[[R], E]:
    """A reader of rows, whose complaints are about the row and not about whoever asked for it."""

    @wraps(read)
    def reading(row: R) -> E:
        try:
            return read(row)
        except SewapayError as error:
            raise UnreadableRow(str(error)) from error

    return reading


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's five-character code, if this is an error of its driver."""
    original = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(original, "sqlstate", None)
    return state if isinstance(state, str) else None


def sqlite_name(error: BaseException) -> str:
    """The name of SQLite's primary result code (sqlite.org/rescode.html); empty for other errors."""
    original = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(original, "sqlite_errorname", "")
    return "_".join(str(name).split("_")[:2])


def violates(error: BaseException, column: str) -> bool:
    """Whether a uniqueness with this column in it was broken: SQLite names columns, PostgreSQL the constraint."""
    original = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(original, "sqlite_errorname", None)
    if name not in _NOT_UNIQUE and sqlstate(error) != _UNIQUE_VIOLATION:
        return False
    return column in str(original).partition("DETAIL")[0]


def is_worth_another_run(error: BaseException) -> bool:
    """Whether running the whole transaction again may well succeed."""
    if isinstance(error, RunAgain) or sqlstate(error) in _RUN_AGAIN:
        return True
    return violates(error, "events")  # two transactions gave the same sequence: one did not hold the booking


def is_lost(error: BaseException) -> bool:
    """Whether the connection to the server is gone. One that only did not answer in time is not."""
    state = sqlstate(error) or ""
    return state.startswith(("08", "57P")) or (isinstance(error, OSError) and not isinstance(error, TimeoutError))


def unavailable(error: BaseException) -> StoreUnavailable | None:
    """The error as callers know it; None when it says nothing about the database being usable."""
    if isinstance(error, StoreUnavailable):
        return error
    if is_worth_another_run(error):
        return StoreUnavailable("this is being changed by others all the time: ask again in a moment")
    if isinstance(error, PoolTimeout):
        return StoreUnavailable("all connections to the database are busy")
    if isinstance(error, TimeoutError):
        return StoreUnavailable("the database did not answer in time")
    if isinstance(error, OSError):
        return StoreUnavailable("the database cannot be reached")
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        return _sqlite_unavailable(original)
    state = sqlstate(error)
    if state is not None:
        why = _POSTGRES_AWAY.get(state) or _POSTGRES_AWAY.get(state[:2])
        return StoreUnavailable(why) if why else None
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return StoreUnavailable("the connection to the database broke")
    return None


def as_told(error: BaseException) -> BaseException:
    """What the caller is told: `StoreUnavailable` where that is what it means, else the error itself."""
    away = unavailable(error)
    if away is None:
        return error
    if away is not error:
        away.__cause__ = error
    return away


def _sqlite_unavailable(error: sqlite3.Error) -> StoreUnavailable | None:
    name = sqlite_name(error)
    if name == "SQLITE_ERROR" and ("no such table" in str(error) or "no such column" in str(error)):
        return StoreUnavailable(NOT_MIGRATED)
    why = _SQLITE_AWAY.get(name)
    return StoreUnavailable(why) if why else None
