"""Making the tables of the read model anew from the log, where their own structure is broken."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, MetaData, Table, insert, inspect, select

from certledger.eventstore.backends import backend_of
from certledger.projections.differences import PAIRS, Pair
from certledger.projections.scratch import Scratch

_BESIDE: Final = {
    pair.table.name: pair.table.to_metadata(MetaData(), name=f"certledger_{pair.table.name}_new")
    for pair in PAIRS
}
"""Tables of the same build under names of their own."""


def recreate_tables(scratch: Scratch) -> None:
    """Make the tables anew; nobody appends meanwhile, and what others hold of them stays."""
    if backend_of(scratch.connection).ddl_is_transactional:
        _in_one_transaction(scratch)
    else:
        scratch.locked(lambda: _beside(scratch), apart=True)


def _in_one_transaction(scratch: Scratch) -> None:
    connection = scratch.connection

    def work() -> None:
        scratch.catch_up()
        views = set(inspect(connection).get_view_names())
        for pair in PAIRS:
            with backend_of(connection).remaking(connection, pair.table.name):
                if pair.table.name in views:
                    connection.exec_driver_sql(f"DROP VIEW {pair.table.name}")
                else:
                    pair.table.drop(connection, checkfirst=True)
                _create_filled(connection, pair, pair.table)

    with backend_of(connection).without_foreign_keys(connection):
        scratch.locked(work)


def _beside(scratch: Scratch) -> None:
    """Fill new tables, then put each in its place."""
    connection = scratch.connection
    with scratch.transaction():
        scratch.catch_up()
    for pair in PAIRS:
        new = _BESIDE[pair.table.name]
        with scratch.transaction():
            new.drop(connection, checkfirst=True)  # of one that was broken off
            _create_filled(connection, pair, new)
        with scratch.transaction():
            backend_of(connection).put_in_place(connection, new.name, pair.table.name)


def _create_filled(connection: Connection, pair: Pair, table: Table) -> None:
    table.create(connection)
    names = list(table.columns.keys())
    connection.execute(
        insert(table).from_select(names, select(*[pair.scratch.c[name] for name in names]))
    )
