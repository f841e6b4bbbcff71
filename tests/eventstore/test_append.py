"""Appending: expected versions, hashes, times, and a head that must be whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from certledger.errors import (
    ClockBehindLog,
    ConcurrencyConflict,
    EntryTooLarge,
    InvalidEvent,
    InvalidValue,
    LogCorrupt,
)
from certledger.eventstore.actor import Actor
from certledger.eventstore.append import Tail
from certledger.eventstore.database import Database
from certledger.eventstore.event import Event, load_event, read_event
from certledger.eventstore.head import Head, name_log, read_head
from certledger.eventstore.merkle import HASH_SIZE, leaf_hash
from certledger.eventstore.reader import Entry, read_entries, read_stream
from certledger.eventstore.times import naive_utc
from certledger.testing.clock import FakeClock
from certledger.testing.rfc6962 import largest_power_of_two_below, naive_root
from tests.support import raw
from tests.support.given import SERIAL, START, deleted, issued, revoked
from tests.support.log import ORIGIN, append, fill, make_log, new, on_tail, registration

STREAM = f"certificate/{SERIAL}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def log(url: str, clock: FakeClock) -> Iterator[Database]:
    database = make_log(url, clock)
    yield database
    database.close()


def head_of(log: Database) -> Head:
    return log.read(read_head)


def entries_of(log: Database) -> list[Entry]:
    return log.read(lambda connection: read_entries(connection, 0, 100_000))


def bytes_of(log: Database) -> list[bytes]:
    return [entry.entry for entry in entries_of(log) if entry.entry is not None]


# Expected versions


def test_events_are_appended_to_a_stream_of_the_expected_version(
    log: Database, clock: FakeClock
) -> None:
    (first,) = append(log, clock, [new(issued())], expected_version=0)
    (second,) = append(log, clock, [new(revoked())], expected_version=1)
    assert [(e.seq, e.streamversion) for e in (first, second)] == [(0, 0), (1, 1)]
    assert log.read(lambda connection: read_stream(connection, STREAM)) == [first, second]


def test_the_stream_has_what_was_appended_in_the_same_transaction(
    log: Database, clock: FakeClock
) -> None:
    def work(tail: Tail) -> None:
        (first,) = tail.append([new(issued())], expected_version=0)
        assert tail.stream(STREAM) == [first]
        (second,) = tail.append([new(revoked())], expected_version=1)
        assert tail.stream(STREAM) == [first, second]
        assert (tail.version(STREAM), tail.size, tail.head.size) == (2, 2, 0)
        tail.flush()
        tail.append([new(deleted())], expected_version=2)
        assert [event.seq for event in tail.stream(STREAM)] == [0, 1, 2]

    on_tail(log, clock, work)


def test_several_events_of_one_stream_are_appended_at_once(log: Database, clock: FakeClock) -> None:
    events = [new(issued()), new(revoked()), new(deleted())]
    recorded = append(log, clock, events, expected_version=0)
    assert [event.streamversion for event in recorded] == [0, 1, 2]
    assert log.read(lambda connection: read_stream(connection, STREAM)) == recorded


@pytest.mark.parametrize("expected", [0, 1, 3, 1_000, -1])
def test_another_version_than_expected_is_a_conflict_that_names_both(
    log: Database, clock: FakeClock, expected: int
) -> None:
    append(log, clock, [new(issued()), new(revoked())], expected_version=0)
    before = raw.log_of(_file(log))
    with pytest.raises(ConcurrencyConflict) as caught:
        append(log, clock, [new(deleted())], expected_version=expected)
    assert (caught.value.expected, caught.value.actual) == (expected, 2)
    assert caught.value.subject == STREAM
    assert f"expected version {expected}, actual version 2" in str(caught.value)
    assert raw.log_of(_file(log)) == before


def test_a_conflict_is_found_within_one_transaction_too(log: Database, clock: FakeClock) -> None:
    def work(tail: Tail) -> None:
        tail.append([new(issued())], expected_version=0)
        with pytest.raises(ConcurrencyConflict) as caught:
            tail.append([new(revoked())], expected_version=0)
        assert (caught.value.expected, caught.value.actual) == (0, 1)
        tail.append([new(revoked())], expected_version=1)

    on_tail(log, clock, work)
    assert [entry.streamversion for entry in entries_of(log)] == [0, 1]


def test_one_append_takes_events_of_one_stream(log: Database, clock: FakeClock) -> None:
    """`expected_version` speaks of one stream."""
    events = [registration(1), registration(2)]
    with pytest.raises(InvalidValue, match="in one append"):
        append(log, clock, events, expected_version=0)
    assert head_of(log).size == 0


def test_the_expected_version_cannot_be_left_out(log: Database, clock: FakeClock) -> None:
    def work(tail: Tail) -> None:
        tail.append([new(issued())])  # type: ignore[call-arg]

    with pytest.raises(TypeError, match="expected_version"):
        on_tail(log, clock, work)


def test_appending_nothing_changes_nothing(log: Database, clock: FakeClock) -> None:
    before = raw.log_of(_file(log))
    assert append(log, clock, [], expected_version=0) == []
    assert raw.log_of(_file(log)) == before


def test_what_was_not_flushed_is_not_there(log: Database, clock: FakeClock) -> None:
    def work(connection: Any, _retrying: bool) -> None:
        Tail(connection, clock).append([new(issued())], expected_version=0)

    log.write(work)
    assert head_of(log).size == 0
    assert entries_of(log) == []


def test_an_event_that_cannot_be_recorded_leaves_no_gap(log: Database, clock: FakeClock) -> None:
    def work(tail: Tail) -> None:
        tail.append([registration(1)], expected_version=0)
        with pytest.raises(EntryTooLarge):
            tail.append([new(issued(comment="x" * 65_535))], expected_version=0)
        with pytest.raises(InvalidEvent):
            tail.append([new(issued(), subject="certificate/1")], expected_version=1)
        half_good = [new(issued()), new(revoked(comment="x" * 65_535))]
        with pytest.raises(EntryTooLarge):
            tail.append(half_good, expected_version=0)
        tail.append([registration(2)], expected_version=0)

    on_tail(log, clock, work)
    assert [entry.seq for entry in entries_of(log)] == [0, 1]
    assert head_of(log).root == naive_root(bytes_of(log))


# Bytes, columns, hashes


def test_the_columns_say_what_the_bytes_say(log: Database, clock: FakeClock) -> None:
    alice = Actor("alice@example.org", "app_user", None, "CHG-1", "mail/2")
    (first,) = append(log, clock, [new(issued(), alice)], expected_version=0)
    clock.step(hours=1, microseconds=7)
    append(log, clock, [new(revoked(), Actor("bob")), new(deleted())], expected_version=1)
    for entry in entries_of(log):
        assert entry.entry is not None
        event = read_event(entry.entry)
        assert entry == Entry(
            seq=event.seq,
            hashes=entry.hashes,
            event_id=event.id,
            subject=event.subject,
            streamversion=event.streamversion,
            type=event.type,
            actor=event.authid,
            uuid=event.data.uuid_taken,
            recorded_at=naive_utc(event.recordedtime),
            entry=event.to_entry(),
        )
        assert event.source == ORIGIN
        assert entry.event() == event
    assert entries_of(log)[0].event() == first
    assert [entry.uuid for entry in entries_of(log)] == ["folder-1", None, None]


def test_the_hashes_are_the_leaf_and_the_subtrees_that_it_completes(
    log: Database, clock: FakeClock
) -> None:
    for first, count in ((0, 1), (1, 4), (5, 7), (12, 120)):
        fill(log, clock, count, first=first)
    stored = bytes_of(log)
    for seq, entry in enumerate(entries_of(log)):
        hashes = [
            entry.hashes[at : at + HASH_SIZE] for at in range(0, len(entry.hashes), HASH_SIZE)
        ]
        assert hashes[0] == leaf_hash(stored[seq])
        completed = [2**k for k in range(9) if (seq + 1) % 2**k == 0]
        assert hashes == [naive_root(stored[seq + 1 - size : seq + 1]) for size in completed]


def test_head_root_and_frontier_are_those_of_the_tree_after_every_append(
    log: Database, clock: FakeClock
) -> None:
    assert head_of(log).root == naive_root([])
    for first, count in ((0, 1), (1, 1), (2, 1), (3, 1), (4, 3), (7, 30), (37, 1), (38, 90)):
        fill(log, clock, count, first=first)
        stored = bytes_of(log)
        head = head_of(log)
        assert (head.size, head.root) == (first + count, naive_root(stored))
        assert head.frontier == b"".join(_peaks(stored))


def _peaks(stored: list[bytes]) -> Iterator[bytes]:
    while stored:
        size = largest_power_of_two_below(len(stored) + 1)
        yield naive_root(stored[:size])
        stored = stored[size:]


def test_thousands_of_events_fit_in_one_transaction(log: Database, clock: FakeClock) -> None:
    fill(log, clock, 2_500)
    fill(log, clock, 5, first=2_500)
    entries = entries_of(log)
    assert [entry.seq for entry in entries] == list(range(2_505))
    assert head_of(log).root == naive_root(bytes_of(log))


def test_the_golden_order_of_writes_is_entries_then_head(log: Database, clock: FakeClock) -> None:
    """Whoever reads between sees neither or both: they change in one transaction."""
    sizes = []

    def work(connection: Any, _retrying: bool) -> None:
        tail = Tail(connection, clock)
        tail.append([new(issued())], expected_version=0)
        tail.flush()
        with raw.opened(_file(log)) as stranger:
            sizes.append(stranger.execute("SELECT size FROM log_head").fetchone()[0])
            sizes.append(stranger.execute("SELECT count(*) FROM log_entry").fetchone()[0])

    log.write(work)
    assert sizes == [0, 0]
    assert head_of(log).size == len(entries_of(log)) == 1


# Times


def recorded_times(log: Database) -> list[datetime]:
    return [entry.event().recordedtime for entry in entries_of(log)]


def test_all_of_a_transaction_is_recorded_at_one_instant(log: Database, clock: FakeClock) -> None:
    def ticking() -> datetime:
        return clock.step(seconds=1)

    fill(log, ticking, 3)
    assert len(set(recorded_times(log))) == 1


@pytest.mark.parametrize(
    ("back", "noted"),
    [
        (timedelta(microseconds=1), False),
        (timedelta(seconds=1), False),
        (timedelta(seconds=1, microseconds=1), True),
        (timedelta(minutes=1), True),
        (timedelta(hours=24), True),
    ],
)
def test_recorded_time_never_goes_back_and_a_late_clock_is_noted(
    log: Database, clock: FakeClock, back: timedelta, noted: bool
) -> None:
    """Up to a second is the usual trembling of clocks; more is kept as `clocktime`."""
    fill(log, clock, 1)
    last = clock.now
    clock.now -= back
    (event,) = append(log, clock, [registration(1)], expected_version=0)
    assert event.recordedtime == last
    assert event.clocktime == (clock.now if noted else None)
    stored = bytes_of(log)[1]
    assert (b"clocktime" in stored) is noted
    assert load_event(stored).clocktime == event.clocktime
    assert head_of(log).recorded_at == last


def test_the_clock_is_believed_again_once_it_has_caught_up(log: Database, clock: FakeClock) -> None:
    fill(log, clock, 1)
    clock.step(hours=-2)
    fill(log, clock, 1, first=1)
    clock.step(hours=3)
    fill(log, clock, 1, first=2)
    times = recorded_times(log)
    assert times == [START, START, START + timedelta(hours=1)]
    assert entries_of(log)[2].event().clocktime is None


def test_a_clock_more_than_a_day_behind_the_log_is_refused(log: Database, clock: FakeClock) -> None:
    fill(log, clock, 1)
    before = raw.log_of(_file(log))
    clock.step(hours=-24, microseconds=-1)
    with pytest.raises(ClockBehindLog) as caught:
        fill(log, clock, 1, first=1)
    assert (caught.value.clock, caught.value.head) == (clock.now, START)
    assert raw.log_of(_file(log)) == before


def test_a_clock_more_than_a_day_behind_can_be_allowed(log: Database, clock: FakeClock) -> None:
    fill(log, clock, 1)
    clock.step(days=-400)
    (event,) = on_tail(
        log,
        clock,
        lambda tail: tail.append([registration(1)], expected_version=0),
        allow_clock_behind=True,
    )
    assert (event.recordedtime, event.clocktime) == (START, clock.now)


def test_an_empty_log_accepts_any_clock(log: Database, clock: FakeClock) -> None:
    clock.now = datetime(1970, 1, 1, tzinfo=UTC)
    fill(log, clock, 1)
    assert head_of(log).recorded_at == clock.now


def test_a_clock_of_another_time_zone_is_recorded_in_utc(log: Database) -> None:
    zone = datetime.fromisoformat("2026-01-01T02:00:00+02:00")
    fill(log, lambda: zone, 1)
    assert b'"recordedtime":"2026-01-01T00:00:00.000000Z"' in bytes_of(log)[0]


# Damage


def _file(log: Database) -> Path:
    assert log.file is not None
    return log.file


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE log_head SET root = zeroblob(32)",
        "UPDATE log_head SET root = 'no hash'",
        "UPDATE log_head SET root = 32",
        "UPDATE log_head SET frontier = x''",
        "UPDATE log_head SET frontier = zeroblob(64)",
        "UPDATE log_head SET frontier = zeroblob(96)",
        "UPDATE log_head SET frontier = 'no hashes'",
        "UPDATE log_head SET size = 2",
        "UPDATE log_head SET size = 4",
        "UPDATE log_head SET size = -3",
        "UPDATE log_head SET size = 'many'",
        "UPDATE log_head SET size = 3.5",
        "UPDATE log_head SET size = 0, root = x'', frontier = x''",
        "UPDATE log_head SET recorded_at = NULL",
        "UPDATE log_head SET recorded_at = 'yesterday'",
        "UPDATE log_head SET recorded_at = 20260101",
        "UPDATE log_head SET created = x'ff'",
        "UPDATE log_head SET origin = x'ff'",
        "UPDATE log_head SET origin = 'no origin'",
        "UPDATE log_head SET format = 'x'",
        "DELETE FROM log_head",
        "DELETE FROM log_entry WHERE seq = 2",
        "UPDATE log_entry SET seq = 3 WHERE seq = 2",
        """INSERT INTO log_entry SELECT 3, hashes, 'id', 'certificate/9', 0, type, actor, uuid,
        recorded_at, entry FROM log_entry WHERE seq = 0""",
    ],
)
def test_nothing_is_appended_to_a_log_whose_end_is_damaged(
    log: Database, clock: FakeClock, damage: str
) -> None:
    fill(log, clock, 3)
    raw.edit(_file(log), damage)
    before = raw.log_of(_file(log))
    with pytest.raises(LogCorrupt, match="certledger verify"):
        fill(log, clock, 1, first=3)
    assert raw.log_of(_file(log)) == before


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE log_entry SET entry = x'7b7d' WHERE seq = 1",
        "UPDATE log_entry SET entry = NULL WHERE seq = 1",
        "UPDATE log_entry SET hashes = zeroblob(32) WHERE seq = 1",
        """UPDATE log_entry SET (entry, hashes) =
        (SELECT entry, hashes FROM log_entry WHERE seq = 0) WHERE seq = 1""",
    ],
)
def test_nothing_is_decided_on_a_stream_with_altered_bytes(
    log: Database, clock: FakeClock, damage: str
) -> None:
    fill(log, clock, 3)
    raw.edit(_file(log), damage)
    with pytest.raises(LogCorrupt, match="entry 1: ") as caught:
        on_tail(log, clock, lambda tail: tail.stream("certificate/1"))
    assert caught.value.seq == 1
    assert head_of(log).size == 3


def test_an_entry_moved_into_another_stream_is_refused(log: Database, clock: FakeClock) -> None:
    fill(log, clock, 3)
    raw.edit(_file(log), "UPDATE log_entry SET subject = 'certificate/7' WHERE seq = 1")
    with pytest.raises(LogCorrupt, match="its bytes say certificate/1") as caught:
        on_tail(log, clock, lambda tail: tail.stream("certificate/7"))
    assert caught.value.seq == 1


# The name


def test_the_origin_can_be_set_until_the_first_event(log: Database, clock: FakeClock) -> None:
    def rename(name: str) -> bool:
        return log.write(lambda connection, _: name_log(connection, name))

    assert rename("one.example.org")
    assert rename("two.example.org")
    (event,) = append(log, clock, [new(issued())], expected_version=0)
    assert not rename("three.example.org")
    assert event.source == head_of(log).origin == "two.example.org"


def test_an_event_id_that_is_taken_is_refused_by_the_log(log: Database, clock: FakeClock) -> None:
    (first,) = append(log, clock, [registration(1)], expected_version=0)
    with pytest.raises(LogCorrupt, match="event_id exists"):
        append(log, clock, [new(issued(), id=first.id)], expected_version=0)
    assert [entry.event() for entry in entries_of(log)] == [first]


def test_extensions_and_the_time_of_the_source_are_recorded(
    log: Database, clock: FakeClock
) -> None:
    (event,) = append(
        log,
        clock,
        [
            new(
                issued(),
                occurred=START - timedelta(days=9),
                timesource="notbefore",
                extensions={"importsource": "index.txt", "line": 7},
            )
        ],
        expected_version=0,
    )
    stored: Event = entries_of(log)[0].event()
    assert stored == event
    assert stored.time == START - timedelta(days=9)
    assert stored.extensions == {"importsource": "index.txt", "line": 7}
