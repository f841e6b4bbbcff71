"""Verify: every kind of damage is a finding of its kind at its place, and never a crash."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certledger.errors import StorageError
from certledger.eventstore.database import Database
from certledger.eventstore.tables import log_entry, log_head
from certledger.ledger import Ledger
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.verify import verify
from certledger.testing.certificates import make_certificate, pem
from certledger.testing.clock import FakeClock
from tests.support.intruder import forge, image, intruder
from tests.support.populated import Populated, Registry, populate

Members = dict[str, Any]


@pytest.fixture
def past(ledger: Ledger, populated: Populated) -> Populated:
    """A registry with a past, in which verifying finds nothing but a note."""
    assert findings(ledger) == []
    return populated


def findings(ledger: Ledger) -> list[Finding]:
    return [found for found in ledger.verify() if found.level == "finding"]


def notes(ledger: Ledger) -> list[Finding]:
    return [found for found in ledger.verify() if found.level == "note"]


def kinds(found: list[Finding]) -> set[tuple[str, int | None]]:
    return {(each.kind, each.seq) for each in found}


def tampered(ledger: Ledger, file: Path, statement: str, *values: object) -> list[Finding]:
    """What is found after a statement that no trigger stopped."""
    with intruder(file, log=True) as sql:
        sql.execute(statement, values)
    return findings(ledger)


def forged(
    ledger: Ledger, file: Path, change: Callable[[int, Members], None], *, columns: bool = True
) -> list[Finding]:
    """What is found in a log whose entries were changed so that all hashes fit."""
    with intruder(file, log=True) as sql:
        forge(sql, change, columns=columns)
    return list(ledger.verify())


def only(seq: int, **attributes: Any) -> Callable[[int, Members], None]:
    """Change attributes of one entry."""

    def change(at: int, members: Members) -> None:
        if at == seq:
            members.update(attributes)

    return change


def data_of(seq: int, **fields: Any) -> Callable[[int, Members], None]:
    """Change members of the data of one entry."""

    def change(at: int, members: Members) -> None:
        if at == seq:
            members["data"].update(fields)

    return change


def test_an_empty_registry_has_no_findings(ledger: Ledger) -> None:
    assert list(ledger.verify()) == []


def test_a_registry_that_nobody_touched_has_no_findings(long: Registry) -> None:
    told: list[tuple[int, int]] = []
    assert list(long.ledger.verify(lambda done, total: told.append((done, total)))) == []
    assert told == sorted(told)
    assert told[-1] == (2500, 2500)


def test_nothing_is_changed(ledger: Ledger, file: Path, past: Populated) -> None:
    with intruder(file, log=True) as sql:
        sql.execute("UPDATE certificates SET status = 'x'")
        sql.execute("UPDATE log_entry SET actor = 'x' WHERE seq = 1")
        log = sql.execute("SELECT * FROM log_entry").fetchall()
    before = image(file)
    assert findings(ledger)
    with intruder(file) as sql:
        assert sql.execute("SELECT * FROM log_entry").fetchall() == log
    assert image(file) == before


def test_missing_bytes_are_found(ledger: Ledger, file: Path, past: Populated) -> None:
    found = tampered(ledger, file, "UPDATE log_entry SET entry = NULL WHERE seq = 3")
    assert ("entry-missing", 3) in kinds(found)
    # The leaf hash is still there, so the tree can be checked: a redaction will look like this.
    assert not {each.kind for each in found} & {"leaf-hash", "tree-hash", "head-root"}


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 60_000,
        b"{" * 60_000,
        b'{"data":{},"data":{}}',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 5_000 + b"}",
        b" " * 70_000,
        "text",
        17,
        1.5,
    ],
    ids=lambda entry: repr(entry)[:20],
)
def test_bytes_that_are_no_entry_are_found(
    ledger: Ledger, file: Path, past: Populated, entry: object
) -> None:
    found = tampered(ledger, file, "UPDATE log_entry SET entry = ? WHERE seq = 3", entry)
    assert ("entry-malformed", 3) in kinds(found)


def test_another_spelling_of_an_entry_is_malformed_although_its_hashes_fit(
    ledger: Ledger, file: Path, past: Populated
) -> None:
    with intruder(file, log=True) as sql:
        (entry,) = sql.execute("SELECT entry FROM log_entry WHERE seq = 3").fetchone()
        spelled = json.dumps(json.loads(entry)).encode()
        sql.execute("UPDATE log_entry SET entry = ? WHERE seq = 3", (spelled,))
    assert {("entry-malformed", 3), ("leaf-hash", 3)} <= kinds(findings(ledger))


def test_edited_bytes_do_not_have_their_leaf_hash(
    ledger: Ledger, file: Path, past: Populated
) -> None:
    statement = """UPDATE log_entry SET entry = CAST(replace(CAST(entry AS TEXT),
        'host-1003.example.org', 'evil-1003.example.org') AS BLOB) WHERE seq = 3"""
    found = tampered(ledger, file, statement)
    # What was changed is named once, though no hash above it fits any more.
    assert {
        ("leaf-hash", 3),
        ("certificate", 3),
        ("head-root", None),
        ("head-frontier", None),
        ("drift", 3),
    } == kinds(found)
    assert {each.serial for each in found if each.kind in {"leaf-hash", "certificate"}} == {1003}


def test_changed_hashes_of_subtrees_are_found(ledger: Ledger, file: Path, past: Populated) -> None:
    statement = "UPDATE log_entry SET hashes = CAST(hashes || x'00' AS BLOB) WHERE seq = 4"
    assert kinds(tampered(ledger, file, statement)) == {("hash-column", 4)}


@pytest.mark.parametrize("hashes", [b"", b"\0" * 32, "text", 5])
def test_hashes_of_another_kind_are_found(
    ledger: Ledger, file: Path, past: Populated, hashes: object
) -> None:
    found = tampered(ledger, file, "UPDATE log_entry SET hashes = ? WHERE seq = 5", hashes)
    assert kinds(found) == {("hash-column", 5), ("drift", 5)}


def test_a_missing_row_is_a_gap(ledger: Ledger, file: Path, past: Populated) -> None:
    found = tampered(ledger, file, "DELETE FROM log_entry WHERE seq IN (4, 5)")
    assert ("gap", 4) in kinds(found)
    assert [each.message for each in found if each.kind == "gap"] == ["entries 4 to 5 are missing"]
    assert not [each for each in found if each.kind == "tree-hash" and each.seq not in {7, 15}]


def test_missing_rows_at_the_end_contradict_the_head(
    ledger: Ledger, file: Path, past: Populated
) -> None:
    found = tampered(ledger, file, "DELETE FROM log_entry WHERE seq >= 17")
    assert kinds(found) == {("truncated", 17), ("drift", 17)}


@pytest.mark.parametrize("seq", [-(2**63), -1, 10**6, 2**63 - 1])
def test_a_row_at_an_impossible_position_is_found(
    ledger: Ledger, file: Path, past: Populated, seq: int
) -> None:
    found = kinds(tampered(ledger, file, "UPDATE log_entry SET seq = ? WHERE seq = 4", seq))
    assert {("gap", 4), ("sequence", seq)} <= found
    assert (("gap", seq) in found) == (seq < 0)
    assert (("past-head", 19) in found) == (seq > 0)


def test_swapped_entries_are_out_of_sequence(ledger: Ledger, file: Path, past: Populated) -> None:
    with intruder(file, log=True) as sql:
        for old, new in ((2, -2), (3, 2), (-2, 3)):
            sql.execute("UPDATE log_entry SET seq = ? WHERE seq = ?", (new, old))
    assert {("sequence", 2), ("sequence", 3), ("order", 3)} <= kinds(findings(ledger))


def test_a_wrong_sequence_attribute_is_found(ledger: Ledger, file: Path, past: Populated) -> None:
    found = forged(ledger, file, only(6, sequence="00000000000000000009"))
    assert ("sequence", 6) in kinds(found)


def test_a_wrong_stream_version_is_found(ledger: Ledger, file: Path, past: Populated) -> None:
    revoked = ledger.history(past.revoked)[-1].seq
    found = forged(ledger, file, only(revoked, streamversion=5))
    assert ("streamversion", revoked) in kinds(found)


def test_a_recorded_time_that_goes_back_is_found(
    ledger: Ledger, file: Path, past: Populated
) -> None:
    found = forged(ledger, file, only(6, recordedtime="2001-01-01T00:00:00.000000Z"))
    assert kinds([each for each in found if each.level == "finding"]) == {("order", 6)}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("event_id", "00000000-0000-0000-0000-000000000000"),
        ("subject", "certificate/99"),
        ("streamversion", 7),
        ("type", "certledger.certificate.deleted.v1"),
        ("actor", "somebody else"),
        ("uuid", "folder-x"),
        ("uuid", None),
        ("recorded_at", "2001-01-01 00:00:00.000000"),
        ("recorded_at", "yesterday"),
        ("event_id", b"\xff"),
        ("streamversion", "0.5"),
        ("subject", 2**62),
        ("actor", 1.5),
    ],
)
def test_a_copy_that_differs_from_the_bytes_is_named(
    ledger: Ledger, file: Path, past: Populated, column: str, value: object
) -> None:
    found = tampered(ledger, file, f"UPDATE log_entry SET {column} = ? WHERE seq = 4", value)
    (copy,) = [each for each in found if each.kind == "column"]
    assert copy.seq == 4
    assert f"the column {column} says" in copy.message
    assert {each.kind for each in found} <= {"column", "drift"}


def test_an_entry_of_another_registry_is_found(ledger: Ledger, file: Path, past: Populated) -> None:
    found = forged(ledger, file, only(2, source="elsewhere.example.org"))
    assert kinds([each for each in found if each.level == "finding"]) == {("source", 2)}


def test_a_change_that_the_lifecycle_does_not_allow_is_found(
    ledger: Ledger, file: Path, past: Populated
) -> None:
    """A revoked certificate is revoked again: the forged log is whole but for the rules."""
    late = ledger.history(past.late)[-1].seq
    subject = f"certificate/{past.revoked}"

    def change(seq: int, members: Members) -> None:
        if seq == late:
            members["subject"] = subject
            members["data"]["serial_number"] = str(past.revoked)
            members["streamversion"] = 2

    found = forged(ledger, file, change)
    assert ("lifecycle", late) in kinds(found)


def test_two_present_certificates_with_one_uuid_are_found(
    ledger: Ledger, file: Path, past: Populated
) -> None:
    found = forged(ledger, file, data_of(2, uuid="folder-1000"))
    assert ("lifecycle", 2) in kinds(found)


def test_a_crl_number_that_does_not_grow_is_found(
    ledger: Ledger, file: Path, past: Populated
) -> None:
    crl = {
        "type": "certledger.crl.published.v1",
        "subject": "crl/00ff",
        "data": {
            "number": "5",
            "this_update": "2026-01-01T00:00:00.000000Z",
            "next_update": "2026-02-01T00:00:00.000000Z",
            "sha256": "0" * 64,
            "entries": 0,
            "log_size": 1,
            "issuer": "CN=Test CA",
        },
    }

    def change(seq: int, members: Members) -> None:
        if seq in {1, 2}:
            members |= crl | {"streamversion": seq - 1}

    assert ("lifecycle", 2) in kinds(forged(ledger, file, change))


@pytest.mark.parametrize(
    ("assignment", "kind"),
    [
        ("size = 3", "head-size"),
        ("size = size + 1", "head-size"),
        ("size = 'many'", "head-size"),
        ("size = -1", "head-size"),
        ("size = 4611686018427387904", "head-size"),
        ("root = zeroblob(32)", "head-root"),
        ("root = 'text'", "head-root"),
        ("frontier = x''", "head-frontier"),
        ("frontier = 5", "head-frontier"),
        ("recorded_at = NULL", "head-time"),
        ("recorded_at = '2001-01-01 00:00:00.000000'", "head-time"),
        ("recorded_at = x'ff'", "head-time"),
        ("format = 'x'", "head-format"),
        ("format = 2", "head-format"),
        ("origin = 'elsewhere.example.org'", "head-origin"),
        ("origin = x'ff'", "head-origin"),
        ("origin = 'two words'", "head-origin"),
        ("created = 'once'", "head-time"),
        ("created = 5", "head-time"),
    ],
)
def test_a_head_that_the_entries_contradict_is_found(
    ledger: Ledger, file: Path, past: Populated, assignment: str, kind: str
) -> None:
    found = tampered(ledger, file, f"UPDATE log_head SET {assignment}")
    assert kind in {each.kind for each in found}


def test_a_missing_head_is_found(ledger: Ledger, file: Path, past: Populated) -> None:
    found = tampered(ledger, file, "DELETE FROM log_head")
    assert {each.kind for each in found} == {"head-missing", "drift"}


def test_a_missing_trigger_is_found(ledger: Ledger, file: Path, past: Populated) -> None:
    with intruder(file) as sql:
        sql.execute("DROP TRIGGER log_entry_no_update")
    (found,) = findings(ledger)
    assert found.kind == "trigger-missing"
    assert "log_entry_no_update" in found.message


def test_a_trigger_with_another_text_is_found(ledger: Ledger, file: Path, past: Populated) -> None:
    with intruder(file) as sql:
        sql.execute("DROP TRIGGER log_head_no_delete")
        sql.execute(
            "CREATE TRIGGER log_head_no_delete BEFORE DELETE ON log_head WHEN 0"
            " BEGIN SELECT RAISE(ABORT, 'never'); END"
        )
    assert kinds(findings(ledger)) == {("trigger-missing", None)}


def test_a_further_trigger_on_the_log_is_noted(ledger: Ledger, file: Path, past: Populated) -> None:
    with intruder(file) as sql:
        sql.execute(
            "CREATE TRIGGER mine AFTER INSERT ON log_entry BEGIN DELETE FROM certificates; END"
        )
    assert ("trigger-unknown", None) in kinds(notes(ledger))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("common_name", "evil.example.org"),
        ("sha256", "0" * 64),
        ("not_valid_before", "2001-01-01T00:00:00.000000Z"),
        ("not_valid_after", "2099-01-01T00:00:00.000000Z"),
        ("certificate_pem", "no certificate"),
        ("certificate_pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ("certificate_pem", pem(make_certificate("other.example.org")).decode()),
    ],
)
def test_data_that_is_not_the_certificates_is_found(
    ledger: Ledger, file: Path, past: Populated, field: str, value: str
) -> None:
    found = forged(ledger, file, data_of(1, **{field: value}))
    assert ("certificate", 1) in kinds(found)


def test_a_certificate_under_anothers_serial_is_found(
    ledger: Ledger, file: Path, past: Populated
) -> None:
    def change(seq: int, members: Members) -> None:
        if seq == 1:
            members["subject"] = "certificate/5"
            members["data"]["serial_number"] = "5"

    found = forged(ledger, file, change)
    assert [each.message for each in found if each.kind == "certificate"] == [
        "serial_number is '5', the certificate says '1001'"
    ]


def test_each_difference_of_the_read_model_is_a_finding(
    ledger: Ledger, file: Path, past: Populated
) -> None:
    with intruder(file) as sql:
        sql.execute("UPDATE certificates SET status = 'x\n\x1b[31m' WHERE id = 1")
        sql.execute("DELETE FROM certificates WHERE id = 2")
        sql.execute("DELETE FROM retired WHERE seq = 12")
        sql.execute("UPDATE certificates SET id = -9 WHERE id = 3")
    found = findings(ledger)
    assert {each.kind for each in found} == {"drift"}
    assert [each.seq for each in found] == [None, 0, 1, 2, 12]
    assert r"status is 'x\n\x1b[31m', by the log 'valid'" in found[1].message
    assert all(each.message.isprintable() for each in found)


def test_a_table_that_cannot_be_compared_is_a_finding(
    ledger: Ledger, file: Path, past: Populated
) -> None:
    with intruder(file) as sql:
        sql.execute("DROP TABLE retired")
    (found,) = findings(ledger)
    assert found.kind == "structure"
    assert "rebuild --recreate" in found.message


def test_a_clock_behind_the_log_is_a_note(ledger: Ledger, clock: FakeClock) -> None:
    ledger.issue(make_certificate(serial=1))
    clock.step(minutes=-5)
    ledger.issue(make_certificate(serial=2))
    assert kinds(list(ledger.verify())) == {("clock", 1)}


def test_another_certificate_under_a_used_serial_is_a_note(ledger: Ledger, past: Populated) -> None:
    again = ledger.history(past.again)[-1].seq
    assert kinds(notes(ledger)) == {("reused-serial", again)}


def test_the_same_certificate_registered_again_is_no_note(ledger: Ledger) -> None:
    certificate = make_certificate(serial=1)
    ledger.issue(certificate)
    ledger.delete(1)
    ledger.issue(certificate)
    assert list(ledger.verify()) == []


def test_a_type_of_a_newer_version_is_a_note(ledger: Ledger, file: Path, past: Populated) -> None:
    found = forged(ledger, file, only(5, type="certledger.certificate.renamed.v2"))
    assert ("unknown-type", 5) in kinds(found)
    assert {each.level for each in found} == {"note"}


def test_what_is_appended_meanwhile_is_left_to_the_next_run(long: Registry) -> None:
    with intruder(long.file, log=True) as sql:
        sql.execute("UPDATE log_entry SET actor = 'x' WHERE seq = 1")
    running = long.ledger.verify()
    assert next(running).kind == "column"
    for serial in range(10_000, 10_010):
        long.ledger.issue(make_certificate(serial=serial))
    assert list(running) == []


def test_in_memory_the_registry_can_be_used_while_findings_are_read(clock: FakeClock) -> None:
    with Ledger("sqlite://", clock=clock) as ledger:
        ledger.issue(make_certificate(serial=1))
        ledger.database.write(
            lambda connection, _: connection.exec_driver_sql("UPDATE certificates SET status = 'x'")
        )
        for _ in range(2):
            for found in ledger.verify():
                assert found.kind == "drift"
                assert ledger.count() == 1


def test_a_file_that_cannot_be_written_is_verified(
    ledger: Ledger, file: Path, past: Populated
) -> None:
    ledger.close()
    database = Database(f"sqlite:///file:{file}?mode=ro&uri=true")
    assert {found.kind for found in verify(database)} == {"reused-serial"}
    database.close()


def test_streams_that_lie_across_pages_are_followed(long: Registry) -> None:
    """All streams but the first have two events, so an odd number of places stands before them."""
    later = FakeClock(datetime.now(UTC) + timedelta(days=100))
    with Ledger(f"sqlite:///{long.file}", clock=later) as ledger:
        assert ledger.expire_due() == 2500
        ledger.delete(1)
        assert list(ledger.verify()) == []


GARBAGE = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.binary(max_size=40),
    st.sampled_from(["certificate/1001", "crl/00", 2**31, 2**62, -1]),
)
COLUMNS = {table.name: [column.name for column in table.columns] for table in (log_entry, log_head)}
TAMPERING = st.lists(
    st.tuples(
        st.sampled_from([(table, name) for table, names in COLUMNS.items() for name in names]),
        st.integers(0, 18),
        GARBAGE,
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("template") / "registry.db"
    clock = FakeClock()
    with Ledger(f"sqlite:///{file}", clock=clock) as ledger:
        populate(ledger, clock)
    return file.read_bytes()


@settings(
    max_examples=100,
    deadline=timedelta(seconds=10),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tampering=TAMPERING)
def test_garbage_in_any_column_gives_findings_and_never_a_crash(
    template: bytes, tmp_path: Path, tampering: list[Any]
) -> None:
    file = tmp_path / "garbage.db"
    for beside in ("", "-wal", "-shm"):
        Path(f"{file}{beside}").unlink(missing_ok=True)
    file.write_bytes(template)
    before = _dump(file)
    with intruder(file, log=True) as sql:
        for (table, column), row, value, as_text in tampering:
            shown = "CAST(? AS TEXT)" if as_text else "?"
            where = f"seq = {row}" if table == "log_entry" else "1"
            with suppress(sqlite3.IntegrityError, sqlite3.DataError):
                sql.execute(f"UPDATE {table} SET {column} = {shown} WHERE {where}", (value,))
    changed = _dump(file) != before

    database = Database(f"sqlite:///{file}")
    found = [each for each in verify(database) if each.level == "finding"]
    database.close()

    assert bool(found) >= changed
    assert all(each.message.isprintable() for each in found)


def _dump(file: Path) -> list[Any]:
    """All of the log but for when it was made, which nothing else in it tells."""
    with intruder(file) as sql:
        sql.text_factory = bytes
        return [
            sql.execute(
                "SELECT "
                + ", ".join(f"{name}, typeof({name})" for name in names if name != "created")
                + f" FROM {table} ORDER BY 1"
            ).fetchall()
            for table, names in COLUMNS.items()
        ]


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no database " * 100)
    with pytest.raises(StorageError):
        list(verify(Database(f"sqlite:///{file}")))
