"""Statements of the hot path: compiled once per dialect, sent through the driver's own cursor.

SQLAlchemy writes the SQL and converts the values; what is saved is its per-execution work, which
costs more than the statement itself on an embedded database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.selectable import SelectBase
from sqlalchemy.types import TypeEngine

from certledger.errors import UnreadableValue

Row = tuple[Any, ...]
_Convert = Callable[[Any], Any]


class _Plan:
    """One statement for one dialect."""

    __slots__ = (
        "_constants",
        "_names",
        "_pick",
        "_positional",
        "_results",
        "_writers",
        "options",
        "sql",
    )

    def __init__(self, clause: ClauseElement, dialect: Dialect, *, varies: bool) -> None:
        compiled: Any = clause.compile(dialect=dialect)
        self.sql: str = compiled.string
        # psycopg prepares what is run often, and PostgreSQL then plans it for no value at all.
        self.options = {"prepare": False} if varies and dialect.driver == "psycopg" else {}
        self._positional: bool = compiled.positional
        self._names: Sequence[str] = compiled.positiontup or tuple(compiled.params)
        self._constants = {
            name: bind.value for name, bind in compiled.binds.items() if not bind.required
        }
        self._writers = [
            (name, writer)
            for name in dict.fromkeys(self._names)
            if (writer := writer_of(compiled.binds[name].type, dialect)) is not None
        ]
        self._pick = _picker(self._names)
        columns = clause.selected_columns if isinstance(clause, SelectBase) else ()
        self._results = [
            (at, reader)
            for at, column in enumerate(columns)
            if (reader := _reader(column.type, dialect)) is not None
        ]

    def bind(self, given: Mapping[str, Any]) -> Any:
        values = {**self._constants, **given}
        for name, writer in self._writers:
            values[name] = writer(values[name])
        if self._positional:
            return self._pick(values)
        return {name: values[name] for name in self._names}

    def fetch(self, cursor: Any, dialect: Dialect) -> list[Row]:
        try:
            raw = cursor.fetchall()
        except dialect.loaded_dbapi.DataError as error:  # PostgreSQL's 'infinity'
            raise UnreadableValue(str(error)) from error
        if not self._results:
            return [tuple(row) for row in raw]
        converted = []
        for row in raw:
            values = list(row)
            try:
                for at, reader in self._results:
                    values[at] = reader(values[at])
            except (TypeError, ValueError) as error:
                raise UnreadableValue(str(error), row) from error
            converted.append(tuple(values))
        return converted


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, Any]], Row]:
    """Return what takes the values of `names`, in their order, out of a mapping."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple(values[name] for name in names)


def writer_of(kind: TypeEngine[Any], dialect: Dialect) -> _Convert | None:
    """Return what turns a value into what a database stores of it; None: nothing need be done."""
    native = kind.dialect_impl(dialect)
    return _datetime_text if type(native) is sqlite.DATETIME else native.bind_processor(dialect)


def _datetime_text(value: datetime | None) -> str | None:
    """Write a datetime as SQLAlchemy does for SQLite, in a fifth of the time."""
    return None if value is None else value.isoformat(" ", "microseconds")


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> _Convert | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)


class Statement:
    """A Core statement; its `bindparam`s are given by name at each run."""

    def __init__(
        self, build: Executable | Callable[[Dialect], Executable], *, varies: bool = False
    ) -> None:
        """Take the statement, or a function that writes it for a dialect.

        `varies` tells that it depends on the values how the database finds the rows best.
        """
        self._build = build
        self._varies = varies
        self._plans: dict[str, _Plan] = {}

    def _plan(self, connection: Connection) -> _Plan:
        dialect = connection.dialect
        plan = self._plans.get(dialect.name)
        if plan is None:
            built = self._build(dialect) if callable(self._build) else self._build
            plan = self._plans[dialect.name] = _Plan(built, dialect, varies=self._varies)  # type: ignore[arg-type] # every Executable here is a ClauseElement
        return plan

    def rows(self, connection: Connection, **values: Any) -> list[Row]:
        """Run a query and return its rows.

        Raises `UnreadableValue` for a stored value that its column's type cannot have.
        """
        plan = self._plan(connection)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(plan.sql, plan.bind(values), **plan.options)
            return plan.fetch(cursor, connection.dialect)
        finally:
            cursor.close()

    def run(self, connection: Connection, **values: Any) -> int:
        """Run a change once and return how many rows it touched."""
        return self.ask(connection, **values).count()

    def run_many(self, connection: Connection, batch: Sequence[Mapping[str, Any]]) -> int:
        """Run a change for each set of values and return how many rows were touched in all."""
        return self.ask_many(connection, batch).count()

    def ask(self, connection: Connection, **values: Any) -> Asked:
        """Run the statement, and return what gives its answer: at once, or after `together`."""
        plan = self._plan(connection)
        cursor = connection.connection.cursor()
        try:
            cursor.execute(plan.sql, plan.bind(values), **plan.options)
        except BaseException:
            cursor.close()
            raise
        return Asked(plan, cursor, connection.dialect)

    def ask_many(self, connection: Connection, batch: Sequence[Mapping[str, Any]]) -> Asked:
        """Run a change for each set of values, and return what counts the rows in all."""
        if len(batch) == 1:
            return self.ask(connection, **batch[0])
        if not batch:
            return Asked(None, None, connection.dialect)
        plan = self._plan(connection)
        cursor = connection.connection.cursor()
        try:
            cursor.executemany(plan.sql, [plan.bind(values) for values in batch])
        except BaseException:
            cursor.close()
            raise
        return Asked(plan, cursor, connection.dialect)


class Asked:
    """The answer of the database to a statement, which is taken once."""

    __slots__ = ("_cursor", "_dialect", "_plan")

    def __init__(self, plan: _Plan | None, cursor: Any, dialect: Dialect) -> None:
        """Take the cursor of the statement; None: there was nothing to be done."""
        self._plan = plan
        self._cursor = cursor
        self._dialect = dialect

    def rows(self) -> list[Row]:
        """Return the rows of a query.

        Raises `UnreadableValue` for a stored value that its column's type cannot have.
        """
        if self._plan is None:
            return []
        try:
            return self._plan.fetch(self._cursor, self._dialect)
        finally:
            self._cursor.close()

    def count(self) -> int:
        """Return how many rows a change touched."""
        if self._cursor is None:
            return 0
        touched = int(self._cursor.rowcount)
        self._cursor.close()
        return touched
