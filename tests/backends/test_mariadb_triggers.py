"""Nobody who may but insert and update changes what the log holds on MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pymysql
import pytest

from certledger import Ledger
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from certledger.testing.places import empty_place
from tests.support import mariadb
from tests.support.log import ORIGIN
from tests.support.mariadb import Row, run
from tests.support.signed import sign_log

SERIALS = (4711, 4712)
MODES = {
    "no mode": "",
    "other meanings": "HIGH_NOT_PRECEDENCE,ANSI_QUOTES,PIPES_AS_CONCAT",
}

if TYPE_CHECKING:
    Stranger = pymysql.Connection[Any]


@pytest.fixture(scope="module")
def log(mariadb_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two streams: issued, issued, revoked; and two checkpoints. No test here changes it."""
    with empty_place("mariadb", mariadb_server) as place:
        folder = tmp_path_factory.mktemp("state")
        with Ledger(place.url, origin=ORIGIN) as ledger:
            for serial in SERIALS:
                ledger.issue(make_certificate(serial=serial), uuid=f"folder-{serial}")
                sign_log(ledger.database, folder, FakeClock())
            ledger.revoke(SERIALS[0])
        yield place.url


@pytest.fixture(scope="module", params=list(MODES.values()), ids=list(MODES))
def stranger(request: pytest.FixtureRequest, log: str) -> Iterator[Stranger]:
    """Plain SQL, in a session without checks and with meanings of its own for some signs."""
    with mariadb.stranger(
        log,
        f"SET SESSION sql_mode = '{request.param}'",
        "SET SESSION foreign_key_checks = 0, unique_checks = 0, check_constraint_checks = 0",
    ) as connection:
        yield connection


@contextmanager
def refused(stranger: Stranger, match: str = "log_") -> Iterator[None]:
    """The block is refused and leaves all as it was."""
    before = mariadb.log_of(stranger)
    with pytest.raises(pymysql.MySQLError, match=match):
        yield
    assert mariadb.log_of(stranger) == before


def next_row(stranger: Stranger, **changes: object) -> Row:
    """A row that could be the next of the second stream, but for the changes."""
    (last,) = run(stranger, "SELECT * FROM log_entry WHERE seq = 1")
    return last | {"seq": 3, "event_id": str(uuid4()), "streamversion": 1} | changes


def insert(stranger: Stranger, table: str, row: Row, verb: str = "INSERT") -> None:
    """Insert a row; `{}` in `verb` stands for what an upsert's begins with."""
    marks = ", ".join(["%s"] * len(row))
    values = f"INTO {table} ({', '.join(row)}) VALUES ({marks})"
    statement = verb.format(values) if "{}" in verb else f"{verb} {values}"
    run(stranger, statement, *row.values())


# Entries


@pytest.mark.parametrize("verb", ["UPDATE", "UPDATE IGNORE", "UPDATE LOW_PRIORITY"])
@pytest.mark.parametrize(
    "change",
    [
        "entry = x'00'",
        "entry = NULL",
        "hashes = x'00'",
        "seq = seq + 100",
        "seq = NULL",
        "event_id = NULL",
        "subject = 'certificate/1'",
        "recorded_at = '2000-01-01'",
        "seq = seq",
    ],
)
def test_no_entry_can_be_updated(stranger: Stranger, verb: str, change: str) -> None:
    with refused(stranger, "log_entry is append-only: no UPDATE"):
        run(stranger, f"{verb} log_entry SET {change} WHERE seq = 1")


def test_no_entry_can_be_updated_or_deleted_by_a_join(stranger: Stranger) -> None:
    with refused(stranger, "no UPDATE"):
        run(
            stranger,
            "UPDATE certificates c JOIN log_entry e ON e.seq = c.id - 1 "
            "SET c.status = 'valid', e.actor = 'x'",
        )
    with refused(stranger, "no DELETE"):
        run(stranger, "DELETE e, c FROM log_entry e JOIN certificates c ON e.seq = c.id - 1")


@pytest.mark.parametrize("where", ["", "WHERE seq = 2", "ORDER BY seq LIMIT 1"])
@pytest.mark.parametrize("verb", ["DELETE", "DELETE IGNORE", "DELETE QUICK"])
def test_no_entry_can_be_deleted(stranger: Stranger, verb: str, where: str) -> None:
    with refused(stranger, "log_entry is append-only: no DELETE"):
        run(stranger, f"{verb} FROM log_entry {where}")


VERBS = [
    "INSERT",
    "REPLACE",
    "INSERT IGNORE",
    "INSERT {} ON DUPLICATE KEY UPDATE seq = seq",
    "INSERT IGNORE {} ON DUPLICATE KEY UPDATE entry = NULL",
]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("key", ["seq", "event_id", "stream", "all"])
def test_no_insert_takes_the_place_of_an_entry(stranger: Stranger, verb: str, key: str) -> None:
    """By position, by event id, by place in the stream, and by all of them at once."""
    (held,) = run(stranger, "SELECT * FROM log_entry WHERE seq = 0")
    changes: Row = {
        "seq": {"seq": 0},
        "event_id": {"event_id": held["event_id"]},
        "stream": {"subject": held["subject"], "streamversion": 0},
        "all": held | {"entry": b"forged"},
    }[key]
    with refused(stranger):
        insert(stranger, "log_entry", next_row(stranger, **changes), verb)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("seq", [4, -1, 2**63 - 1, None, "0", "x"])
def test_no_entry_can_be_inserted_out_of_order(stranger: Stranger, verb: str, seq: object) -> None:
    with refused(stranger, "seq is not the next position|Incorrect integer value"):
        insert(stranger, "log_entry", next_row(stranger, seq=seq), verb)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("version", [0, 2, None])
def test_no_stream_can_have_a_gap_or_a_second_event_of_one_version(
    stranger: Stranger, verb: str, version: object
) -> None:
    with refused(stranger, "streamversion is not the next"):
        insert(stranger, "log_entry", next_row(stranger, streamversion=version), verb)


@pytest.mark.parametrize("clause", ["", "REPLACE", "IGNORE"])
def test_a_file_that_is_loaded_replaces_no_entry(log: str, tmp_path: Path, clause: str) -> None:
    file = tmp_path / "entries"
    with mariadb.stranger(log, local_infile=True) as stranger:
        if not run(stranger, "SELECT @@local_infile AS allowed")[0]["allowed"]:
            pytest.skip("needs a server with local_infile=ON")
        (held,) = run(stranger, "SELECT event_id, subject FROM log_entry WHERE seq = 0")
        file.write_text(f"0,00,{held['event_id']},{held['subject']},0,t,me,2026-01-01,00\n")
        with refused(stranger, "seq is not the next position"):
            run(
                stranger,
                f"LOAD DATA LOCAL INFILE '{file}' {clause} INTO TABLE log_entry "
                "FIELDS TERMINATED BY ',' "
                "(seq, hashes, event_id, subject, streamversion, type, actor, recorded_at, entry)",
            )


def test_many_rows_in_one_statement_are_refused_as_a_whole(stranger: Stranger) -> None:
    first = next_row(stranger)
    second = first | {"seq": 4, "streamversion": 2}
    marks = "(" + ", ".join(["%s"] * len(first)) + ")"
    with refused(stranger, "event_id exists"):
        run(
            stranger,
            f"INSERT INTO log_entry ({', '.join(first)}) VALUES {marks}, {marks}",
            *first.values(),
            *second.values(),
        )


def test_only_the_next_row_is_let_in(stranger: Stranger) -> None:
    """The rows above are refused for what they are, not for their form."""
    run(stranger, "START TRANSACTION")
    try:
        insert(stranger, "log_entry", next_row(stranger))
        run(stranger, "UPDATE log_head SET size = 4")
        log = mariadb.log_of(stranger)
        assert (len(log["log_entry"]), log["log_head"][0]["size"]) == (4, 4)
    finally:
        run(stranger, "ROLLBACK")


# The head


@pytest.mark.parametrize("verb", ["UPDATE", "UPDATE IGNORE"])
@pytest.mark.parametrize(
    "change",
    [
        "size = size - 1",
        "size = 0",
        "size = size",
        "size = NULL",
        "root = x'00'",
        "recorded_at = NULL",
        "origin = 'other.example.org'",
        "origin = upper(origin)",
        "origin = concat(origin, ' ')",
        "origin = NULL",
        "origin = 'other.example.org', size = size + 1",
        "format = 2, size = size + 1",
        "format = NULL, size = size + 1",
        "created = '2000-01-01', size = size + 1",
        "created = NULL, size = size + 1",
        "id = 2, size = size + 1",
        "id = NULL, size = size + 1",
        "size = size + 1",
        "size = 9223372036854775807",
    ],
)
def test_the_head_changes_only_with_the_log(stranger: Stranger, verb: str, change: str) -> None:
    with refused(stranger, "log_head only grows"):
        run(stranger, f"{verb} log_head SET {change}")


def test_the_head_cannot_be_deleted(stranger: Stranger) -> None:
    with refused(stranger, "log_head: no DELETE"):
        run(stranger, "DELETE FROM log_head")


@pytest.mark.parametrize("verb", [*VERBS[:3], "INSERT {} ON DUPLICATE KEY UPDATE size = 0"])
@pytest.mark.parametrize("number", [1, 2, None])
def test_the_head_can_neither_be_replaced_nor_doubled(
    stranger: Stranger, verb: str, number: int | None
) -> None:
    (head,) = run(stranger, "SELECT * FROM log_head")
    with refused(stranger, "one row"):
        insert(stranger, "log_head", head | {"id": number, "size": 99}, verb)


# Checkpoints


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log_checkpoint SET note = x'00'",
        "UPDATE IGNORE log_checkpoint SET number = NULL",
        "DELETE FROM log_checkpoint",
        "REPLACE INTO log_checkpoint SELECT * FROM log_checkpoint WHERE number = 0",
        "INSERT IGNORE INTO log_checkpoint SELECT * FROM log_checkpoint WHERE number = 0",
        (
            "INSERT INTO log_checkpoint SELECT 3, size, root, `key`, stored_at, note "
            "FROM log_checkpoint WHERE number = 0"
        ),
        (
            "INSERT INTO log_checkpoint SELECT 2, 4, root, `key`, stored_at, note "
            "FROM log_checkpoint WHERE number = 0"
        ),
        (
            "INSERT IGNORE INTO log_checkpoint SELECT 2, NULL, root, `key`, stored_at, note "
            "FROM log_checkpoint WHERE number = 0"
        ),
    ],
)
def test_checkpoints_are_only_added_in_their_order(stranger: Stranger, statement: str) -> None:
    with refused(stranger, "log_checkpoint"):
        run(stranger, statement)
