"""How one transaction's statements are run: compiled by SQLAlchemy once, and run by the driver itself.

Running a statement through SQLAlchemy's connections costs 40 to 60 microseconds on top of SQLite, and on PostgreSQL as
much again as asyncpg itself; settling a payment takes eight. So a statement is built with SQLAlchemy and compiled when
a database first needs it; its text, the order of its values and their conversions are kept.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec
from attrs import frozen
from sqlalchemy import ColumnElement, Dialect, Executable, SelectBase, UpdateBase
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

from sewapay.adapters.sql.rows import Row, Values

__all__ = ["Driver", "Prepared", "Session", "from_json", "to_json"]

V = TypeVar("V")
R = TypeVar("R")

Convert: TypeAlias = Callable[[Any], Any]
Ordered: TypeAlias = tuple[object, ...]

from_json = msgspec.json.decode


def to_json(value: object) -> str:
    """JSON text, an object's fields in their order."""
    return msgspec.json.encode(value).decode()


class Driver(Protocol):
    """A database's driver inside one transaction. Raises its own errors."""

    def fetch(self, sql: str, values: Ordered) -> Sequence[Sequence[Any]]:
        """All rows."""
        ...

    def write(self, sql: str, values: Ordered) -> int:
        """How many rows were written."""
        ...

    def write_all(self, sql: str, values: Sequence[Ordered]) -> None:
        """Run it with each of these values, in their order."""
        ...


@frozen
class _Form:
    """A statement as one database takes it. `constants` are the values that were given when it was built."""

    sql: str
    values: tuple[tuple[str, Convert | None], ...]
    constants: Mapping[str, object]
    names: tuple[str, ...]
    converted: tuple[tuple[str, Convert], ...]

    def ordered(self, values: Mapping[str, object]) -> Ordered:
        """The values in the statement's order, as the driver takes them."""
        return tuple([values[name] if convert is None else convert(values[name]) for name, convert in self.values])

    def row(self, given: Sequence[Any]) -> Row:
        """The driver's row with names, in our types."""
        row = dict(zip(self.names, given, strict=True))
        for name, convert in self.converted:
            value = row[name]
            if value is not None:
                row[name] = convert(value)
        return row


class Prepared:
    """A statement of SQLAlchemy's, compiled when a database first needs it. `on_sqlite`: what SQLite takes instead."""

    def __init__(self, statement: Executable, *, on_sqlite: Executable | None = None) -> None:
        self._statement = statement
        self._on_sqlite = statement if on_sqlite is None else on_sqlite
        self._forms: dict[str, _Form] = {}

    def on(self, dialect: Dialect) -> _Form:
        """The statement as this database takes it."""
        form = self._forms.get(dialect.name)
        if form is None:
            statement = self._on_sqlite if dialect.name == "sqlite" else self._statement
            form = self._forms[dialect.name] = _compiled(statement, dialect)
        return form


def _compiled(statement: Executable, dialect: Dialect) -> _Form:
    if not isinstance(statement, ClauseElement):
        raise TypeError("only statements that SQLAlchemy compiles can be run")
    compiled = statement.compile(dialect=dialect)
    if not isinstance(compiled, SQLCompiler):
        raise TypeError("only statements about rows can be run")
    columns: list[ColumnElement[Any]] = []
    if isinstance(statement, SelectBase | UpdateBase):
        columns = list(statement.exported_columns)
    names = tuple(str(column.key) for column in columns)
    readers = [(name, _reader(column.type, dialect)) for name, column in zip(names, columns, strict=True)]
    return _Form(
        sql=compiled.string,
        values=tuple((name, _writer(compiled.binds[name].type, dialect)) for name in compiled.positiontup or ()),
        constants=compiled.params,
        names=names,
        converted=tuple((name, convert) for name, convert in readers if convert is not None),
    )


def _writer(of: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return of.dialect_impl(dialect).bind_processor(dialect)


def _reader(of: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return of.dialect_impl(dialect).result_processor(dialect, None)


class Session:
    """What a transaction's function runs its statements through.

    `broken` is the first error, if any. On PostgreSQL the transaction is over then; on SQLite it may have been rolled
    back without a word, and a further statement would be a transaction of its own. So nothing more is run, and the
    store ends the transaction with that error even when the function swallowed it.
    """

    __slots__ = ("broken", "dialect", "driver")

    def __init__(self, dialect: Dialect, driver: Driver) -> None:
        self.dialect = dialect
        self.driver = driver
        self.broken: BaseException | None = None

    def row(self, prepared: Prepared, values: Values) -> Row | None:
        """The first row, if there is one."""
        form = prepared.on(self.dialect)
        given = self._run(self.driver.fetch, form.sql, form.ordered(values))
        return form.row(given[0]) if given else None

    def rows(self, prepared: Prepared, values: Values) -> list[Row]:
        """All rows."""
        form = prepared.on(self.dialect)
        return [form.row(given) for given in self._run(self.driver.fetch, form.sql, form.ordered(values))]

    def rows_apart(self, prepared: Prepared, values: Values) -> list[tuple[Sequence[Any], Callable[[], Row]]]:
        """All rows, each as the driver gave it and still to be read: one that cannot be read spoils no other."""
        form = prepared.on(self.dialect)
        found = self._run(self.driver.fetch, form.sql, form.ordered(values))
        return [(given, partial(form.row, given)) for given in found]

    def listed(self, statement: Executable) -> list[Row]:
        """All rows of a statement that was built for this one time, its values in it."""
        form = _compiled(statement, self.dialect)
        return [form.row(given) for given in self._run(self.driver.fetch, form.sql, form.ordered(form.constants))]

    def write(self, prepared: Prepared, values: Values) -> int:
        """How many rows the statement wrote."""
        form = prepared.on(self.dialect)
        return self._run(self.driver.write, form.sql, form.ordered(values))

    def write_all(self, prepared: Prepared, values: Sequence[Values]) -> None:
        """Run a writing statement with each of these values, in their order."""
        form = prepared.on(self.dialect)
        if len(values) == 1:
            self._run(self.driver.write, form.sql, form.ordered(values[0]))
        elif values:
            self._run(self.driver.write_all, form.sql, [form.ordered(each) for each in values])

    def breaks(self, error: Exception) -> Exception:
        """The error to raise; the transaction is over."""
        self.broken = error
        return error

    def _run(self, run: Callable[[str, V], R], sql: str, values: V) -> R:
        if self.broken is not None:
            raise self.broken
        try:
            return run(sql, values)
        except BaseException as error:
            self.broken = error
            raise
