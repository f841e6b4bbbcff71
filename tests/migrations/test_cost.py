"""Opening a registry pays next to nothing for upgrades."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import event

from certledger import Ledger
from certledger.eventstore.database import Database
from tests.support import processes
from tests.support.old_schema import copy_first

LOADED = """
import sys
from click.testing import CliRunner
from certledger.cli.main import cli

def loaded():
    return "alembic" in sys.modules

assert CliRunner().invoke(cli, ["--help"]).exit_code == 0
assert CliRunner().invoke(cli, ["db", "upgrade", "--help"]).exit_code == 0
for command in (["init"], ["status"], ["verify"], ["db", "current"]):
    assert CliRunner().invoke(cli, ["--db", sys.argv[1], *command]).exit_code == 0, command
before = loaded()
assert CliRunner().invoke(cli, ["--db", sys.argv[2], "db", "upgrade"]).exit_code == 0
print(before, loaded())
"""


def test_alembic_is_loaded_by_an_upgrade_alone(tmp_path: Path) -> None:
    copy_first(tmp_path / "old.db")
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("new", "old")]
    assert processes.run(LOADED, *urls).split() == ["False", "True"]


def test_opening_asks_five_questions(url: str) -> None:
    """Which tables there are, the versions of format, tables and projector, the mark of a copy."""
    Ledger(url).close()
    database = Database(url)
    asked: list[str] = []

    @event.listens_for(database.engine, "connect")
    def trace(connection: object, _record: object) -> None:
        connection.set_trace_callback(asked.append)  # type: ignore[attr-defined] # of sqlite3

    Ledger(database).close()
    selects = [words.split()[-1] for words in asked if words.lstrip().startswith("SELECT")]
    assert len(selects) == 5, asked
