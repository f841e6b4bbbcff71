"""Reading the log: by stream, position, type, actor and time, in pages, both ways, checked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from certledger.errors import LogCorrupt
from certledger.eventstore import reader
from certledger.eventstore.actor import Actor
from certledger.eventstore.append import Tail
from certledger.eventstore.database import Database
from certledger.eventstore.head import read_head
from certledger.eventstore.reader import (
    PAGE,
    Entry,
    LogQuery,
    find_entry,
    position_at,
    read_entries,
    read_log,
    read_page,
    read_stream,
    subjects_with_uuid,
)
from certledger.testing.clock import FakeClock
from tests.support import raw
from tests.support.given import START, deleted, issued, revoked
from tests.support.log import append, fill, make_log, new, on_tail, registration
from tests.support.plans import plan_of, scans

ISSUED = "certledger.certificate.issued.v1"
REVOKED = "certledger.certificate.revoked.v1"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def log(url: str, clock: FakeClock) -> Iterator[Database]:
    database = make_log(url, clock)
    yield database
    database.close()


@pytest.fixture
def mixed(log: Database, clock: FakeClock) -> Database:
    """30 entries, a minute apart: ten streams of issued by alice, revoked by bob, deleted."""
    for serial in range(10):
        for version, event in enumerate(
            (
                registration(serial),
                new(revoked(serial_number=str(serial)), Actor("bob")),
                new(deleted(serial_number=str(serial), uuid=f"folder-{serial}")),
            )
        ):
            append(log, clock, [event], expected_version=version)
            clock.step(minutes=1)
    return log


def seqs(log: Database, query: LogQuery, limit: int | None = None) -> list[int]:
    return [entry.seq for entry in read_log(log, query, limit)]


# What is found


def test_a_stream_is_read_oldest_first(mixed: Database) -> None:
    events = mixed.read(lambda connection: read_stream(connection, "certificate/3"))
    assert [(event.seq, event.streamversion) for event in events] == [(9, 0), (10, 1), (11, 2)]
    assert {event.subject for event in events} == {"certificate/3"}


@pytest.mark.parametrize("subject", ["certificate/77", "certificate/", "", "%", "certificate/1 "])
def test_a_stream_that_is_not_there_is_empty(mixed: Database, subject: str) -> None:
    assert mixed.read(lambda connection: read_stream(connection, subject)) == []


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [(0, 3, [0, 1, 2]), (28, 99, [28, 29]), (5, 5, []), (9, 2, []), (30, 40, []), (-5, 1, [0])],
)
def test_a_range_is_read_without_its_stop(
    mixed: Database, start: int, stop: int, expected: list[int]
) -> None:
    found = mixed.read(lambda connection: read_entries(connection, start, stop))
    assert [entry.seq for entry in found] == expected


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, range(30)),
        ({"start": 7, "stop": 12}, range(7, 12)),
        ({"start": 12, "stop": 7}, ()),
        ({"type": ISSUED}, range(0, 30, 3)),
        ({"actor": "bob"}, range(1, 30, 3)),
        ({"actor": "bob", "type": REVOKED}, range(1, 30, 3)),
        ({"actor": "alice", "type": REVOKED}, ()),
        ({"actor": "bob", "start": 5, "stop": 14}, (7, 10, 13)),
        ({"type": ISSUED, "start": 6, "stop": 9}, (6,)),
        ({"actor": "Bob"}, ()),
        ({"type": "unheard.of.v1"}, ()),
    ],
)
def test_the_log_is_read_by_range_type_and_actor_in_both_directions(
    mixed: Database, query: dict[str, Any], expected: Any, reverse: bool
) -> None:
    wanted = sorted(expected, reverse=reverse)
    assert seqs(mixed, LogQuery(**query, reverse=reverse)) == wanted
    for limit in (0, 1, 2, len(wanted), len(wanted) + 1):
        assert seqs(mixed, LogQuery(**query, reverse=reverse), limit) == wanted[:limit]


def test_an_entry_is_found_by_its_event_id(mixed: Database) -> None:
    first = mixed.read(lambda connection: read_entries(connection, 4, 5))[0]
    assert mixed.read(lambda connection: find_entry(connection, first.event_id)) == first
    assert mixed.read(lambda connection: find_entry(connection, "no such id")) is None


def test_streams_are_found_by_a_uuid_that_was_ever_used(mixed: Database, clock: FakeClock) -> None:
    append(mixed, clock, [new(issued(serial_number="99", uuid="folder-3"))], expected_version=0)

    def found(uuid: str) -> set[str]:
        return set(mixed.read(lambda connection: subjects_with_uuid(connection, uuid)))

    assert found("folder-3") == {"certificate/3", "certificate/99"}
    assert found("folder-33") == set()


# Time


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(-1, 0), (0, 0), (0.5, 1), (1, 1), (13, 13), (13.5, 14), (28.5, 29), (29, 29), (29.5, 30)],
)
def test_a_position_is_found_by_time(mixed: Database, minutes: float, expected: int) -> None:
    """The first entry recorded at that instant or later; past the last, the log's size."""
    instant = START + timedelta(minutes=minutes)
    assert mixed.read(lambda connection: position_at(connection, instant, 30)) == expected


@pytest.mark.parametrize(
    ("instant", "expected"),
    [(datetime.min.replace(tzinfo=UTC), 0), (datetime.max.replace(tzinfo=UTC), 30)],
)
def test_the_ends_of_all_time_are_before_and_past_the_log(
    mixed: Database, instant: datetime, expected: int
) -> None:
    assert mixed.read(lambda connection: position_at(connection, instant, 30)) == expected


def test_an_instant_of_another_time_zone_finds_the_same_position(mixed: Database) -> None:
    instant = datetime.fromisoformat("2026-01-01T02:13:00+02:00")
    assert mixed.read(lambda connection: position_at(connection, instant, 30)) == 13


def test_of_entries_recorded_at_one_instant_the_first_is_found(
    log: Database, clock: FakeClock
) -> None:
    for count in (5, 9, 1):
        fill(log, clock, count, first=log.read(read_head).size)
        clock.step(seconds=1)
    places = [
        log.read(lambda c, i=instant: position_at(c, i, 15))  # type: ignore[misc] # binds the loop's value
        for second in range(4)
        for instant in (
            START + timedelta(seconds=second),
            START + timedelta(seconds=second, microseconds=1),
        )
    ]
    assert places == [0, 5, 5, 14, 14, 15, 15, 15]


def test_an_empty_log_has_its_only_position_at_every_time(log: Database) -> None:
    assert log.read(lambda connection: position_at(connection, START, 0)) == 0


def test_finding_a_time_takes_few_look_ups(
    log: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,000 entries: at most eleven."""
    fill(log, clock, 2_000)
    asked = []
    rows = reader._RECORDED_AT.rows

    def counted(connection: Any, **values: Any) -> Any:
        asked.append(values["seq"])
        return rows(connection, **values)

    monkeypatch.setattr(reader._RECORDED_AT, "rows", counted)
    later = START + timedelta(days=1)
    assert log.read(lambda connection: position_at(connection, later, 2_000)) == 2_000
    assert len(asked) <= 11


# Pages


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Database]]:
    """Logs at the borders of pages."""
    logs = {}
    for size in (PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 500):
        file = tmp_path_factory.mktemp("log") / "registry.db"
        logs[size] = make_log(f"sqlite:///{file}", FakeClock(START))
        fill(logs[size], FakeClock(START), size)
    yield logs
    for database in logs.values():
        database.close()


@pytest.mark.parametrize("size", [PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 500])
def test_a_log_is_read_whole_across_the_borders_of_pages(
    filled: dict[int, Database], size: int
) -> None:
    whole = list(range(size))
    assert seqs(filled[size], LogQuery()) == whole
    assert seqs(filled[size], LogQuery(reverse=True)) == whole[::-1]
    assert seqs(filled[size], LogQuery(type=ISSUED, actor="alice")) == whole
    assert seqs(filled[size], LogQuery(start=1, stop=size - 1)) == whole[1:-1]


@pytest.mark.parametrize("limit", [1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 2_500, 2_501])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_limit_is_kept_across_the_borders_of_pages(
    filled: dict[int, Database], limit: int, reverse: bool
) -> None:
    whole = list(range(2_500))[:: -1 if reverse else 1]
    assert seqs(filled[2_500], LogQuery(reverse=reverse), limit) == whole[:limit]


def test_only_a_page_is_read_at_a_time(
    filled: dict[int, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = []

    def counted(*arguments: Any) -> list[Entry]:
        pages.append(arguments[3])
        return read_page(*arguments)

    monkeypatch.setattr(reader, "read_page", counted)
    entries = read_log(filled[2_500], LogQuery(), 1_200)
    next(entries)
    assert pages == [PAGE]
    assert len(list(entries)) == 1_199
    assert pages == [PAGE, 200]


def test_no_transaction_stays_open_between_pages(log: Database, clock: FakeClock) -> None:
    """A reader that takes its time keeps nobody from truncating the write-ahead log."""
    fill(log, clock, 3)
    entries = read_log(log, LogQuery())
    next(entries)
    with raw.opened(_file(log)) as stranger:
        busy, *_ = stranger.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0
    assert len(list(entries)) == 2


def test_what_is_appended_while_reading_forward_is_read_too(
    log: Database, clock: FakeClock
) -> None:
    fill(log, clock, PAGE)
    entries = read_log(log, LogQuery())
    found = [next(entries).seq for _ in range(PAGE)]
    fill(log, clock, 3, first=PAGE)
    assert found + [entry.seq for entry in entries] == list(range(PAGE + 3))


def test_what_is_appended_while_reading_backward_is_not_read(
    log: Database, clock: FakeClock
) -> None:
    fill(log, clock, PAGE + 2)
    entries = read_log(log, LogQuery(reverse=True))
    found = [next(entries).seq]
    fill(log, clock, 3, first=PAGE + 2)
    assert found + [entry.seq for entry in entries] == list(range(PAGE + 2))[::-1]


def test_a_reader_sees_no_half_of_a_transaction(log: Database, clock: FakeClock) -> None:
    fill(log, clock, 1)
    seen = []

    def work(tail: Tail) -> None:
        tail.append([registration(1)], expected_version=0)
        tail.append([registration(2)], expected_version=0)
        tail.flush()
        seen.append(seqs(log, LogQuery()))

    on_tail(log, clock, work)
    assert seen == [[0]]
    assert seqs(log, LogQuery()) == [0, 1, 2]


# Plans


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("by_type", "by_actor", "index"),
    [
        (False, False, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (True, False, "ix_log_entry_type (type=? AND seq>? AND seq<?)"),
        (False, True, "ix_log_entry_actor (actor=? AND seq>? AND seq<?)"),
        (True, True, "ix_log_entry_"),
    ],
)
def test_a_page_is_read_by_an_index_in_its_order(
    filled: dict[int, Database], by_type: bool, by_actor: bool, reverse: bool, index: str
) -> None:
    statement = reader._page_statement(by_type, by_actor, reverse)
    values = {"start": 0, "stop": 9, "limit": 5, "type": ISSUED, "actor": "alice"}
    lines = filled[2_500].read(lambda connection: plan_of(connection, statement, **values))
    assert len(lines) == 1
    assert index in lines[0]
    assert scans(lines) == []


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("_STREAM", {"subject": "x"}, "sqlite_autoindex_log_entry_2 (subject=?)"),
        ("_BY_EVENT_ID", {"event_id": "x"}, "sqlite_autoindex_log_entry_1 (event_id=?)"),
        ("_BY_UUID", {"uuid": "x"}, "ix_log_entry_uuid (uuid=?)"),
        ("_RECORDED_AT", {"seq": 1}, "INTEGER PRIMARY KEY (rowid=?)"),
    ],
)
def test_streams_ids_uuids_and_times_are_found_by_an_index(
    filled: dict[int, Database], name: str, values: dict[str, Any], index: str
) -> None:
    statement = getattr(reader, name)
    lines = filled[2_500].read(lambda connection: plan_of(connection, statement, **values))
    assert index in lines[0]
    assert lines[0].startswith("SEARCH ")


# Damage


def _file(log: Database) -> Path:
    assert log.file is not None
    return log.file


@pytest.mark.parametrize(
    "damage",
    [
        "entry = x'7b7d'",
        "entry = NULL",
        "entry = x''",
        "entry = CAST(entry AS TEXT) || ' '",
        "entry = replace(CAST(entry AS TEXT), 'alice', 'mallory')",
        "entry = 17",
        "hashes = zeroblob(32)",
        "hashes = x''",
        "hashes = 'text'",
        "hashes = 32",
        "recorded_at = 'yesterday'",
        "recorded_at = 7",
    ],
)
def test_an_altered_entry_is_named_and_those_before_it_are_read(
    mixed: Database, damage: str
) -> None:
    raw.edit(_file(mixed), f"UPDATE log_entry SET {damage} WHERE seq = 4")
    entries = mixed.read(lambda connection: read_entries(connection, 0, 4))
    assert [entry.event().seq for entry in entries] == [0, 1, 2, 3]
    with pytest.raises(LogCorrupt, match="entry 4: ") as caught:
        [entry.event() for entry in read_log(mixed, LogQuery(start=4))]
    assert caught.value.seq == 4


@pytest.mark.parametrize(
    "damage",
    [
        "entry = x'7b7d'",
        "entry = NULL",
        "hashes = 32",
        "hashes = 'text'",
        "entry = 17",
    ],
)
def test_an_altered_entry_of_a_stream_is_named(mixed: Database, damage: str) -> None:
    raw.edit(_file(mixed), f"UPDATE log_entry SET {damage} WHERE seq = 4")
    with pytest.raises(LogCorrupt, match="entry 4: ") as caught:
        mixed.read(lambda connection: read_stream(connection, "certificate/1"))
    assert caught.value.seq == 4


def test_bytes_that_were_hashed_anew_must_still_be_an_event(mixed: Database) -> None:
    raw.edit(
        _file(mixed),
        "UPDATE log_entry SET entry = x'7b7d', hashes = "
        "x'28a3a18f6cd6406b086e9ffda1f9b8a13dbcf44b0f3f32cb9031a11fd053acf9' WHERE seq = 4",
    )
    with pytest.raises(LogCorrupt, match="entry 4: ") as caught:
        [entry.event() for entry in read_log(mixed, LogQuery(start=4))]
    assert caught.value.seq == 4


def test_bytes_moved_to_another_position_are_named(mixed: Database) -> None:
    raw.edit(
        _file(mixed),
        """UPDATE log_entry SET (entry, hashes) =
        (SELECT entry, hashes FROM log_entry WHERE seq = 7) WHERE seq = 4""",
    )
    with pytest.raises(LogCorrupt, match="its bytes are those of entry 7") as caught:
        [entry.event() for entry in read_log(mixed, LogQuery())]
    assert caught.value.seq == 4


@pytest.mark.parametrize("damage", ["recorded_at = 'yesterday'", "recorded_at = 7", "seq = 99"])
def test_a_time_that_cannot_be_found_names_the_entry(mixed: Database, damage: str) -> None:
    """The bisection of 30 entries begins in the middle."""
    raw.edit(_file(mixed), f"UPDATE log_entry SET {damage} WHERE seq = 15")
    with pytest.raises(LogCorrupt, match="entry 15: ") as caught:
        mixed.read(lambda connection: position_at(connection, START, 30))
    assert caught.value.seq == 15
