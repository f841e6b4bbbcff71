"""Drift: every row and column on which table and log disagree is named, and nothing is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from certledger import Ledger
from certledger.errors import LogCorrupt, UnknownEventType
from certledger.projections.compare import BrokenTable, Difference
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support.intruder import forge, image, intruder
from tests.support.populated import Populated, Registry

LOWEST, HIGHEST = -(2**63), 2**63 - 1

STRAY = """INSERT INTO certificates (id, serial_number, common_name, status, not_valid_before,
    not_valid_after, key_type, certificate_pem) VALUES (?, ?, 'stray', 'valid',
    '2026-01-01 00:00:00.000000', '2027-01-01 00:00:00.000000', 'device', '-')"""


def edited(ledger: Ledger, file: Path, statement: str, *values: object) -> list[Difference]:
    with intruder(file) as sql:
        sql.execute(statement, values)
    return list(ledger.drift())


def test_nothing_differs_in_a_registry_that_nobody_edited(
    ledger: Ledger, populated: Populated
) -> None:
    assert list(ledger.drift()) == []


def test_nothing_differs_in_an_empty_registry(ledger: Ledger) -> None:
    assert list(ledger.drift()) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("serial_number", "42"),
        ("common_name", "evil.example.org"),
        ("status", "valid"),
        ("not_valid_before", "2001-01-01 00:00:00.000000"),
        ("not_valid_after", "2099-01-01 00:00:00.000000"),
        ("key_type", "ca"),
        ("certificate_pem", ""),
        ("revocation_date", None),
        ("revocation_reason", 0),
        ("uuid", None),
        ("uuid", ""),
    ],
)
def test_a_changed_column_is_named_with_both_values(
    ledger: Ledger, file: Path, populated: Populated, column: str, value: object
) -> None:
    row = ledger.get(populated.revoked)
    (found,) = edited(
        ledger, file, f"UPDATE certificates SET {column} = ? WHERE id = ?", value, row.id
    )
    assert (found.table, found.key, found.kind) == ("certificates", row.id, "changed")
    assert found.serial_number == str(populated.revoked)
    assert set(found.columns) == {column}
    assert found.columns[column][0] == value
    assert found.columns[column][1] != value


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("status", b"revoked", b"revoked"),
        ("not_valid_after", "next week", "next week"),
        ("not_valid_after", 5, 5),
        ("not_valid_after", 1.5, 1.5),
        ("revocation_date", b"\xff\x00", b"\xff\x00"),
        ("revocation_reason", "one", "one"),
        ("common_name", "a\0b", "a\0b"),
    ],
)
def test_a_value_of_another_type_is_told_as_it_is_stored(
    ledger: Ledger, file: Path, populated: Populated, column: str, value: object, shown: object
) -> None:
    (found,) = edited(
        ledger,
        file,
        f"UPDATE certificates SET {column} = ? WHERE serial_number = ?",
        value,
        str(populated.revoked),
    )
    assert found.columns[column][0] == shown


def test_text_that_is_no_utf8_is_told_as_bytes(
    ledger: Ledger, file: Path, populated: Populated
) -> None:
    statement = "UPDATE certificates SET common_name = CAST(x'ff41' AS TEXT) WHERE id = 1"
    (found,) = edited(ledger, file, statement)
    assert found.columns == {"common_name": (b"\xffA", "host-1000.example.org")}


def test_a_deleted_row_is_missing(ledger: Ledger, file: Path, populated: Populated) -> None:
    found = edited(ledger, file, "DELETE FROM certificates WHERE id = 2")
    assert found == [Difference("certificates", 2, "1001", "missing", {})]


@pytest.mark.parametrize("key", [LOWEST, -1, 0, 8, 10**6, HIGHEST])
def test_a_row_without_an_event_is_unexpected_wherever_its_id_lies(
    ledger: Ledger, file: Path, populated: Populated, key: int
) -> None:
    found = edited(ledger, file, STRAY, key, "666")
    assert found == [Difference("certificates", key, "666", "unexpected", {})]


def test_a_moved_id_is_one_row_missing_and_one_unexpected(
    ledger: Ledger, file: Path, populated: Populated
) -> None:
    found = edited(ledger, file, "UPDATE certificates SET id = 7777 WHERE id = 3")
    assert [(row.key, row.kind) for row in found] == [(3, "missing"), (7777, "unexpected")]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("DELETE FROM retired WHERE seq = ?", "missing"),
        ("UPDATE retired SET revocation_date = NULL WHERE seq = ?", "changed"),
        ("UPDATE retired SET seq = -5 WHERE seq = ?", "missing"),
    ],
)
def test_an_edited_row_of_retired_is_found(
    ledger: Ledger, file: Path, populated: Populated, statement: str, kind: str
) -> None:
    deleted = ledger.history(populated.withdrawn)[-1]
    found = edited(ledger, file, statement, deleted.seq)
    assert ("retired", deleted.seq, str(populated.withdrawn), kind) in [
        (row.table, row.key, row.serial_number, row.kind) for row in found
    ]


def test_differences_of_a_long_log_come_in_the_order_of_their_ids(long: Registry) -> None:
    with intruder(long.file) as sql:
        sql.execute("DELETE FROM certificates WHERE id % 2 = 0")
        sql.execute("UPDATE certificates SET status = 'expired' WHERE id % 3 = 0")
        for key in range(-700, 0):
            sql.execute(STRAY, (key, f"x{key}"))
    found = list(long.ledger.drift())
    assert [row.key for row in found] == sorted(
        [*range(-700, 0), *(key for key in range(1, 2501) if key % 2 == 0 or key % 3 == 0)]
    )


def test_nothing_is_changed(ledger: Ledger, file: Path, populated: Populated) -> None:
    edited(ledger, file, "UPDATE certificates SET status = 'unknown'")
    before = image(file)
    assert list(ledger.drift())
    assert image(file) == before


def test_a_file_that_cannot_be_written_is_compared(
    ledger: Ledger, file: Path, populated: Populated
) -> None:
    ledger.close()
    with Ledger(f"sqlite:///file:{file}?mode=ro&uri=true", create=False) as reading:
        assert list(reading.drift()) == []


def test_a_row_registered_while_the_comparison_runs_is_no_difference(
    long: Registry, clock: FakeClock
) -> None:
    with intruder(long.file) as sql:
        sql.execute("UPDATE certificates SET key_type = 'ca' WHERE id <= 2000")
    running = long.ledger.drift()
    found = [next(running)]
    for serial in range(10_000, 10_020):
        long.ledger.issue(make_certificate(serial=serial))
    long.ledger.revoke(2400)
    long.ledger.delete(2450)
    found += running
    assert [row.key for row in found] == list(range(1, 2001))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_comparison_given_up_leaves_nothing_open(long: Registry) -> None:
    def opened() -> int:
        return sum(
            str(number.resolve()).startswith(str(long.file))
            for number in Path("/proc/self/fd").iterdir()
        )

    with intruder(long.file) as sql:
        sql.execute("UPDATE certificates SET key_type = 'ca'")
    running = long.ledger.drift()
    next(running)
    assert isinstance(running, Generator)
    running.close()
    long.ledger.close()
    assert opened() == 0


def test_in_memory_the_registry_can_be_used_while_differences_are_read(clock: FakeClock) -> None:
    with Ledger("sqlite://", clock=clock) as ledger:
        for serial in (1, 2):
            ledger.issue(make_certificate(serial=serial))
        ledger.database.write(
            lambda connection, _: connection.exec_driver_sql("UPDATE certificates SET status = 'x'")
        )
        for found in ledger.drift():
            assert ledger.get(int(found.serial_number)).status == "x"
        assert len(list(ledger.drift())) == 2


def test_progress_grows_to_the_number_of_entries(long: Registry) -> None:
    told: list[tuple[int, int]] = []
    list(long.ledger.drift(lambda done, total: told.append((done, total))))
    assert told == sorted(told)
    assert told[-1] == (2500, 2500)
    assert len(told) > 3


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("ALTER TABLE certificates DROP COLUMN certificate_pem", "certificate_pem is missing"),
        ("ALTER TABLE retired RENAME TO gone", "it does not exist"),
        ("ALTER TABLE certificates ADD COLUMN x TEXT NOT NULL DEFAULT ''", None),
        ("ALTER TABLE certificates ADD COLUMN x TEXT", None),
    ],
)
def test_a_broken_table_is_refused_with_the_command_that_mends_it(
    ledger: Ledger, file: Path, populated: Populated, statement: str, told: str | None
) -> None:
    if told is None:
        assert edited(ledger, file, statement) == []
        return
    with pytest.raises(BrokenTable, match=told) as caught:
        edited(ledger, file, statement)
    assert "rebuild --recreate" in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("id BIGINT PRIMARY KEY, serial_number VARCHAR(50)", "the column id has the type"),
        ("id INTEGER PRIMARY KEY, serial_number INTEGER", "serial_number has the type"),
        ("id INTEGER, serial_number VARCHAR(50)", "the primary key"),
        ("id INTEGER PRIMARY KEY, x INT NOT NULL", "the further column 'x'"),
    ],
)
def test_a_table_of_other_types_is_refused(
    ledger: Ledger, file: Path, populated: Populated, columns: str, told: str
) -> None:
    with intruder(file) as sql:
        sql.execute("DROP TABLE certificates")
        sql.execute(f"CREATE TABLE certificates ({columns})")
    with pytest.raises(BrokenTable, match=told):
        list(ledger.drift())


def test_a_damaged_entry_stops_the_comparison_with_its_position(
    ledger: Ledger, file: Path, populated: Populated
) -> None:
    with intruder(file, log=True) as sql:
        sql.execute("UPDATE log_entry SET entry = replace(entry, 'host', 'evil') WHERE seq = 3")
    with pytest.raises(LogCorrupt, match="entry 3") as caught:
        list(ledger.drift())
    assert caught.value.seq == 3


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM log_entry WHERE seq = 3",
        "UPDATE log_entry SET entry = NULL WHERE seq = 3",
        "UPDATE log_entry SET entry = 'text' WHERE seq = 3",
        "UPDATE log_entry SET entry = x'7b7d', hashes = x'' WHERE seq = 3",
        "UPDATE log_entry SET hashes = 5 WHERE seq = 3",
        "UPDATE log_entry SET subject = 'certificate/99' WHERE seq = 3",
        "UPDATE log_entry SET streamversion = 'many' WHERE seq = 3",
        "UPDATE log_entry SET type = x'ff' WHERE seq = 3",
        "UPDATE log_head SET size = 'big'",
        "UPDATE log_head SET size = -1",
        "UPDATE log_head SET size = 99",
        "DELETE FROM log_head",
    ],
)
def test_a_log_that_contradicts_itself_stops_the_comparison(
    ledger: Ledger, file: Path, populated: Populated, statement: str
) -> None:
    with intruder(file, log=True) as sql:
        sql.execute(statement)
    with pytest.raises(LogCorrupt):
        list(ledger.drift())


@pytest.mark.parametrize("column", ["event_id", "actor", "uuid", "recorded_at"])
def test_garbage_in_a_copy_that_no_row_depends_on_does_not_stop_the_comparison(
    ledger: Ledger, file: Path, populated: Populated, column: str
) -> None:
    with intruder(file, log=True) as sql:
        sql.execute(f"UPDATE log_entry SET {column} = CAST(x'ff' AS TEXT) WHERE seq = 3")
    assert list(ledger.drift()) == []


def test_an_illegal_event_stops_the_comparison(
    ledger: Ledger, file: Path, populated: Populated
) -> None:
    """A revoked certificate cannot expire, whatever a forged log says."""

    def change(seq: int, members: dict[str, Any]) -> None:
        if members["type"].endswith("expired.v1"):
            moved = {"serial_number": str(populated.revoked)}
            members["subject"] = f"certificate/{populated.revoked}"
            members["data"] |= moved
            members["streamversion"] = 2 + seq

    with intruder(file, log=True) as sql:
        forge(sql, change)
    with pytest.raises(LogCorrupt, match="is revoked"):
        list(ledger.drift())


def test_a_type_of_a_newer_version_stops_the_comparison(
    ledger: Ledger, file: Path, populated: Populated
) -> None:
    def change(seq: int, members: dict[str, Any]) -> None:
        if seq == 5:
            members["type"] = "certledger.certificate.renamed.v1"

    with intruder(file, log=True) as sql:
        forge(sql, change)
    with pytest.raises(UnknownEventType, match=r"renamed\.v1"):
        list(ledger.drift())


def test_the_temporary_tables_do_not_reach_the_file(long: Registry) -> None:
    assert list(long.ledger.drift()) == []
    with closing(sqlite3.connect(long.file)) as sql:
        assert (
            sql.execute("SELECT 1 FROM sqlite_master WHERE name LIKE 'scratch%'").fetchall() == []
        )
