"""What is sent to make tables on MariaDB and on MySQL, which no test run has."""

from __future__ import annotations

import pytest
from sqlalchemy import Dialect, Index, Table
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql
from sqlalchemy.schema import CreateIndex, CreateTable

from certledger.eventstore.columns import ExactText, LongText
from certledger.eventstore.triggers.mariadb import TRIGGERS
from certledger.projections.making import TABLES
from certledger.projections.scratch_tables import scratch_certificates, scratch_retired
from certledger.projections.verifying.places import stream_index

COLLATIONS = {"mysql": "utf8mb4_0900_bin", "mariadb": "utf8mb4_nopad_bin"}
ALL = (*TABLES, scratch_certificates, scratch_retired, stream_index)
LONGEST_KEY = 3072
"""How many bytes an index of InnoDB takes in the row format DYNAMIC."""


def dialect_of(kind: str) -> Dialect:
    dialect = MySQLDialect_pymysql()
    dialect.is_mariadb = kind == "mariadb"
    return dialect


every_kind = pytest.mark.parametrize("kind", ["mysql", "mariadb"])
every_table = pytest.mark.parametrize("table", ALL, ids=lambda table: table.name)


@every_kind
@every_table
def test_a_table_names_all_that_it_needs(kind: str, table: Table) -> None:
    ddl = str(CreateTable(table).compile(dialect=dialect_of(kind)))
    assert "ENGINE=InnoDB" in ddl
    assert "ROW_FORMAT=DYNAMIC" in ddl
    assert "CHARSET=utf8mb4" in ddl
    texts = [c for c in table.columns if isinstance(c.type, ExactText | LongText)]
    assert ddl.count(f"COLLATE {COLLATIONS[kind]}") == len(texts)
    instants = [c for c in table.columns if "DATETIME" in str(c.type)]
    assert ddl.count("DATETIME(6)") == len(instants)


def indexes_of(table: Table) -> list[Index]:
    """Those that are made there: others keep blobs of SQLite from writes past the triggers."""
    return [index for index in table.indexes if not str(index.name).endswith("_sealed")]


@every_table
def test_no_index_is_longer_than_a_key_may_be(table: Table) -> None:
    keys = [table.primary_key.columns, *(index.columns for index in indexes_of(table))]
    for columns in keys:
        lengths = [4 * getattr(column.type, "length", 2) for column in columns]
        assert sum(lengths) <= LONGEST_KEY


@every_kind
def test_indexes_hold_all_rows_where_partial_ones_do_not_exist(kind: str) -> None:
    made = [index for table in TABLES for index in indexes_of(table)]
    assert len(made) > 10
    for index in made:
        assert " WHERE " not in str(CreateIndex(index).compile(dialect=dialect_of(kind)))


def test_triggers_mean_the_same_in_every_sql_mode() -> None:
    """NOT binds stronger than <=> under HIGH_NOT_PRECEDENCE, " quotes names under ANSI_QUOTES."""
    for ddl in TRIGGERS.values():
        assert '"' not in ddl
        assert "||" not in ddl
        for after in ddl.split("NOT ")[1:]:
            assert after.startswith(("(", "coalesce(")), after
