"""An upgrade gives an old registry the tables of a new one, and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Connection, make_url

from certledger import Ledger
from certledger.db import SyncDBHandler
from certledger.errors import FormatTooNew, NotARegistry, ReadOnlyRegistry, UpgradeNeeded
from certledger.eventstore.database import Database
from certledger.eventstore.head import read_head
from certledger.eventstore.tables import SCHEMA_VERSION, SCHEMA_VERSIONS
from certledger.eventstore.tlog.keys import VerifierKey
from certledger.exporters.events import export_events
from certledger.importers.restore import restore_events
from certledger.migrations.steps import steps_after
from certledger.migrations.upgrading import Upgraded, upgrade
from certledger.projections.schema import examine, require_readable, versions
from certledger.projections.verifying.outside import Outside
from certledger.projections.verifying.verify import verify
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support import processes, raw
from tests.support.log import fill
from tests.support.old_schema import (
    FIRST_ORIGIN,
    FIRST_ROOT,
    FIRST_VKEY,
    Old,
    copy_first,
    log_rows,
    make_first,
    run,
    shape,
)
from tests.support.servers import Place

DONE = Upgraded("0001", SCHEMA_VERSION, steps_after("0001"), ())
NOTHING = Upgraded(SCHEMA_VERSION, SCHEMA_VERSION, (), ())


def new_shape(url: str) -> dict[str, object]:
    Ledger(url).close()
    database = Database(url)
    found = shape(database)
    database.close()
    return found


# What it does


def test_an_upgraded_registry_is_built_like_a_new_one(database: Database, old: Old) -> None:
    before = shape(database)
    assert upgrade(database) == DONE
    assert shape(database) == new_shape(old.new_url) != before
    assert database.read(versions)["schema"] == SCHEMA_VERSION


def test_no_entry_is_touched(database: Database) -> None:
    before = log_rows(database)
    upgrade(database)
    assert log_rows(database) == before


def test_an_upgraded_registry_is_whole_and_goes_on(old: Old, database: Database) -> None:
    upgrade(database)
    with Ledger(old.url) as ledger:
        size = ledger.head().size
        assert [found for found in ledger.verify() if found.level == "finding"] == []
        assert list(ledger.drift()) == []
        event = ledger.issue(make_certificate(serial=4_711))
        ledger.revoke(4_711, "superseded")
        assert (event.seq, event.source) == (size, FIRST_ORIGIN)
        assert [found for found in ledger.verify() if found.level == "finding"] == []


def test_the_file_of_the_first_format_has_the_root_that_it_was_made_with(first: Path) -> None:
    database = Database(f"sqlite:///{first}")
    upgrade(database)
    head = database.read(read_head)
    database.close()
    assert (head.size, head.root.hex()) == (21, FIRST_ROOT)
    with Ledger(f"sqlite:///{first}") as ledger:
        assert ledger.status().counts == {"valid": 6, "revoked": 2, "expired": 1}
        key = Outside(keys=(VerifierKey.from_text(FIRST_VKEY),))
        assert {found.kind for found in ledger.verify(outside=key)} == {"reused-serial"}


def test_an_upgrade_that_is_run_again_writes_nothing(first: Path) -> None:
    database = Database(f"sqlite:///{first}")
    upgrade(database)
    database.close()
    before = first.read_bytes()
    assert upgrade(database) == NOTHING
    database.close()
    assert first.read_bytes() == before


def test_the_steps_are_those_of_the_versions_that_the_library_knows() -> None:
    assert tuple(step.version for step in steps_after("0001")) == SCHEMA_VERSIONS[1:]
    assert steps_after(SCHEMA_VERSION) == ()


# Who may open what


def test_an_old_registry_is_refused_with_the_command_that_mends_it(old: Old) -> None:
    database = Database(old.url)
    with pytest.raises(UpgradeNeeded) as refused:
        Ledger(old.url)
    database.close()
    assert str(refused.value) == (
        f"the registry's schema is 0001, this version of certledger uses {SCHEMA_VERSION}; "
        f"upgrade the tables with `certledger --db '{database}' db upgrade`"
    )
    assert (refused.value.found, refused.value.known) == ("0001", SCHEMA_VERSION)


def test_nothing_else_opens_an_old_registry_either(first: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{first}"
    before = first.read_bytes()
    events = tmp_path / "events.jsonl"
    with Ledger("sqlite://") as ledger, events.open("wb") as stream:
        ledger.issue(make_certificate())
        export_events(ledger.database, stream)
    database = Database(url)
    for opening in (
        lambda: Ledger(url, create=False),
        lambda: SyncDBHandler(url),
        lambda: restore_events(events, database),
    ):
        with pytest.raises(UpgradeNeeded):
            opening()
    database.close()
    assert first.read_bytes() == before


@pytest.mark.parametrize(
    ("edit", "what"),
    [
        ("UPDATE log_head SET format = 9", "format is 9"),
        ("UPDATE alembic_version SET version_num = '9999'", "schema is 9999"),
        ("UPDATE alembic_version SET version_num = '0001b'", "schema is 0001b"),
        ("UPDATE projection SET version = 9", "projector is 9"),
    ],
)
def test_a_newer_registry_is_not_upgraded(first: Path, edit: str, what: str) -> None:
    raw.edit(first, edit)
    before = first.read_bytes()
    database = Database(f"sqlite:///{first}")
    with pytest.raises(FormatTooNew, match=what):
        upgrade(database)
    database.close()
    assert first.read_bytes() == before


def test_what_is_no_registry_is_not_upgraded(url: str, file: Path) -> None:
    database = Database(url)
    with pytest.raises(NotARegistry):
        upgrade(database)
    assert not file.exists()
    raw.rows(file, "CREATE TABLE users (id)")
    with pytest.raises(NotARegistry):
        upgrade(database)
    database.close()
    assert raw.rows(file, "SELECT name FROM sqlite_master") == [{"name": "users"}]


@pytest.mark.parametrize("mode", ["mode=ro", "immutable=1"])
def test_a_file_that_cannot_be_written_stays_as_it_is(first: Path, mode: str) -> None:
    before = first.read_bytes()
    database = Database(f"sqlite:///{first}?{mode}")
    assert examine(database).schema == "0001"
    with pytest.raises(ReadOnlyRegistry):
        upgrade(database)
    database.close()
    assert first.read_bytes() == before


def test_where_nothing_is_to_be_done_nothing_need_be_writable(first: Path) -> None:
    database = Database(f"sqlite:///{first}")
    upgrade(database)
    database.close()
    read_only = Database(f"sqlite:///{first}?mode=ro")
    assert upgrade(read_only) == NOTHING
    read_only.close()


def test_an_old_registry_can_be_verified_as_it_is(database: Database) -> None:
    found = {(one.level, one.kind) for one in verify(database)}
    assert ("note", "schema") in found
    assert "finding" not in {level for level, _ in found}


def test_a_newer_upgrade_that_came_first_is_not_undone(
    first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come between the first look and the lock."""
    database = Database(f"sqlite:///{first}")

    def overtaken(looked_at: Database) -> object:
        found = require_readable(looked_at)
        run(f"sqlite:///{first}", "UPDATE alembic_version SET version_num = '0003'")
        return found

    monkeypatch.setattr("certledger.migrations.upgrading.require_readable", overtaken)
    with pytest.raises(FormatTooNew):
        upgrade(database)
    database.close()


# Others at the same time

ONE_OF_TWO = """
import sys
from certledger.eventstore.database import Database
from certledger.migrations.upgrading import upgrade
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(upgrade(database).before)
database.close()
"""


def test_two_processes_may_upgrade_at_once(old: Old, database: Database) -> None:
    started = [processes.start(ONE_OF_TWO, old.url) for _ in range(2)]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    befores = [output.strip() for output in processes.finish(started)]
    assert set(befores) <= {"0001", SCHEMA_VERSION}
    assert "0001" in befores
    assert shape(database) == new_shape(old.new_url)


def test_many_threads_may_upgrade_many_registries_at_once(tmp_path: Path) -> None:
    together = Barrier(8, timeout=30)

    def work(number: int) -> Upgraded:
        database = Database(f"sqlite:///{tmp_path}/{number // 2}.db", retry_seconds=20)
        together.wait()
        done = upgrade(database)
        database.close()
        return done

    for number in range(4):
        copy_first(tmp_path / f"{number}.db")
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(work, range(8)))
    assert done.count(DONE) == 4
    for number in range(4):
        Ledger(f"sqlite:///{tmp_path}/{number}.db").close()


def test_a_writer_who_is_at_work_is_waited_for(old: Old, database: Database) -> None:
    """Of a library that had opened the registry before."""
    size = database.read(read_head).size
    writer = Database(old.url, retry_seconds=20)
    in_the_middle = Barrier(2, timeout=30)

    def append() -> None:
        in_the_middle.wait()
        for number in range(20):
            fill(writer, FakeClock(), 1, first=50_000 + number)

    with ThreadPoolExecutor(1) as threads:
        appending = threads.submit(append)
        in_the_middle.wait()
        assert upgrade(database) == DONE
        appending.result()
    writer.close()
    assert database.read(read_head).size == size + 20
    assert shape(database) == new_shape(old.new_url)


# What is missing


@pytest.mark.parametrize("version", [None, "0001"])
def test_without_a_recorded_version_the_tables_tell_it(database: Database, version: str) -> None:
    def forget(connection: Connection, _retrying: bool) -> None:
        connection.exec_driver_sql("DELETE FROM alembic_version")
        if version is None:
            connection.exec_driver_sql("DROP TABLE alembic_version")

    database.write(forget)
    done = upgrade(database)
    assert (done.before, done.after, done.mended) == ("0001", SCHEMA_VERSION, ("alembic_version",))
    assert database.read(versions)["schema"] == SCHEMA_VERSION


def test_a_second_version_is_taken_away(database: Database, old: Old) -> None:
    run(old.url, "INSERT INTO alembic_version VALUES ('0000')")
    assert upgrade(database).mended == ("alembic_version",)
    assert upgrade(database) == NOTHING


def test_a_table_that_somebody_dropped_is_made_again(database: Database, old: Old) -> None:
    upgrade(database)
    run(old.url, "DROP TABLE log_copy")
    assert upgrade(database).mended == ("log_copy",)
    assert shape(database) == new_shape(old.new_url)


def test_triggers_that_are_missing_or_changed_are_put_back(database: Database, old: Old) -> None:
    backend = database.backend

    def tamper(connection: Connection, _retrying: bool) -> None:
        backend.drop_trigger(connection, "log_entry_no_delete", "log_entry")
        backend.drop_trigger(connection, "log_head_no_delete", "log_head")
        weaker = backend.triggers["log_head_no_delete"].replace("no DELETE", "please not")
        connection.exec_driver_sql(weaker)

    database.write(tamper)
    done = upgrade(database)
    assert done == Upgraded(
        "0001", SCHEMA_VERSION, DONE.steps, ("log_entry_no_delete", "log_head_no_delete")
    )
    assert shape(database) == new_shape(old.new_url)
    assert upgrade(database) == NOTHING


# Roles


def test_who_could_read_the_registry_on_postgresql_still_can(postgresql: Place) -> None:
    make_first(postgresql.url)
    role = f"{postgresql.name} reader"
    with postgresql.administrator() as connection:
        connection.exec_driver_sql(f'CREATE ROLE "{role}" LOGIN')
        connection.exec_driver_sql(f'GRANT USAGE ON SCHEMA {postgresql.name} TO "{role}"')
        connection.exec_driver_sql(
            f'GRANT SELECT ON ALL TABLES IN SCHEMA {postgresql.name} TO "{role}"'
        )
    try:
        owner = Database(postgresql.url)
        upgrade(owner)
        owner.close()
        with Ledger(make_url(postgresql.url).set(username=role), create=False) as ledger:
            assert ledger.head().origin == FIRST_ORIGIN
    finally:
        with postgresql.administrator() as connection:
            connection.exec_driver_sql(f'DROP OWNED BY "{role}"')
            connection.exec_driver_sql(f'DROP ROLE "{role}"')
