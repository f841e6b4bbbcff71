"""Rebuild: an edited table ends equal to the untouched one, while everybody else goes on."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certledger.errors import ConstraintFailed, LogCorrupt, StorageUnavailable
from certledger.ledger import Ledger
from certledger.projections.compare import BrokenTable, Difference, rebuild
from certledger.projections.models import CERTIFICATES, retired
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support.intruder import image, intruder
from tests.support.populated import Populated, Registry

STRAY = """INSERT INTO certificates (id, serial_number, common_name, status, not_valid_before,
    not_valid_after, key_type, certificate_pem, uuid) VALUES (?, ?, 'stray', 'valid',
    '2026-01-01 00:00:00.000000', '2027-01-01 00:00:00.000000', 'device', '-', ?)"""


def swap(sql: sqlite3.Connection, column: str, one: int, other: int) -> None:
    """Give two rows each other's unique value."""
    values = dict(
        sql.execute(f"SELECT id, {column} FROM certificates WHERE id IN (?, ?)", (one, other))
    )
    for key, value in ((one, "~"), (other, values[one]), (one, values[other])):
        sql.execute(f"UPDATE certificates SET {column} = ? WHERE id = ?", (value, key))


def rotate(sql: sqlite3.Connection, column: str, step: int = 1) -> None:
    """Give every row the unique value of another."""
    rows = sql.execute(f"SELECT id, {column} FROM certificates ORDER BY id").fetchall()
    sql.execute(f"UPDATE certificates SET {column} = '~' || id")
    for at, (key, _) in enumerate(rows):
        value = rows[(at + step) % len(rows)][1]
        sql.execute(f"UPDATE certificates SET {column} = ? WHERE id = ?", (value, key))


def run(script: str) -> Any:
    return pytest.param(lambda sql: sql.execute(script), id=script)


EDITS = [
    run("DELETE FROM certificates"),
    run("DELETE FROM retired"),
    run("DELETE FROM certificates WHERE id % 2"),
    run("UPDATE certificates SET status = 'revoked', revocation_reason = 1"),
    run("UPDATE certificates SET status = CAST(status AS BLOB)"),
    run("UPDATE certificates SET common_name = CAST(x'ff' AS TEXT)"),
    run("UPDATE certificates SET serial_number = CAST(serial_number AS BLOB)"),
    run("UPDATE certificates SET uuid = CAST(uuid AS BLOB)"),
    run("UPDATE certificates SET not_valid_after = 'never', not_valid_before = 1.5"),
    run("UPDATE certificates SET revocation_reason = 'why'"),
    run("UPDATE certificates SET serial_number = '~' || (id + 1)"),
    run("UPDATE certificates SET uuid = '~' || (id + 1), status = x'00'"),
    run("UPDATE certificates SET id = -id"),
    run("UPDATE certificates SET id = id + 1000000"),
    run("UPDATE certificates SET id = -9223372036854775807 - 1 WHERE id = 1"),
    run("UPDATE certificates SET id = 9223372036854775807 WHERE id = 1"),
    run("UPDATE retired SET serial_number = '1', last_state = x'ff', revocation_date = 'x'"),
    run("UPDATE retired SET seq = -seq"),
    pytest.param(lambda sql: swap(sql, "serial_number", 1, 3), id="swapped serials"),
    pytest.param(lambda sql: swap(sql, "uuid", 2, 3), id="swapped uuids"),
    pytest.param(lambda sql: rotate(sql, "serial_number"), id="rotated serials"),
    pytest.param(lambda sql: rotate(sql, "uuid", 3), id="rotated uuids"),
    pytest.param(
        lambda sql: [sql.execute(STRAY, (key, f"x{key}", None)) for key in range(-50, 1)],
        id="stray rows",
    ),
]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_table_ends_equal_in_every_value_and_type(
    ledger: Ledger, file: Path, populated: Populated, edit: Any
) -> None:
    untouched = image(file)
    with intruder(file) as sql:
        edit(sql)
    assert image(file) != untouched

    differing = list(ledger.drift())
    report = ledger.rebuild()

    assert image(file) == untouched
    assert report.events == ledger.head().size
    assert report.differences == len(differing) > 0
    assert list(ledger.drift()) == []


def test_the_differences_told_are_those_that_drift_finds(
    ledger: Ledger, file: Path, populated: Populated
) -> None:
    with intruder(file) as sql:
        sql.execute("DELETE FROM certificates WHERE id < 3")
        sql.execute("UPDATE certificates SET key_type = 'ca' WHERE id = 4")
        sql.execute("DELETE FROM retired")
        swap(sql, "serial_number", 3, 6)
        sql.execute(STRAY, (-3, "7", "folder-1000"))
    differing = list(ledger.drift())
    told: list[Difference] = []

    report = ledger.rebuild(None, told.append)

    assert sorted(told, key=repr) == sorted(differing, key=repr)
    assert (report.missing, report.unexpected, report.changed) == (5, 1, 3)


def test_a_second_run_changes_nothing(ledger: Ledger, file: Path, populated: Populated) -> None:
    with intruder(file) as sql:
        sql.execute("DELETE FROM certificates")
    ledger.rebuild()
    with closing(sqlite3.connect(file)) as sql:
        version = sql.execute("PRAGMA data_version").fetchone()
        report = ledger.rebuild()
        assert sql.execute("PRAGMA data_version").fetchone() == version
    assert report.differences == 0


def test_the_log_is_not_touched(ledger: Ledger, file: Path, populated: Populated) -> None:
    with intruder(file) as sql:
        log = sql.execute("SELECT * FROM log_entry").fetchall()
        head = sql.execute("SELECT * FROM log_head").fetchall()
        sql.execute("DELETE FROM certificates")
    ledger.rebuild()
    with intruder(file) as sql:
        assert sql.execute("SELECT * FROM log_entry").fetchall() == log
        assert sql.execute("SELECT * FROM log_head").fetchall() == head


def test_what_was_found_is_logged(
    ledger: Ledger, file: Path, populated: Populated, caplog: pytest.LogCaptureFixture
) -> None:
    with intruder(file) as sql:
        sql.execute("DELETE FROM certificates WHERE id = 2")
    with caplog.at_level(logging.INFO, "certledger"):
        ledger.rebuild()
    assert "certificates between the keys 2 and 2: 1 missing" in caplog.text


def test_the_projectors_version_is_noted(ledger: Ledger, file: Path, populated: Populated) -> None:
    with intruder(file) as sql:
        noted = sql.execute("SELECT * FROM projection").fetchall()
        sql.execute("UPDATE projection SET version = 0")
    ledger.rebuild()
    with intruder(file) as sql:
        assert sql.execute("SELECT * FROM projection").fetchall() == noted
        sql.execute("DELETE FROM projection")
    ledger.rebuild()
    with intruder(file) as sql:
        assert sql.execute("SELECT * FROM projection").fetchall() == noted


@pytest.mark.parametrize("recreate", [False, True])
@pytest.mark.parametrize("references", ["id", "serial_number"])
def test_a_callers_view_and_foreign_key_survive(
    ledger: Ledger, file: Path, populated: Populated, references: str, recreate: bool
) -> None:
    with intruder(file) as sql:
        sql.execute("CREATE VIEW mine AS SELECT serial_number, status FROM certificates")
        sql.execute(
            "CREATE TABLE child (note TEXT, of REFERENCES certificates"
            f" ({references}) ON DELETE CASCADE ON UPDATE RESTRICT)"
        )
        sql.execute(f"INSERT INTO child SELECT 'note ' || id, {references} FROM certificates")
        children = sql.execute("SELECT * FROM child").fetchall()
        viewed = sql.execute("SELECT * FROM mine").fetchall()
        sql.execute("UPDATE certificates SET status = 'x', uuid = NULL WHERE id % 2")
        sql.execute("DELETE FROM certificates WHERE id = 2")

    rebuild(ledger.database, recreate=recreate)

    with intruder(file, foreign_keys=True) as sql:
        assert sql.execute("SELECT * FROM child").fetchall() == children
        assert sql.execute("SELECT * FROM mine").fetchall() == viewed
        assert sql.execute("PRAGMA foreign_key_check").fetchall() == []
        sql.execute("DELETE FROM certificates WHERE id = 1")
        assert len(sql.execute("SELECT * FROM child").fetchall()) == len(children) - 1


def test_a_callers_row_that_holds_a_stray_row_stops_it_with_a_typed_error(
    ledger: Ledger, file: Path, populated: Populated
) -> None:
    with intruder(file) as sql:
        sql.execute("CREATE TABLE child (of REFERENCES certificates (id))")
        sql.execute(STRAY, (-3, "7", None))
        sql.execute("INSERT INTO child VALUES (-3)")
    with pytest.raises(ConstraintFailed):
        ledger.rebuild()
    with intruder(file) as sql:
        assert sql.execute("SELECT count(*) FROM child").fetchone() == (1,)


def test_a_trigger_that_takes_the_mending_back_is_told(
    ledger: Ledger, file: Path, populated: Populated
) -> None:
    with intruder(file) as sql:
        sql.execute("UPDATE certificates SET status = 'x' WHERE id = 1")
        sql.execute(
            "CREATE TRIGGER mine AFTER UPDATE ON certificates WHEN NEW.status <> 'x'"
            " BEGIN UPDATE certificates SET status = 'x' WHERE id = NEW.id; END"
        )
    with pytest.raises(ConstraintFailed, match="trigger"):
        ledger.rebuild()


def test_no_reader_sees_a_row_missing_and_writers_go_on(long: Registry) -> None:
    untouched = image(long.file)
    with intruder(long.file) as sql:
        rotate(sql, "serial_number", 7)
    stop = threading.Event()
    seen: list[int] = []
    faults: list[BaseException] = []

    def read() -> None:
        with closing(sqlite3.connect(long.file)) as sql:
            while not stop.is_set():
                seen.extend(sql.execute("SELECT count(*) FROM certificates").fetchone())

    def write() -> None:
        serial = 10_000
        while not stop.is_set():
            serial += 1
            long.ledger.issue(make_certificate(serial=serial))

    def guarded(work: Any) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 # told by the test
            faults.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (read, write)]
    for thread in threads:
        thread.start()
    try:
        report = long.ledger.rebuild()
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert faults == []
    assert report.changed == 2500
    assert seen
    assert min(seen) >= 2500
    assert list(long.ledger.drift()) == []
    after = image(long.file)
    assert after["certificates"][:2500] == untouched["certificates"]
    assert len(after["certificates"]) == long.ledger.head().size


def _rebuild_until_killed(file: Path, mended: Any) -> None:
    def told(_: Difference) -> None:
        mended.release()

    with Ledger(f"sqlite:///{file}") as ledger:
        ledger.rebuild(None, told)


def test_killed_in_the_middle_the_next_run_ends_it(long: Registry) -> None:
    untouched = image(long.file)
    with intruder(long.file) as sql:
        sql.execute("DELETE FROM certificates")
        sql.execute("DELETE FROM retired")
    context = multiprocessing.get_context("spawn")
    mended = context.Semaphore(0)
    process = context.Process(target=_rebuild_until_killed, args=(long.file, mended))
    process.start()
    assert mended.acquire(timeout=60)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()

    done = set(image(long.file)["certificates"])
    assert len(done) > 0
    assert done <= set(untouched["certificates"])
    long.ledger.rebuild()
    assert image(long.file) == untouched


def test_interrupted_it_keeps_what_it_has_mended_and_can_be_run_again(long: Registry) -> None:
    untouched = image(long.file)
    with intruder(long.file) as sql:
        sql.execute("UPDATE certificates SET status = 'x'")

    def interrupt(_: Difference) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        long.ledger.rebuild(None, interrupt)
    left = len(list(long.ledger.drift()))
    assert 0 < left < 2500
    assert long.ledger.rebuild().changed == left
    assert image(long.file) == untouched


def test_while_another_holds_the_lock_it_waits(long: Registry) -> None:
    with intruder(long.file) as sql:
        sql.execute("DELETE FROM certificates WHERE id = 1")
    ready = threading.Event()
    reports: list[Any] = []
    with intruder(long.file) as sql:
        sql.execute("UPDATE certificates SET status = 'x' WHERE id = 2500")

        def work() -> None:
            ready.set()
            reports.append(long.ledger.rebuild())

        thread = threading.Thread(target=work)
        thread.start()
        ready.wait()
    thread.join()
    assert reports[0].missing == 1
    long.ledger.rebuild()
    assert list(long.ledger.drift()) == []


def test_where_another_keeps_the_lock_it_gives_up_and_can_be_run_again(
    ledger: Ledger, url: str, file: Path, populated: Populated
) -> None:
    untouched = image(file)
    with intruder(file) as sql:
        sql.execute("DELETE FROM certificates")
    with Ledger(url, retry_seconds=0.01) as impatient:
        with intruder(file), pytest.raises(StorageUnavailable, match="locked"):
            impatient.rebuild()
        impatient.rebuild()
    assert image(file) == untouched


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE certificates",
        "DROP TABLE certificates; CREATE TABLE certificates (id INTEGER PRIMARY KEY, x)",
        "DROP TABLE certificates; CREATE VIEW certificates AS SELECT 1 AS id",
        "DROP TABLE retired; CREATE TABLE retired (seq TEXT)",
        "DROP INDEX ix_certificates_status_id; DELETE FROM certificates",
    ],
)
def test_a_broken_table_is_made_anew(
    ledger: Ledger, file: Path, populated: Populated, statement: str
) -> None:
    def schema() -> list[tuple[str, str]]:
        with closing(sqlite3.connect(file)) as sql:
            return sql.execute(
                "SELECT name, sql FROM sqlite_master WHERE tbl_name IN ('certificates', 'retired')"
                " AND sql IS NOT NULL ORDER BY name"
            ).fetchall()

    untouched, built = image(file), schema()
    with closing(sqlite3.connect(file)) as sql:
        sql.executescript(statement)
    if "INDEX" not in statement:
        with pytest.raises(BrokenTable):
            rebuild(ledger.database)

    report = rebuild(ledger.database, recreate=True)

    assert image(file) == untouched
    assert schema() == built
    assert report.events == ledger.head().size
    ledger.issue(make_certificate(serial=77))
    assert list(ledger.drift()) == []


def test_a_corrupt_log_changes_nothing(ledger: Ledger, file: Path, populated: Populated) -> None:
    with intruder(file, log=True) as sql:
        sql.execute("UPDATE log_entry SET entry = x'00' WHERE seq = 12")
        sql.execute("DELETE FROM certificates")
    before = image(file)
    with pytest.raises(LogCorrupt):
        ledger.rebuild()
    assert image(file) == before


def test_in_memory_the_registry_can_be_used_while_it_is_told(clock: FakeClock) -> None:
    with Ledger("sqlite://", clock=clock) as ledger:
        for serial in (1, 2):
            ledger.issue(make_certificate(serial=serial))
        ledger.database.write(
            lambda connection, _: connection.exec_driver_sql("UPDATE certificates SET status = 'x'")
        )
        statuses: list[str] = []
        ledger.rebuild(
            None, lambda found: statuses.append(ledger.get(int(found.serial_number)).status)
        )
        assert statuses == ["valid", "valid"]


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.sampled_from(["1000", "1001", "1003", "~1", "~2", "valid", "folder-1000", "folder-1001"]),
)
COLUMNS = st.sampled_from(
    [(table.name, column.name) for table in (CERTIFICATES, retired) for column in table.columns]
)
EDIT = st.one_of(
    st.tuples(st.just("set"), COLUMNS, st.integers(0, 12), VALUES),
    st.tuples(st.just("delete"), COLUMNS, st.integers(0, 12), st.none()),
    st.tuples(st.just("copy"), st.just(("certificates", "id")), st.integers(0, 12), VALUES),
)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(edits=st.lists(EDIT, min_size=1, max_size=8))
def test_after_any_edits_the_table_ends_equal(
    ledger: Ledger, file: Path, populated: Populated, edits: list[Any]
) -> None:
    untouched = image(file)
    with intruder(file) as sql:
        for kind, (table, column), row, value in edits:
            key = f"(SELECT rowid FROM {table} ORDER BY 1 LIMIT 1 OFFSET {row})"
            try:
                if kind == "set":
                    sql.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = {key}", (value,))
                elif kind == "delete":
                    sql.execute(f"DELETE FROM {table} WHERE rowid = {key}")
                else:
                    sql.execute(STRAY, (value, f"x{value}", f"y{value}"))
            except (sqlite3.IntegrityError, sqlite3.DataError):
                continue  # the table's own constraints hold for the intruder too
    ledger.rebuild()
    assert image(file) == untouched
    assert list(ledger.drift()) == []
