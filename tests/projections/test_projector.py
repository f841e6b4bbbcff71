"""The projector wins: whatever was done to the tables by SQL, commands succeed and say so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certledger.bulk import Registration
from certledger.eventstore.lifecycle import fold
from certledger.ledger import Ledger
from certledger.projections.rows import certificate_row
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support import raw
from tests.support.raw_file import stored

SERIALS = range(101, 106)
"""Registered: ids 1 to 5, uuids folder-101 to folder-105."""
TARGET = 102
DUE = 104
NEW = 109


@pytest.fixture
def registered(ledger: Ledger, clock: FakeClock, log: pytest.LogCaptureFixture) -> Ledger:
    """Five certificates, of which one is past its end."""
    start = clock.now.replace(microsecond=0) - timedelta(days=30)
    for serial in SERIALS:
        days = 29 if serial == DUE else 90
        certificate = make_certificate(
            f"host-{serial}", serial=serial, start=start, end=start + timedelta(days=days)
        )
        ledger.issue(certificate, uuid=f"folder-{serial}")
    assert warnings(log) == []
    return ledger


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, logger="certledger")
    return caplog


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.name == "certledger"]


def row_of(file: Path, serial: int) -> tuple[object, ...] | None:
    """The stored values of a certificate's row."""
    rows = raw.rows(file, "SELECT * FROM certificates WHERE serial_number = ?", str(serial))
    assert len(rows) <= 1
    return tuple(rows[0].values()) if rows else None


def wanted(ledger: Ledger, serial: int) -> tuple[object, ...] | None:
    """The values that the log demands."""
    row = certificate_row(fold(ledger.history(serial)))
    return None if row is None else stored(tuple(row.values()))


def is_right(ledger: Ledger, serial: int) -> bool:
    """Whether a certificate's row is what the log says, and no other row has its keys."""
    assert ledger.file is not None
    right = row_of(ledger.file, serial) == wanted(ledger, serial)
    return right and not any(
        str(serial) == difference.serial_number for difference in ledger.drift()
    )


# Rows put into the table, each with keys that the next registration wants.

STRAY = """INSERT INTO certificates (id, serial_number, common_name, status, not_valid_before,
    not_valid_after, key_type, certificate_pem, uuid) VALUES ({id}, '{serial}', 'stray', 'valid',
    '2020-01-01 00:00:00.000000', '2020-02-01 00:00:00.000000', 'device', '-', {uuid})"""


def stray(row_id: object = "NULL", serial: object = "stray", uuid: str = "NULL") -> str:
    return STRAY.format(id=row_id, serial=serial, uuid=uuid)


INSERTED = {
    "the next id": [stray()],
    "the next id by number": [stray(6)],
    "the serial number": [stray(70, NEW)],
    "the uuid": [stray(70, uuid=f"'folder-{NEW}'")],
    "all of them": [stray(6, NEW, f"'folder-{NEW}'")],
    "all of them in three rows": [
        stray(6),
        stray(70, NEW),
        stray(71, "other", f"'folder-{NEW}'"),
    ],
    "the id, in another certificate's row": ["UPDATE certificates SET id = 6 WHERE id = 2"],
    "the serial number, in another certificate's row": [
        f"UPDATE certificates SET serial_number = '{NEW}' WHERE id = 2"
    ],
    "the uuid, in another certificate's row": [
        f"UPDATE certificates SET uuid = 'folder-{NEW}' WHERE id = 2"
    ],
    "all, in three other certificates' rows": [
        "UPDATE certificates SET id = 6 WHERE id = 1",
        f"UPDATE certificates SET serial_number = '{NEW}' WHERE id = 2",
        f"UPDATE certificates SET uuid = 'folder-{NEW}' WHERE id = 3",
    ],
    "a chain of keys": [
        f"UPDATE certificates SET serial_number = '{NEW}' WHERE id = 1",
        "UPDATE certificates SET serial_number = '101', uuid = 'x' WHERE id = 2",
        "UPDATE certificates SET serial_number = '102', uuid = 'folder-102' WHERE id = 3",
        "UPDATE certificates SET uuid = 'folder-103' WHERE id = 5",
    ],
}


@pytest.mark.parametrize("edit", INSERTED.values(), ids=INSERTED)
def test_a_row_that_holds_its_keys_cannot_stop_a_registration(
    registered: Ledger, file: Path, log: pytest.LogCaptureFixture, edit: list[str]
) -> None:
    raw.edit(file, *edit)
    registered.issue(make_certificate(serial=NEW), uuid=f"folder-{NEW}")
    assert is_right(registered, NEW)
    assert registered.get(NEW).id == 6
    told = [
        line.removeprefix(f"serial {NEW}: the certificates table was edited: ")
        for line in warnings(log)
    ]
    assert 1 <= len(told) <= 2
    assert told[0] == "row 6 was there before its certificate" or told[0].startswith(
        "rows in the way, set to what the log says: id "
    )
    for serial in SERIALS:
        state = row_of(file, serial)
        assert state in {None, wanted(registered, serial)}, "mended, or missing until a rebuild"


def test_rows_in_the_way_that_the_log_knows_are_mended_not_removed(
    registered: Ledger, file: Path, log: pytest.LogCaptureFixture
) -> None:
    raw.edit(file, *INSERTED["a chain of keys"])
    registered.issue(make_certificate(serial=NEW), uuid=f"folder-{NEW}")
    assert list(registered.drift()) == []
    assert "id 1, 2, 3, 5" in warnings(log)[0]


def test_an_own_row_of_the_registry_is_never_taken_for_a_stray(
    registered: Ledger, file: Path, log: pytest.LogCaptureFixture
) -> None:
    registered.issue(make_certificate(serial=NEW), uuid=f"folder-{NEW}")
    registered.revoke(TARGET)
    assert registered.expire_due() == 1
    registered.delete(NEW)
    assert warnings(log) == []
    assert list(registered.drift()) == []


# Rows edited or removed: by name, with what the warning must name; {} is the certificate's row.

EDITED = {
    "removed": (["DELETE FROM certificates WHERE id = {}"], "was missing"),
    "all removed": (["DELETE FROM certificates"], "was missing"),
    "status revoked": (["UPDATE certificates SET status = 'revoked' WHERE id = {}"], "status"),
    "status expired": (["UPDATE certificates SET status = 'expired' WHERE id = {}"], "status"),
    "status unknown": (["UPDATE certificates SET status = 'unknown' WHERE id = {}"], "status"),
    "status garbage": (["UPDATE certificates SET status = x'00ff' WHERE id = {}"], "status"),
    "revocation": (
        [
            """UPDATE certificates SET status = 'revoked', revocation_reason = 4,
            revocation_date = '2020-01-01 00:00:00.000000' WHERE id = {}"""
        ],
        "status, revocation_date, revocation_reason",
    ),
    "reason only": (["UPDATE certificates SET revocation_reason = 1 WHERE id = {}"], "reason"),
    "serial": (["UPDATE certificates SET serial_number = '999' WHERE id = {}"], "serial_number"),
    "serial garbage": (["UPDATE certificates SET serial_number = 'x' WHERE id = {}"], "serial"),
    "serial bytes": (["UPDATE certificates SET serial_number = x'31' WHERE id = {}"], "serial"),
    "serial no UTF-8": (
        ["UPDATE certificates SET serial_number = CAST(x'ff' AS TEXT) WHERE id = {}"],
        "serial_number",
    ),
    "serial with a zero": (
        ["UPDATE certificates SET serial_number = '0' || serial_number WHERE id = {}"],
        "serial_number",
    ),
    "serial of 60 digits": (
        ["UPDATE certificates SET serial_number = '" + "9" * 60 + "' WHERE id = {}"],
        "serial_number",
    ),
    "serial freed and taken": (
        [
            "UPDATE certificates SET serial_number = 'x' WHERE id = {}",
            """INSERT INTO certificates SELECT 77, 100 + {}, common_name, status,
            not_valid_before, not_valid_after, key_type, certificate_pem, NULL, NULL, NULL
            FROM certificates WHERE id = {}""",
        ],
        "serial_number",
    ),
    "serials swapped": (
        [
            "UPDATE certificates SET serial_number = 'x' WHERE id = {}",
            "UPDATE certificates SET serial_number = 100 + {} WHERE id = 5",
            "UPDATE certificates SET serial_number = '105' WHERE id = {}",
        ],
        "serial_number",
    ),
    "id": (["UPDATE certificates SET id = 999 WHERE id = {}"], "was missing"),
    "id negative": (["UPDATE certificates SET id = -1 WHERE id = {}"], "was missing"),
    "id the next": (["UPDATE certificates SET id = 6 WHERE id = {}"], "was missing"),
    "ids swapped": (
        [
            "UPDATE certificates SET id = 999 WHERE id = {}",
            "UPDATE certificates SET id = {} WHERE id = 5",
            "UPDATE certificates SET id = 5 WHERE id = 999",
        ],
        "differed in serial_number",
    ),
    "uuid": (["UPDATE certificates SET uuid = 'other' WHERE id = {}"], "differed in uuid"),
    "uuid removed": (["UPDATE certificates SET uuid = NULL WHERE id = {}"], "differed in uuid"),
    "uuid swapped": (
        [
            "UPDATE certificates SET uuid = 'x' WHERE id = {}",
            "UPDATE certificates SET uuid = 'folder-' || (100 + {}) WHERE id = 5",
            "UPDATE certificates SET uuid = 'folder-105' WHERE id = {}",
        ],
        "differed in uuid",
    ),
    "name": (["UPDATE certificates SET common_name = 'mallory' WHERE id = {}"], "common_name"),
    "name no UTF-8": (
        ["UPDATE certificates SET common_name = CAST(x'c3' AS TEXT) WHERE id = {}"],
        "common_name",
    ),
    "begin": (["UPDATE certificates SET not_valid_before = 'x' WHERE id = {}"], "not_valid_before"),
    "end text": (["UPDATE certificates SET not_valid_after = '0x' WHERE id = {}"], "valid_after"),
    "end number": (["UPDATE certificates SET not_valid_after = 5 WHERE id = {}"], "valid_after"),
    "end bytes": (["UPDATE certificates SET not_valid_after = x'ff' WHERE id = {}"], "valid_after"),
    "end no UTF-8": (
        ["UPDATE certificates SET not_valid_after = CAST(x'00ff' AS TEXT) WHERE id = {}"],
        "not_valid_after",
    ),
    "end earlier": (
        ["UPDATE certificates SET not_valid_after = '2001-01-01 00:00:00.000000' WHERE id = {}"],
        "not_valid_after",
    ),
    "end later": (
        ["UPDATE certificates SET not_valid_after = '2999-01-01 00:00:00.000000' WHERE id = {}"],
        "not_valid_after",
    ),
    "key type": (["UPDATE certificates SET key_type = 'zzz' WHERE id = {}"], "key_type"),
    "certificate": (["UPDATE certificates SET certificate_pem = '' WHERE id = {}"], "pem"),
    "reason garbage": (
        ["UPDATE certificates SET revocation_reason = 'x' WHERE id = {}"],
        "revocation_reason",
    ),
    "date garbage": (
        ["UPDATE certificates SET revocation_date = 'x' WHERE id = {}"],
        "revocation_date",
    ),
}
edits = pytest.mark.parametrize("edit", EDITED)


def edit_row(file: Path, edit: str, serial: int) -> str:
    """Do an edit to a certificate's row; return what the warning must name."""
    statements, named = EDITED[edit]
    raw.edit(file, *(statement.replace("{}", str(serial - 100)) for statement in statements))
    return named


Command = Callable[[Ledger], Any]
COMMANDS: dict[str, Command] = {
    "revoke": lambda ledger: ledger.revoke(TARGET, "superseded"),
    "delete": lambda ledger: ledger.delete(TARGET),
    "delete by uuid": lambda ledger: ledger.delete(uuid=f"folder-{TARGET}"),
}


@edits
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_an_edited_row_can_stop_no_change_of_its_certificate(
    registered: Ledger,
    file: Path,
    log: pytest.LogCaptureFixture,
    edit: str,
    command: Command,
) -> None:
    named = edit_row(file, edit, TARGET)
    event = command(registered)
    assert event == registered.history(TARGET)[-1]
    assert is_right(registered, TARGET)
    assert any(
        line.startswith(f"serial {TARGET}: the certificates table was edited: row 2 ")
        and named in line
        for line in warnings(log)
    ), warnings(log)


@edits
def test_an_edited_row_can_stop_no_registration_of_another_certificate(
    registered: Ledger, file: Path, edit: str
) -> None:
    edit_row(file, edit, TARGET)
    registered.issue(make_certificate(serial=NEW), uuid=f"folder-{NEW}")
    assert is_right(registered, NEW)


@edits
def test_an_edited_row_can_stop_no_sweep(
    registered: Ledger, file: Path, clock: FakeClock, edit: str
) -> None:
    """The due certificate next to the edited row is expired, and what is proposed by mistake is
    set right.
    """
    edit_row(file, edit, TARGET)
    assert registered.expire_due() == (0 if edit == "all removed" else 1)
    if edit != "all removed":
        assert [event.type.split(".")[2] for event in registered.history(DUE)][-1] == "expired"
        assert is_right(registered, DUE)
    assert len(registered.history(TARGET)) == 1
    registered.rebuild()
    clock.step(days=1)
    assert registered.expire_due() == (1 if edit == "all removed" else 0)
    assert list(registered.drift()) == []


@edits
def test_an_edited_row_of_a_due_certificate_is_swept_at_the_latest_after_a_rebuild(
    registered: Ledger, file: Path, edit: str
) -> None:
    """The table only proposes: what it no longer says is due, the sweep does not see."""
    edit_row(file, edit, DUE)
    swept = registered.expire_due()
    assert swept in {0, 1}
    if swept:
        assert is_right(registered, DUE)
    registered.rebuild()
    assert registered.expire_due() == 1 - swept
    assert registered.get(DUE).status == "expired"
    assert list(registered.drift()) == []


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        ("status = 'valid'", "status"),
        ("status = 'valid', revocation_date = NULL, revocation_reason = NULL", "status"),
        ("serial_number = '7'", "serial_number"),
        ("revocation_date = 'never'", "revocation_date"),
    ],
)
def test_a_certificate_that_was_made_valid_again_by_sql_stays_revoked(
    registered: Ledger,
    file: Path,
    log: pytest.LogCaptureFixture,
    clock: FakeClock,
    edit: str,
    named: str,
) -> None:
    registered.revoke(TARGET, "keyCompromise")
    raw.edit(file, f"UPDATE certificates SET {edit} WHERE id = 2")
    clock.step(days=100)
    assert registered.expire_due() == 4
    registered.delete(TARGET)
    assert is_right(registered, TARGET)
    (retired,) = raw.rows(file, "SELECT * FROM retired")
    assert (retired["serial_number"], retired["last_state"]) == (str(TARGET), "revoked")
    assert (retired["revocation_reason"], retired["seq"]) == (1, registered.head().size - 1)
    if "valid" in edit:  # the sweep found it already
        assert f"serial {TARGET}: the certificates table was edited: row 2 " in warnings(log)[0]
    assert any(named in line for line in warnings(log))


# The table `retired`


@pytest.mark.parametrize("column", ["serial_number", "revocation_date", "not_valid_after"])
def test_a_row_of_retired_in_the_way_is_replaced(
    registered: Ledger, file: Path, log: pytest.LogCaptureFixture, column: str
) -> None:
    raw.edit(
        file,
        """INSERT INTO retired (seq, serial_number, last_state, not_valid_after)
        VALUES (5, 'stray', 'valid', '2020-01-01 00:00:00.000000')""",
        f"UPDATE retired SET {column} = x'ff'",
    )
    registered.delete(TARGET)
    assert [row["serial_number"] for row in raw.rows(file, "SELECT * FROM retired")] == ["102"]
    assert list(registered.drift()) == []
    assert warnings(log) == [
        f"serial {TARGET}: a row of retired stood in the way: seq 5",
    ]


def test_a_row_removed_from_retired_stops_nothing(registered: Ledger, file: Path) -> None:
    registered.revoke(TARGET)
    registered.delete(TARGET)
    raw.edit(file, "DELETE FROM retired")
    registered.delete(101)
    assert [row["serial_number"] for row in raw.rows(file, "SELECT * FROM retired")] == ["101"]


# More than one at once


def test_certificates_of_one_batch_mend_what_stands_in_their_way(
    registered: Ledger, file: Path, log: pytest.LogCaptureFixture
) -> None:
    raw.edit(
        file,
        stray(6, NEW + 1, f"'folder-{NEW}'"),
        stray(7, NEW),
        f"UPDATE certificates SET uuid = 'folder-{NEW + 1}' WHERE id = 1",
    )
    outcomes = registered.issue_many(
        Registration(make_certificate(serial=serial), uuid=f"folder-{serial}")
        for serial in (NEW, NEW + 1, NEW + 2)
    )
    assert all(outcome.error is None for outcome in outcomes)
    assert list(registered.drift()) == []
    assert len(warnings(log)) >= 1


def test_a_callers_row_that_points_at_an_edited_one_stays(
    registered: Ledger, file: Path, log: pytest.LogCaptureFixture
) -> None:
    """Rows that exist are updated in place, so a foreign key that cascades removes nothing."""
    raw.edit(
        file,
        """CREATE TABLE notes (certificate INTEGER REFERENCES certificates (id)
        ON DELETE CASCADE, text VARCHAR)""",
        "INSERT INTO notes SELECT id, 'note of ' || serial_number FROM certificates",
        "UPDATE certificates SET serial_number = 'x' || serial_number, uuid = NULL",
    )
    registered.revoke(TARGET)
    registered.expire_due()
    assert len(raw.rows(file, "SELECT * FROM notes")) == 5
    registered.delete(TARGET)
    assert len(raw.rows(file, "SELECT * FROM notes")) == 4
