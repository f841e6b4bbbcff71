"""The types of columns, as each kind of database is told of them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Dialect
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.dialects.mysql import mariadb
from sqlalchemy.types import TypeEngine

from certledger.eventstore.columns import ExactText, LongText, NaiveUtc, Position
from certledger.eventstore.tables import metadata as log_metadata
from certledger.projections.models import CERTIFICATES, projection, retired

MARIADB: Dialect = mariadb.MariaDBDialect()
MARIADB_BY_MYSQL: Any = mysql.dialect()
MARIADB_BY_MYSQL.is_mariadb = True
DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(),  # type: ignore[no-untyped-call] # it has no annotations
    "mysql": mysql.dialect(),
    "mariadb": MARIADB,
    "mariadb under a URL of mysql": MARIADB_BY_MYSQL,
}
NO_PAD = "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
NO_PAD_MYSQL = "CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"


@pytest.mark.parametrize(
    ("kind", "dialect", "ddl"),
    [
        (ExactText(50), "sqlite", "VARCHAR(50)"),
        (ExactText(50), "postgresql", 'VARCHAR(50) COLLATE "C"'),
        (ExactText(50), "mysql", f"VARCHAR(50) {NO_PAD_MYSQL}"),
        (ExactText(50), "mariadb", f"VARCHAR(50) {NO_PAD}"),
        (ExactText(50), "mariadb under a URL of mysql", f"VARCHAR(50) {NO_PAD}"),
        (LongText(), "sqlite", "TEXT"),
        (LongText(), "postgresql", "TEXT"),
        (LongText(), "mysql", f"MEDIUMTEXT {NO_PAD_MYSQL}"),
        (LongText(), "mariadb", f"MEDIUMTEXT {NO_PAD}"),
        (NaiveUtc, "sqlite", "DATETIME"),
        (NaiveUtc, "postgresql", "TIMESTAMP WITHOUT TIME ZONE"),
        (NaiveUtc, "mysql", "DATETIME(6)"),
        (NaiveUtc, "mariadb", "DATETIME(6)"),
        (Position, "sqlite", "INTEGER"),
        (Position, "postgresql", "BIGINT"),
        (Position, "mysql", "BIGINT"),
    ],
    ids=str,
)
def test_a_type_means_the_same_in_the_words_of_each_database(
    kind: TypeEngine[Any], dialect: str, ddl: str
) -> None:
    assert kind.compile(DIALECTS[dialect]) == ddl


def test_all_text_of_the_registry_is_compared_byte_by_byte() -> None:
    tables = [*log_metadata.tables.values(), CERTIFICATES, retired, projection]
    loose = [
        str(column)
        for table in tables
        for column in table.columns
        if column.type.python_type is str and not isinstance(column.type, ExactText | LongText)
    ]
    # Alembic's own.
    assert loose == ["alembic_version.version_num"]
