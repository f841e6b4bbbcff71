"""An upgrade that was killed is undone, or goes on when it is run again."""

from __future__ import annotations

import signal
import subprocess

import pytest

from certledger import Ledger
from certledger.eventstore.database import Database
from certledger.eventstore.tables import SCHEMA_VERSION
from certledger.migrations.upgrading import upgrade
from certledger.projections.schema import examine
from tests.support.old_schema import Old, log_rows, shape
from tests.support.processes import TIMEOUT, environment, python

KILLED = """
import os, signal, sys
from sqlalchemy import event
from certledger.eventstore.database import Database
from certledger.migrations.upgrading import upgrade

url, place = sys.argv[1:]
database = Database(url)

def end():
    os.kill(os.getpid(), signal.SIGKILL)

@event.listens_for(database.engine, "after_cursor_execute")
def executed(connection, cursor, statement, *rest):
    if " ".join(statement.split()).startswith(place):
        end()

@event.listens_for(database.engine, "commit")
def commit(connection):
    if place == "COMMIT" and connection.get_execution_options()["certledger_mode"].value == "write":
        end()

upgrade(database)
"""
PLACES = {
    "when the table is made": "CREATE TABLE",
    "when the version is written": "UPDATE alembic_version",
    "when a trigger is back": "CREATE TRIGGER",
    "before the commit": "COMMIT",
}


@pytest.mark.parametrize("place", PLACES)
def test_an_upgrade_that_is_killed_can_be_run_again(
    old: Old, database: Database, place: str
) -> None:
    drop_a_trigger(database)
    log, tables = log_rows(database), shape(database)
    statement = PLACES[place]
    if place == "when a trigger is back" and database.backend.name == "postgresql":
        statement = "CREATE FUNCTION"  # and the trigger, in one

    killed = subprocess.run(
        python(KILLED, old.url, statement), env=environment(), timeout=TIMEOUT, check=False
    )

    assert killed.returncode == -signal.SIGKILL
    assert log_rows(database) == log
    if database.backend.ddl_is_transactional:
        assert shape(database) == tables
        assert examine(database).schema == "0001"
    upgrade(database)
    assert examine(database).schema == SCHEMA_VERSION
    assert log_rows(database) == log
    Ledger(old.new_url).close()
    new = Database(old.new_url)
    assert shape(database) == shape(new)
    new.close()


def drop_a_trigger(database: Database) -> None:
    database.write(
        lambda connection, _: database.backend.drop_trigger(
            connection, "log_entry_no_delete", "log_entry"
        )
    )
