"""Rows changed by hand, in either kind of database: time that passed, a lease that ran out, a row that was spoilt."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import asyncpg

__all__ = ["change", "fetch", "some_minutes_pass"]


async def change(url: str, statement: str, *values: object) -> None:
    """Run one statement with `$1`, `$2` ... in it, and commit. Times are aware."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10)) as file, file:
            file.execute(_for_sqlite(statement), [_as_text(value) for value in values])
        return
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


async def fetch(url: str, query: str, *values: object) -> list[tuple[object, ...]]:
    """The rows of one query with `$1`, `$2` ... in it."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10)) as file:
            return file.execute(_for_sqlite(query), [_as_text(value) for value in values]).fetchall()
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return [tuple(row) for row in await connection.fetch(query, *values)]
    finally:
        await connection.close()


async def some_minutes_pass(url: str) -> None:
    """Whatever was cut off, was cut off a while ago: an opening, and a request with a key."""
    a_while_ago = datetime.now(UTC) - timedelta(minutes=5)
    await change(url, "UPDATE answers SET begun_at = $1 WHERE status IS NULL", a_while_ago)
    await change(url, "UPDATE payments SET created_at = $1 WHERE status = 'created'", a_while_ago)


def _for_sqlite(statement: str) -> str:
    return statement.replace("$", "?")


def _as_text(value: object) -> object:
    return value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value
