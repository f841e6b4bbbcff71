"""The commands db current and db upgrade, and what other commands say of an old registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from certledger.eventstore.database import Database
from certledger.eventstore.tables import SCHEMA_VERSION
from certledger.eventstore.times import utc_now
from certledger.projections.copy_mark import set_mark
from tests.support import raw
from tests.support.cli import Commands
from tests.support.old_schema import FIRST_VKEY

STEP = {
    "version": "0002",
    "what": "Add the table log_copy, which marks a registry that a copy fills",
}


@pytest.fixture
def run(first: Path) -> Commands:
    """Commands on the registry of the first schema."""
    return Commands(first)


def test_current_tells_what_an_upgrade_would_do_and_changes_nothing(run: Commands) -> None:
    before = run.file.read_bytes()
    assert run("db", "current", code=1).stdout == (
        f"registry      {run.url}\n"
        "schema        0001\n"
        "format        1\n"
        "to 0002       Add the table log_copy, which marks a registry that a copy fills\n"
        f"to do         `certledger --db '{run.url}' db upgrade`\n"
    )
    assert run.json("db", "current", code=1) == {
        "url": run.url,
        "format": 1,
        "schema": "0001",
        "projector": "1",
        "newest": SCHEMA_VERSION,
        "steps": [STEP],
        "copy": None,
    }
    assert run.file.read_bytes() == before


def test_upgrade_says_what_it_did(run: Commands) -> None:
    assert run("db", "upgrade").stdout == (
        f"upgraded {run.url} from 0001 to 0002\n"
        "0002: Add the table log_copy, which marks a registry that a copy fills\n"
    )
    assert run("db", "upgrade").stdout == f"{run.url} is at 0002: there is nothing to upgrade\n"
    assert run("db", "current").stdout.endswith("to do         nothing\n")


def test_upgrade_says_as_json_what_it_did(run: Commands) -> None:
    assert run.json("db", "upgrade") == {
        "url": run.url,
        "before": "0001",
        "after": "0002",
        "steps": [STEP],
        "mended": [],
    }


@pytest.mark.parametrize("form", ["table", "json"])
def test_what_was_missing_is_told_as_a_warning(run: Commands, form: str) -> None:
    with raw.opened(run.file) as stranger:
        stranger.execute("DROP TRIGGER log_entry_no_update")
    done = run("db", "upgrade", "--format", form)
    assert done.stderr == (
        "warning: log_entry_no_update was missing, or was not the registry's, and is right again: "
        "see with `certledger verify` whether the log was changed meanwhile\n"
    )
    if form == "json":
        assert json.loads(done.stdout)["mended"] == ["log_entry_no_update"]


@pytest.mark.parametrize(
    "command",
    [
        "init",
        "list",
        "status",
        "log",
        "expire",
        "drift",
        "rebuild",
        "history 1000",
        "export events -",
    ],
)
def test_every_other_command_says_which_one_to_run(run: Commands, command: str) -> None:
    code = 2 if command == "drift" else 1
    assert run.fails(*command.split(), code=code) == (
        "the registry's schema is 0001, this version of certledger uses 0002; upgrade the tables "
        f"with `certledger --db '{run.url}' db upgrade`"
    )


def test_verify_checks_an_old_registry_as_it_is(run: Commands) -> None:
    found = run.json("verify", "--vkey", FIRST_VKEY)
    assert [(one["level"], one["kind"]) for one in found] == [
        ("note", "schema"),
        ("note", "reused-serial"),
    ]
    raw.edit(run.file, "UPDATE log_entry SET entry = x'00' WHERE seq = 3")
    found = run.json("verify", code=1)
    assert ("finding", 3) in {(one["level"], one["seq"]) for one in found}


def test_verify_refuses_a_newer_registry(run: Commands) -> None:
    raw.edit(run.file, "UPDATE alembic_version SET version_num = '0003'")
    message = run.fails("verify", code=2)
    assert message == (
        "the registry's schema is 0003, this version of certledger knows 0002; upgrade certledger "
        "to open it"
    )


def test_current_of_a_newer_registry_says_what_to_upgrade(run: Commands) -> None:
    raw.edit(run.file, "UPDATE alembic_version SET version_num = '0003'")
    shown = run("db", "current", code=1).stdout
    assert "schema        0003\n" in shown
    assert shown.endswith("to do         upgrade certledger: this version knows the schema 0002\n")
    assert run.json("db", "current", code=1)["steps"] == []


def test_current_of_what_is_no_registry_could_not_run(tmp_path: Path) -> None:
    missing = Commands(tmp_path / "missing.db")
    assert "there is no registry" in missing.fails("db", "current", code=2)
    assert "there is no registry" in missing.fails("db", "upgrade")
    assert not missing.file.exists()


def test_an_unfinished_copy_is_refused_told_and_a_finding(file: Path) -> None:
    run = Commands(file)
    run("init")
    database = Database(run.url)
    database.write(
        lambda connection, _: set_mark(
            connection, origin="ca.example.org", size=9, root=b"r" * 32, started_at=utc_now()
        )
    )
    database.close()
    assert "unfinished copy of ca.example.org: 0 of 9 entries" in run.fails("status")
    assert "copy          unfinished, of ca.example.org: " in run("db", "current").stdout
    copy = run.json("db", "current")["copy"]
    assert (copy["size"], copy["finished_at"]) == (9, None)
    (found,) = run.json("verify", code=1)
    assert (found["level"], found["kind"]) == ("finding", "copy-unfinished")


def test_a_mark_that_somebody_edited_is_a_finding(file: Path) -> None:
    run = Commands(file)
    run("init")
    raw.rows(file, "INSERT INTO log_copy VALUES (1, 'o', 'many', x'00', 'late', NULL)")
    (found,) = run.json("verify", code=1)
    assert (found["level"], found["kind"]) == ("finding", "copy-unfinished")
