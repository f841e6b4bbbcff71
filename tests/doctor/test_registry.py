"""What is looked at in every registry: triggers, versions, copies, checkpoints, the last entry."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from certledger import Ledger
from certledger.doctor.checks import Check, run_checks
from certledger.doctor.registry import symptoms_of_versions
from certledger.errors import LogCorrupt, StorageUnavailable
from certledger.eventstore.database import Database
from certledger.eventstore.symptom import Symptom, ini, shell, sql
from certledger.eventstore.tables import SCHEMA_VERSION
from certledger.eventstore.triggers.sqlite import TRIGGERS
from certledger.projections.copy_mark import set_mark
from certledger.projections.schema import Registry
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support.doctor import kinds, mend, only, symptoms, weak
from tests.support.log import ORIGIN
from tests.support.signed import sign_log

OLD = Path(__file__).parents[1] / "migrations" / "registry-0001.db"


@pytest.fixture
def registry(url: str) -> str:
    """The URL of a registry with one entry, closed."""
    with Ledger(url, origin=ORIGIN) as ledger:
        ledger.issue(make_certificate())
    return url


def run(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


# Triggers


@pytest.mark.parametrize("name", sorted(TRIGGERS))
def test_a_missing_trigger_is_weak_until_it_is_put_back(
    registry: str, file: Path, name: str
) -> None:
    run(file, f"DROP TRIGGER {name}")
    found = only(symptoms(registry), "trigger-missing")
    assert found.level == "weak"
    assert f"the trigger {name} is missing" in found.message
    mend(found, registry, file.parent)
    assert weak(registry) == []


def test_missing_triggers_are_one_symptom_and_changed_ones_another(
    registry: str, file: Path
) -> None:
    run(
        file,
        "DROP TRIGGER log_head_grows",
        "DROP TRIGGER log_entry_no_update",
        "DROP TRIGGER log_entry_no_delete",
        "CREATE TRIGGER log_entry_no_delete BEFORE DELETE ON log_entry BEGIN SELECT 1; END",
    )
    missing, changed = [each for each in symptoms(registry) if each.kind == "trigger-missing"]
    assert "the triggers log_entry_no_update, log_head_grows are missing" in missing.message
    assert "the trigger log_entry_no_delete is not the registry's" in changed.message
    mend(changed, registry, file.parent)
    assert weak(registry) == []


def test_an_unknown_trigger_is_a_note_until_it_is_dropped(registry: str, file: Path) -> None:
    run(file, 'CREATE TRIGGER "an ""odd"" one" AFTER INSERT ON log_entry BEGIN SELECT 1; END')
    found = only(symptoms(registry), "trigger-unknown")
    assert found.level == "note"
    mend(found, registry)
    assert "trigger-unknown" not in kinds(symptoms(registry))


# Versions and copies


def test_tables_of_an_older_version_are_weak_until_they_are_upgraded(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    shutil.copy(OLD, file)
    url = f"sqlite:///{file}"
    found = only(symptoms(url), "version")
    assert f"the tables are of version 0001, not of {SCHEMA_VERSION}" in found.message
    mend(found, url, tmp_path)
    assert weak(url) == []


@pytest.mark.parametrize("change", ["UPDATE projection SET version = 0", "DELETE FROM projection"])
def test_a_read_model_of_an_older_projector_is_weak_until_it_is_rebuilt(
    registry: str, file: Path, change: str
) -> None:
    run(file, change)
    found = only(symptoms(registry), "version")
    assert "the read model was made by projector" in found.message
    mend(found, registry, file.parent)
    assert weak(registry) == []


@pytest.mark.parametrize(
    "newer",
    [
        Registry(2, SCHEMA_VERSION, "1", marked=True),
        Registry(1, "9999", "1", marked=True),
        Registry(1, SCHEMA_VERSION, "99", marked=True),
    ],
    ids=["format", "schema", "projector"],
)
def test_a_registry_of_a_newer_version_wants_a_newer_certledger(newer: Registry) -> None:
    (found,) = symptoms_of_versions(newer, "certledger")
    assert (found.level, found.kind) == ("weak", "version")
    assert found.mending == shell("python -m pip install --upgrade certledger")


def test_a_registry_of_a_newer_version_is_examined_all_the_same(registry: str, file: Path) -> None:
    run(file, "UPDATE alembic_version SET version_num = '9999'", "DROP TRIGGER log_head_no_delete")
    assert sorted(weak(registry)) == ["trigger-missing", "version"]


def test_an_unfinished_copy_is_weak_and_names_the_command_that_goes_on(registry: str) -> None:
    with Ledger(registry) as ledger:
        head, now = ledger.head(), ledger.now()
        ledger.database.write(
            lambda c, _: set_mark(c, origin="other.example", size=9, root=head.root, started_at=now)
        )
    found = only(symptoms(registry), "copy-unfinished")
    assert found.level == "weak"
    assert "other.example" in found.message
    assert found.mending == shell(f"certledger copy SRC {registry}")


def test_half_of_a_log_cannot_be_examined(registry: str, file: Path) -> None:
    run(file, "DROP TABLE log_checkpoint")
    with pytest.raises(LogCorrupt):
        symptoms(registry)


# Clock and checkpoints


def test_a_clock_behind_the_last_entry_is_weak(url: str, clock: FakeClock) -> None:
    with Ledger(url, clock=clock) as ledger:
        ledger.issue(make_certificate())
    assert "clock-behind-log" not in kinds(symptoms(url, clock))
    earlier = clock() - timedelta(minutes=5)
    assert only(symptoms(url, lambda: earlier), "clock-behind-log").level == "weak"


def test_a_log_that_was_never_signed_is_a_note_until_it_is(
    registry: str, file: Path, tmp_path: Path
) -> None:
    found = only(symptoms(registry), "no-checkpoint")
    assert found.level == "note"
    mend(found, registry, tmp_path)
    assert "no-checkpoint" not in kinds(symptoms(registry))


def test_an_empty_log_needs_no_checkpoint(url: str) -> None:
    Ledger(url).close()
    assert symptoms(url) == []


def test_a_signed_log_is_no_symptom(registry: str, tmp_path: Path) -> None:
    with Ledger(registry) as ledger:
        sign_log(ledger.database, tmp_path, ledger.now)
    assert symptoms(registry) == []


def test_what_is_weak_comes_first(registry: str, file: Path) -> None:
    run(file, "DROP TRIGGER log_head_no_delete", "UPDATE projection SET version = 0")
    found = symptoms(registry)
    assert [each.level for each in found] == ["weak", "weak", "note"]


def test_a_head_that_cannot_be_read_is_a_note_and_the_rest_is_examined(
    registry: str, file: Path
) -> None:
    run(file, "DROP TRIGGER log_head_grows", "UPDATE log_head SET recorded_at = 'never'")
    found = symptoms(registry)
    notes = [each.message for each in found if each.kind == "not-examined"]
    assert [note.partition(" could not be looked at")[0] for note in notes] == [
        "the time of the last entry",
        "the checkpoints",
    ]
    assert kinds(found, "weak") == ["trigger-missing"]


# Checks


def test_a_check_that_fails_takes_nothing_from_the_others(registry: str) -> None:
    def fail(connection: Connection) -> Iterator[Symptom]:
        connection.exec_driver_sql("SELECT * FROM nowhere")
        yield from ()

    good = Symptom("note", "good", "all is well")
    checks = [Check("this", fail), Check("that", lambda _: [good])]
    database = Database(registry)
    found = database.read(lambda connection: list(run_checks(connection, checks)))
    database.close()
    assert found == [
        Symptom("note", "not-examined", "this could not be looked at: no such table: nowhere"),
        good,
    ]


def test_a_check_that_finds_the_database_gone_ends_the_examination(registry: str) -> None:
    def gone(_: Connection) -> Iterator[Symptom]:
        raise StorageUnavailable("gone")

    database = Database(registry)
    with pytest.raises(StorageUnavailable):
        database.read(lambda connection: list(run_checks(connection, [Check("it", gone)])))
    database.close()


def test_a_symptom_in_words_tells_what_mends_it_on_one_line() -> None:
    steps = (*sql("SELECT 1"), *ini("mysqld", "x = 1"))
    assert str(Symptom("weak", "k", "it is weak", steps)) == (
        "it is weak; mend it with `SELECT 1;` and `[mysqld] x = 1`"
    )
    assert str(Symptom("weak", "k", "it is weak")) == "it is weak"
