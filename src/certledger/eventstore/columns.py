"""Column types that mean the same on every database.

A log must tell "a" from "A" and from "a " wherever it is stored, keep microseconds, and never
shift a time by a zone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, DateTime, Integer, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles

# INTEGER on SQLite: a BIGINT primary key there is no rowid and takes NULL.
Position: Final = BigInteger().with_variant(Integer, "sqlite")

_OPTIONS: Final = {"engine": "InnoDB", "charset": "utf8mb4", "row_format": "DYNAMIC"}
TABLE_OPTIONS: Final[dict[str, Any]] = {
    f"{dialect}_{name}": value
    for dialect in ("mysql", "mariadb")
    for name, value in _OPTIONS.items()
}
"""What tables need on MariaDB and MySQL, whatever the server's defaults are: transactions, and room
for keys of long texts.
"""


class _RealDatetime(mysql.DATETIME):
    """MySQL can hold a day 0, which PyMySQL gives as text."""

    def result_processor(self, dialect: Any, coltype: Any) -> Callable[[Any], Any]:
        del dialect, coltype
        return _datetime_or_none


def _datetime_or_none(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    message = f"{value!r} is no datetime"
    raise ValueError(message)


NaiveUtc: Final = DateTime().with_variant(_RealDatetime(fsp=6), "mysql", "mariadb")


class ExactText(String):
    """Text that is compared and sorted byte by byte."""


class LongText(Text):
    """Text of up to 16 MiB that is compared byte by byte; a PEM outgrows MySQL's TEXT."""


@compiles(ExactText, "postgresql")
def _exact_postgresql(kind: ExactText, _compiler: Any, **_options: Any) -> str:
    return f'VARCHAR({kind.length}) COLLATE "C"'


@compiles(ExactText, "mysql", "mariadb")
def _exact_mysql(kind: ExactText, compiler: Any, **_options: Any) -> str:
    return f"VARCHAR({kind.length}) {_binary(compiler)}"


@compiles(LongText, "mysql", "mariadb")
def _long_mysql(_kind: LongText, compiler: Any, **_options: Any) -> str:
    return f"MEDIUMTEXT {_binary(compiler)}"


def _binary(compiler: Any) -> str:
    return f"CHARACTER SET utf8mb4 COLLATE {exact_collation(compiler.dialect)}"


def exact_collation(dialect: Any) -> str:
    """Return the collation of exact texts on MariaDB or MySQL."""
    # The older utf8mb4_bin takes "a " for "a"; these two are each other's namesakes.
    return "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
