"""Nobody with plain SQL changes what the log holds: the triggers refuse, and nothing is changed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from certledger.eventstore.triggers.sqlite import TRIGGERS
from certledger.ledger import Ledger
from certledger.testing.certificates import make_certificate
from tests.support import raw

SERIALS = (4711, 4712)


@pytest.fixture(params=["recursive_triggers=OFF", "recursive_triggers=ON"])
def stranger(request: pytest.FixtureRequest, log: Path) -> Iterator[sqlite3.Connection]:
    """Plain SQL on a log of three entries; REPLACE fires delete triggers on the second only."""
    with raw.opened(log, request.param) as connection:
        yield connection


@pytest.fixture(scope="module")
def closed_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a log with two streams: issued, issued, revoked."""
    file = tmp_path_factory.mktemp("log") / "registry.db"
    with Ledger(f"sqlite:///{file}") as ledger:
        for serial in SERIALS:
            ledger.issue(make_certificate(serial=serial), uuid=f"folder-{serial}")
        ledger.revoke(SERIALS[0])
    return file


@pytest.fixture
def log(closed_log: Path, file: Path) -> Path:
    """The test's own copy of that file."""
    return Path(shutil.copy(closed_log, file))


@contextmanager
def refused(file: Path, match: str = "log_") -> Iterator[None]:
    """The block is refused by a trigger or constraint and leaves every value as it was."""
    before = raw.log_of(file)
    with pytest.raises(sqlite3.IntegrityError, match=match):
        yield
    assert raw.log_of(file) == before


def next_row(file: Path, **changes: object) -> raw.Row:
    """A row that could be the next of the second stream, but for the changes."""
    last = raw.rows(file, "SELECT * FROM log_entry WHERE seq = 1")[0]
    return last | {"seq": 3, "event_id": str(uuid4()), "streamversion": 1} | changes


def head_row(file: Path, **changes: object) -> raw.Row:
    return raw.rows(file, "SELECT * FROM log_head")[0] | changes


def test_the_triggers_in_the_file_are_those_that_the_library_knows(log: Path) -> None:
    found = raw.rows(log, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    assert {row["name"]: row["sql"].strip() for row in found} == {
        name: ddl.strip() for name, ddl in TRIGGERS.items()
    }


# Entries


@pytest.mark.parametrize("verb", ["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"])
@pytest.mark.parametrize(
    "change",
    [
        "entry = x'00'",
        "entry = NULL",
        "hashes = zeroblob(32)",
        "seq = seq + 100",
        "seq = 0",
        "rowid = 9",
        "oid = 0",
        "_rowid_ = 0",
        "event_id = (SELECT event_id FROM log_entry WHERE seq = 0)",
        "subject = 'certificate/1'",
        "actor = 'somebody else'",
        "recorded_at = '2000-01-01 00:00:00.000000'",
        "seq = seq",
    ],
)
def test_no_entry_can_be_updated(
    stranger: sqlite3.Connection, log: Path, verb: str, change: str
) -> None:
    with refused(log, "no UPDATE"):
        stranger.execute(f"{verb} log_entry SET {change} WHERE seq = 1")


@pytest.mark.parametrize("where", ["", "WHERE seq = 2", "WHERE rowid = 0", "WHERE type LIKE '%'"])
def test_no_entry_can_be_deleted(stranger: sqlite3.Connection, log: Path, where: str) -> None:
    with refused(log, "no DELETE"):
        stranger.execute(f"DELETE FROM log_entry {where}")


VERBS = [
    "INSERT",
    "REPLACE",
    "INSERT OR REPLACE",
    "INSERT OR IGNORE",
    "INSERT OR ABORT",
    "INSERT OR FAIL",
    "INSERT OR ROLLBACK",
    "INSERT {} ON CONFLICT DO NOTHING",
    "INSERT {} ON CONFLICT DO UPDATE SET entry = x'00'",
    "INSERT {} ON CONFLICT (seq) DO UPDATE SET entry = x'00'",
    "INSERT {} ON CONFLICT (event_id) DO UPDATE SET seq = 9, entry = x'00'",
    "INSERT {} ON CONFLICT (subject, streamversion) DO UPDATE SET entry = x'00'",
]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("key", ["seq", "event_id", "stream", "all"])
def test_no_insert_takes_the_place_of_an_entry(
    stranger: sqlite3.Connection, log: Path, verb: str, key: str
) -> None:
    """By position, by event id, by place in the stream, and by all of them at once."""
    held = raw.rows(log, "SELECT * FROM log_entry WHERE seq = 0")[0]
    changes = {
        "seq": {"seq": 0},
        "event_id": {"event_id": held["event_id"]},
        "stream": {"subject": held["subject"], "streamversion": 0},
        "all": held | {"entry": b"forged"},
    }[key]
    with refused(log):
        raw.insert(stranger, "log_entry", next_row(log, **changes), verb)


@pytest.mark.parametrize("seq", [4, 1000, -1, 2**63 - 1, "4", 2.0, "0", None])
@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"])
def test_no_entry_can_be_inserted_out_of_order(
    stranger: sqlite3.Connection, log: Path, verb: str, seq: object
) -> None:
    with refused(log, "seq is not the next position"):
        raw.insert(stranger, "log_entry", next_row(log, seq=seq), verb)


def test_an_entry_without_a_position_is_refused(stranger: sqlite3.Connection, log: Path) -> None:
    """SQLite would choose one."""
    row = next_row(log)
    del row["seq"]
    with refused(log, "seq is not the next position"):
        raw.insert(stranger, "log_entry", row)


@pytest.mark.parametrize("names", ["rowid", "oid", "_rowid_", "seq, rowid", "rowid, seq"])
@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE"])
def test_the_other_names_of_the_position_are_no_way_around(
    stranger: sqlite3.Connection, log: Path, verb: str, names: str
) -> None:
    row = next_row(log)
    others = {name: value for name, value in row.items() if name != "seq"}
    columns = ", ".join([names, *others])
    marks = ", ".join("?" for _ in columns.split(","))
    places = [0] * len(names.split(","))
    with refused(log, "seq is not the next position"):
        stranger.execute(
            f"{verb} INTO log_entry ({columns}) VALUES ({marks})", (*places, *others.values())
        )


@pytest.mark.parametrize("version", [0, 2, -1, None, "0", "zero"])
@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE"])
def test_no_stream_can_have_a_gap_or_a_second_event_of_one_version(
    stranger: sqlite3.Connection, log: Path, verb: str, version: object
) -> None:
    with refused(log, "streamversion is not the next"):
        raw.insert(stranger, "log_entry", next_row(log, streamversion=version), verb)


@pytest.mark.parametrize(
    "column", ["hashes", "event_id", "subject", "type", "actor", "recorded_at"]
)
@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE"])
def test_no_value_but_uuid_and_entry_may_be_missing(
    stranger: sqlite3.Connection, log: Path, verb: str, column: str
) -> None:
    with refused(log, "log_entry"):
        raw.insert(stranger, "log_entry", next_row(log, **{column: None}), verb)


def test_many_rows_in_one_statement_are_refused_as_a_whole(
    stranger: sqlite3.Connection, log: Path
) -> None:
    """The first row could stand; the second has the first one's event id."""
    first = next_row(log)
    second = first | {"seq": 4, "streamversion": 2}
    names = ", ".join(first)
    marks = "(" + ", ".join("?" for _ in first) + ")"
    with refused(log, "event_id exists"):
        stranger.execute(
            f"INSERT OR REPLACE INTO log_entry ({names}) VALUES {marks}, {marks}",
            (*first.values(), *second.values()),
        )


def test_only_the_next_row_is_let_in(stranger: sqlite3.Connection, log: Path) -> None:
    """The rows above are refused for what they are, not for their form."""
    row = next_row(log)
    raw.insert(stranger, "log_entry", row)
    assert raw.log_of(log)["log_entry"][3] == row


def test_a_first_entry_must_have_the_position_0(url: str, file: Path, log: Path) -> None:
    row = next_row(log, seq=1, streamversion=0)
    empty = file.with_name("empty.db")
    with Ledger(url.replace(file.name, empty.name)), raw.opened(empty) as stranger:
        with refused(empty, "seq is not the next position"):
            raw.insert(stranger, "log_entry", row)
        raw.insert(stranger, "log_entry", row | {"seq": 0})


def columns_of(table: str, log: Path) -> list[str]:
    return [
        name
        for name, value in raw.rows(log, f"SELECT * FROM {table}")[0].items()
        if isinstance(value, str | bytes)
    ]


@pytest.mark.parametrize(("table", "rowid"), [("log_entry", 0), ("log_head", 1)])
def test_blob_writes_past_the_triggers_are_refused(log: Path, table: str, rowid: int) -> None:
    """SQLite's incremental blob I/O fires no trigger."""
    before = raw.log_of(log)
    with raw.opened(log) as stranger:
        for column in columns_of(table, log):
            with pytest.raises(sqlite3.OperationalError, match="indexed column"):
                stranger.blobopen(table, column, rowid)
    assert raw.log_of(log) == before


def test_the_indexes_that_forbid_blob_writes_hold_nothing(log: Path) -> None:
    with raw.opened(log) as stranger:
        for table, where in (("log_entry", "seq < 0"), ("log_head", "id < 0")):
            query = f"SELECT count(*) FROM {table} INDEXED BY ix_{table}_sealed WHERE {where}"
            assert stranger.execute(query).fetchone()[0] == 0


# The head


@pytest.mark.parametrize("verb", ["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE"])
@pytest.mark.parametrize(
    "change",
    [
        "size = size - 1",
        "size = 0",
        "size = -1",
        "size = size",
        "root = zeroblob(32)",
        "frontier = x''",
        "recorded_at = NULL",
        "recorded_at = '2000-01-01 00:00:00.000000'",
        "size = NULL",
        "origin = 'other.example.org'",
        "origin = 'other.example.org', size = size + 1",
        "origin = 'other.example.org', size = 0",
        "origin = CAST(origin AS BLOB)",
        "format = 2, size = size + 1",
        "format = NULL, size = size + 1",
        "created = '2000-01-01 00:00:00.000000', size = size + 1",
        "created = NULL, size = size + 1",
        "id = 2, size = size + 1",
        "id = NULL, size = size + 1",
        # Past the last entry, or with a size that is greater than any number.
        "size = size + 1",
        "size = 9223372036854775807",
        "size = 3.5",
        "size = 'many'",
        "size = x'ff'",
    ],
)
def test_the_head_changes_only_with_the_log(
    stranger: sqlite3.Connection, log: Path, verb: str, change: str
) -> None:
    with refused(log, "log_head only grows"):
        stranger.execute(f"{verb} log_head SET {change}")


def test_the_head_can_move_on_to_the_end_of_the_log(
    stranger: sqlite3.Connection, log: Path
) -> None:
    raw.insert(stranger, "log_entry", next_row(log))
    stranger.execute("UPDATE log_head SET size = 4")
    assert raw.log_of(log)["log_head"] == [head_row(log, size=4)]


@pytest.mark.parametrize("where", ["", "WHERE id = 1", "WHERE size > 0"])
def test_the_head_cannot_be_deleted(stranger: sqlite3.Connection, log: Path, where: str) -> None:
    with refused(log, "no DELETE"):
        stranger.execute(f"DELETE FROM log_head {where}")


@pytest.mark.parametrize("verb", [*VERBS[:-3], "INSERT {} ON CONFLICT (id) DO UPDATE SET size = 0"])
@pytest.mark.parametrize("number", [1, 2, 0, None])
def test_the_head_can_neither_be_replaced_nor_doubled(
    stranger: sqlite3.Connection, log: Path, verb: str, number: int | None
) -> None:
    verb = verb.replace("entry = x'00'", "size = 0")
    with refused(log, "one row"):
        raw.insert(stranger, "log_head", head_row(log, id=number, size=99), verb)


def test_the_head_stays_alone_where_constraints_are_not_checked(
    stranger: sqlite3.Connection, log: Path
) -> None:
    stranger.execute("PRAGMA ignore_check_constraints=ON")
    with refused(log, "one row"):
        raw.insert(stranger, "log_head", head_row(log, id=2))


@pytest.fixture
def empty(ledger: Ledger, file: Path) -> Path:
    """The file of a log without entries."""
    assert ledger.head().size == 0
    return file


def test_the_origin_can_be_set_while_the_log_is_empty(empty: Path) -> None:
    with raw.opened(empty) as stranger:
        stranger.execute("UPDATE log_head SET origin = 'ca.example.org'")
    assert raw.log_of(empty)["log_head"] == [head_row(empty, origin="ca.example.org")]


@pytest.mark.parametrize(
    "change",
    [
        "root = zeroblob(32)",
        "frontier = zeroblob(32)",
        "recorded_at = '2099-01-01 00:00:00.000000'",
        "created = '2099-01-01 00:00:00.000000'",
        "format = 2",
        "size = 1",
        "size = NULL",
    ],
)
def test_nothing_else_can_be_set_along_with_the_origin(empty: Path, change: str) -> None:
    with raw.opened(empty) as stranger, refused(empty, "log_head only grows"):
        stranger.execute(f"UPDATE log_head SET origin = 'ca.example.org', {change}")


@pytest.mark.parametrize("change", ["size = 0", "size = 1", "size = 'many'", "root = x''"])
def test_the_head_of_an_empty_log_stays_empty(empty: Path, change: str) -> None:
    with raw.opened(empty) as stranger, refused(empty, "log_head only grows"):
        stranger.execute(f"UPDATE log_head SET {change}")
