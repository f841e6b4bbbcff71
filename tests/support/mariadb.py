"""What tests of MariaDB and MySQL do past the registry: plain PyMySQL, as anybody has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pymysql
from pymysql.cursors import DictCursor
from sqlalchemy.engine import make_url

Row = dict[str, Any]


@contextmanager
def stranger(url: str, *statements: str, **options: Any) -> Iterator[pymysql.Connection[Any]]:
    """A connection on which every statement takes effect at once, after some first ones."""
    place = make_url(url)
    with closing(
        pymysql.connect(
            host=str(place.host),
            port=place.port or 3306,
            user=str(place.username),
            password=place.password or "",
            database=place.database,
            autocommit=True,
            ssl_disabled=True,  # preparing for it takes longer than most tests
            **options,
        )
    ) as connection:
        run(connection, "SET SESSION sql_select_limit = 18446744073709551615")
        for statement in statements:
            run(connection, statement)
        yield connection


def run(connection: pymysql.Connection[Any], statement: str, *values: object) -> list[Row]:
    """The rows of a statement, as dictionaries."""
    with connection.cursor(DictCursor) as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def execute(url: str, *statements: str) -> list[Row]:
    """The rows of the last of some statements, each of which takes effect at once."""
    rows: list[Row] = []
    with stranger(url) as connection:
        for statement in statements:
            rows = run(connection, statement)
    return rows


def log_of(connection: pymysql.Connection[Any]) -> dict[str, list[Row]]:
    """Everything that the tables of the log hold."""
    return {
        table: run(connection, f"SELECT * FROM {table} ORDER BY 1")
        for table in ("log_entry", "log_head", "log_checkpoint")
    }
