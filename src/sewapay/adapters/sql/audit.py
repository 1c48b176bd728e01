"""All that is stored, for an audit: read in one transaction, some bookings at a time, as rows and not as entities.

A value that cannot be read as what its column holds stays as it is: saying so is the audit's business.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg
import msgspec
from attrs import frozen
from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    NullPool,
    and_,
    bindparam,
    exists,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from sewapay.adapters.sql.errors import as_told
from sewapay.adapters.sql.rows import Row, Values
from sewapay.adapters.sql.session import Ordered, Prepared, from_json, to_json
from sewapay.adapters.sql.sqlite_file import READING, connect_to_file
from sewapay.adapters.sql.tables import answers, bookings, events, ledger_entries, observations, payments, refunds
from sewapay.adapters.sql.urls import PostgresAddress, read_address
from sewapay.application.audit import Books, Twice, named_in

__all__ = ["Shelves", "read_shelves"]

T = TypeVar("T")

BOOKINGS_AT_ONCE: Final = 500
NAMES_AT_ONCE: Final = 100
SECONDS_TO_CONNECT: Final = 10.0
BUSY_SECONDS: Final = 5.0
BEFORE_ALL: Final = -(2**63)
AFTER_ALL: Final = 2**63 - 1
STRAYS_SHOWN: Final = 100

_Fetch: TypeAlias = Callable[[str, Ordered], Sequence[Sequence[Any]]]
_SQLITE: Final = SQLiteDialect_pysqlite(json_serializer=to_json, json_deserializer=from_json)

_AFTER: Final = bindparam("after", type_=bookings.c.id.type)
_UP_TO: Final = bindparam("up_to", type_=bookings.c.id.type)


def _within(column: Column[int]) -> ColumnElement[bool]:
    return and_(column > _AFTER, column <= _UP_TO)


_OURS: Final = select(payments.c.id).where(_within(payments.c.booking_id))


def _owned(owner: Column[str]) -> ColumnElement[bool]:
    return owner.in_(_OURS)


def _stray(owner: Column[str]) -> ColumnElement[bool]:
    return ~exists().where(payments.c.id == owner)


_BOOKINGS: Final = Prepared(
    select(bookings).where(_within(bookings.c.id)).order_by(bookings.c.id).limit(BOOKINGS_AT_ONCE)
)
_PAYMENTS: Final = Prepared(
    select(payments).where(_within(payments.c.booking_id)).order_by(payments.c.booking_id, payments.c.created_at)
)
_EVENTS: Final = Prepared(
    select(events).where(_within(events.c.booking_id)).order_by(events.c.booking_id, events.c.sequence)
)
_OBSERVATIONS: Final = Prepared(
    select(observations).where(_owned(observations.c.payment_id)).order_by(observations.c.id)
)
_REFUNDS: Final = Prepared(select(refunds).where(_owned(refunds.c.payment_id)).order_by(refunds.c.requested_at))
_ENTRIES: Final = Prepared(select(ledger_entries).where(_owned(ledger_entries.c.payment_id)))
_STRAY_OBSERVATIONS: Final = Prepared(select(observations).where(_stray(observations.c.payment_id)).limit(STRAYS_SHOWN))
_STRAY_REFUNDS: Final = Prepared(select(refunds).where(_stray(refunds.c.payment_id)).limit(STRAYS_SHOWN))
_STRAY_ENTRIES: Final = Prepared(select(ledger_entries).where(_stray(ledger_entries.c.payment_id)).limit(STRAYS_SHOWN))
_KEY: Final = (answers.c.principal, answers.c.operation, answers.c.key)
_ANSWERS: Final = Prepared(
    select(answers)
    .where(tuple_(*_KEY) > tuple_(*(bindparam(column.name, type_=column.type) for column in _KEY)))
    .order_by(*_KEY)
    .limit(BOOKINGS_AT_ONCE)
)
_SETTLES: Final = exists().where(bookings.c.id == payments.c.booking_id, bookings.c.settled_by == payments.c.id)
_BY_DECISION: Final = exists().where(
    events.c.booking_id == payments.c.booking_id,
    events.c.payment_id == payments.c.id,
    events.c.kind == "payment.completed",
    events.c.actor != "gateway",
)


def _twice(column: Column[str], *which: ColumnElement[bool]) -> Prepared:
    name = func.min(column).label("name")
    return Prepared(
        select(
            literal(column.name).label("column"),
            name,
            func.min(payments.c.id).label("first"),
            func.max(payments.c.id).label("last"),
        )
        .where(column.is_not(None), *which)
        .group_by(payments.c.gateway, payments.c.environment, column)
        .having(func.count() > 1)
    )


_TWICE: Final = (
    _twice(payments.c.gateway_reference),
    _twice(payments.c.order_reference),
    _twice(payments.c.transaction_id, _SETTLES, ~_BY_DECISION),
)


def _among(column: Column[Any]) -> Prepared:
    names = [bindparam(f"name_{place}", type_=column.type) for place in range(NAMES_AT_ONCE)]
    return Prepared(select(column.label("name")).where(column.in_(names)))


_NAMED: Final = {
    "booking": _among(bookings.c.id),
    "payment": _among(payments.c.id),
    "reference": _among(payments.c.gateway_reference),
    "refund": _among(refunds.c.id),
}


@frozen
class Shelves:
    """A database, inside one transaction that only reads. Constant memory, however much there is."""

    _fetch: _Fetch
    _dialect: Dialect
    time: datetime

    def books(self) -> Iterator[Books]:
        """Everything, whole bookings at a time, then the kept answers, then rows that hang on no payment."""
        after = BEFORE_ALL
        while True:
            batch = self._rows(_BOOKINGS, {"after": after, "up_to": AFTER_ALL})
            is_last = len(batch) < BOOKINGS_AT_ONCE
            up_to = AFTER_ALL if is_last else batch[-1]["id"]
            yield self._of(batch, {"after": after, "up_to": up_to})
            if is_last:
                break
            after = up_to
        yield from self._answers()
        strays = Books(
            time=self.time,
            observations=self._rows(_STRAY_OBSERVATIONS, {}),
            refunds=self._rows(_STRAY_REFUNDS, {}),
            entries=self._rows(_STRAY_ENTRIES, {}),
        )
        if strays.observations or strays.refunds or strays.entries:
            yield strays

    def twice(self) -> list[Twice]:
        """Names that stand on several payments, two of which are named."""
        return [
            Twice(column=row["column"], name=row["name"], payments=(row["first"], row["last"]))
            for statement in _TWICE
            for row in self._rows(statement, {})
        ]

    def _of(self, batch: list[Row], part: Values) -> Books:
        return Books(
            time=self.time,
            bookings=batch,
            payments=self._rows(_PAYMENTS, part),
            events=self._rows(_EVENTS, part),
            observations=self._rows(_OBSERVATIONS, part),
            refunds=self._rows(_REFUNDS, part),
            entries=self._rows(_ENTRIES, part),
        )

    def _answers(self) -> Iterator[Books]:
        after: Values = {"principal": "", "operation": "", "key": ""}
        while kept := self._rows(_ANSWERS, after):
            yield Books(time=self.time, answers=kept, known=self._known(kept))
            after = {column.name: kept[-1][column.name] for column in _KEY}

    def _known(self, kept: list[Row]) -> frozenset[tuple[str, str]]:
        """What of the things that these answers name is stored."""
        known: set[tuple[str, str]] = set()
        for kind, statement in _NAMED.items():
            names = sorted({name for row in kept for of, name in named_in(row) if of == kind})
            for start in range(0, len(names), NAMES_AT_ONCE):
                some = names[start : start + NAMES_AT_ONCE]
                some += some[-1:] * (NAMES_AT_ONCE - len(some))
                values = {f"name_{place}": int(name) if kind == "booking" else name for place, name in enumerate(some)}
                known |= {(kind, str(row["name"])) for row in self._rows(statement, values)}
        return frozenset(known)

    def _rows(self, prepared: Prepared, values: Mapping[str, object]) -> list[Row]:
        form = prepared.on(self._dialect)
        given = self._fetch(form.sql, form.ordered({**form.constants, **values}))
        rows = []
        for each in given:
            row = dict(zip(form.names, each, strict=True))
            for name, convert in form.converted:
                row[name] = _read(row[name], convert)
            rows.append(row)
        return rows


def _read(value: Any, convert: Callable[[Any], Any]) -> Any:
    try:
        return None if value is None else convert(value)
    except (TypeError, ValueError, msgspec.MsgspecError):
        return value


async def read_shelves(url: str, look: Callable[[Shelves], T]) -> T:
    """What `look` finds in the database at this address. Raises `UnusableSetting`, `StoreUnavailable`."""
    address = read_address(url)
    try:
        if isinstance(address, PostgresAddress):
            return await _from_server(address.url, look)
        with closing(connect_to_file(address.path, busy_seconds=BUSY_SECONDS)) as connection:
            return _from_file(connection, look)
    except (DBAPIError, OSError, sqlite3.Error, asyncpg.PostgresError) as error:
        raise as_told(error)  # noqa: B904 (it carries its cause)


async def _from_server(url: URL, look: Callable[[Shelves], T]) -> T:
    engine = create_async_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        json_serializer=to_json,
        json_deserializer=from_json,
        connect_args={"timeout": SECONDS_TO_CONNECT, "server_settings": {"TimeZone": "UTC", "jit": "off"}},
    )
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_read_all, look)
    finally:
        await engine.dispose()


def _read_all(connection: Connection, look: Callable[[Shelves], T]) -> T:
    adapted = connection.connection.dbapi_connection
    if not isinstance(adapted, AdaptedConnection):
        raise TypeError("the engine's driver is not asyncpg")

    def fetch(sql: str, values: Ordered) -> Sequence[Sequence[Any]]:
        rows: Sequence[Sequence[Any]] = adapted.run_async(lambda raw: raw.fetch(sql, *values))
        return rows

    adapted.run_async(lambda raw: raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    [(time,)] = fetch("SELECT clock_timestamp()", ())
    found = look(Shelves(fetch, connection.dialect, time.astimezone(UTC)))
    adapted.run_async(lambda raw: raw.execute("COMMIT"))
    return found


def _from_file(connection: sqlite3.Connection, look: Callable[[Shelves], T]) -> T:
    for statement in (*READING, "BEGIN"):
        connection.execute(statement)

    def fetch(sql: str, values: Ordered) -> Sequence[Sequence[Any]]:
        return connection.execute(sql, values).fetchall()

    return look(Shelves(fetch, _SQLITE, datetime.now(UTC)))
