"""Reading several streams and uuids at once gives what reading them one by one gives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from certledger.errors import LogCorrupt
from certledger.eventstore.append import Tail
from certledger.eventstore.database import Database
from certledger.eventstore.known import Known, read_known
from certledger.eventstore.lifecycle import stream_of
from certledger.eventstore.reader import read_stream, subjects_with_uuid
from certledger.testing.clock import FakeClock
from tests.support import raw
from tests.support.given import deleted, issued, revoked
from tests.support.log import fill, make_log, new, on_tail

FILLED = 120


@pytest.fixture
def database(url: str, clock: FakeClock) -> Iterator[Database]:
    """A log in which the uuid of serial 0 went on to serial 1000, and serial 1 was revoked."""
    opened = make_log(url, clock)
    fill(opened, clock, FILLED)

    def more(tail: Tail) -> None:
        tail.append([new(deleted(serial_number="0", uuid="folder-0"))], expected_version=1)
        tail.append([new(issued(serial_number="1000", uuid="folder-0"))], expected_version=0)
        tail.append([new(revoked(serial_number="1"))], expected_version=1)

    on_tail(opened, clock, more)
    yield opened
    opened.close()


def known(database: Database, subjects: list[str], uuids: list[str]) -> Known:
    return database.read(lambda connection: read_known(connection, subjects, uuids))


@pytest.mark.parametrize("count", [0, 1, 2, 49, 50, 51, 101, FILLED + 5])
@pytest.mark.parametrize("with_uuids", [False, True])
def test_many_at_once_are_what_one_by_one_gives(
    database: Database, count: int, with_uuids: bool
) -> None:
    subjects = [stream_of(serial) for serial in range(count)]
    uuids = [f"folder-{serial}" for serial in range(count)] if with_uuids else []

    found = known(database, subjects, uuids)

    assert found.streams == database.read(
        lambda connection: {subject: read_stream(connection, subject) for subject in subjects}
    )
    assert found.holders == database.read(
        lambda connection: {uuid: subjects_with_uuid(connection, uuid) for uuid in uuids}
    )


def test_more_uuids_than_streams_and_none_at_all_are_found(database: Database) -> None:
    uuids = [f"folder-{serial}" for serial in range(60)]
    found = known(database, [stream_of(5)], uuids)
    assert [event.subject for event in found.streams[stream_of(5)]] == [stream_of(5)]
    assert found.holders["folder-0"] == [stream_of(0), stream_of(1000)]
    assert found.holders["folder-59"] == [stream_of(59)]
    assert known(database, [], []) == Known({}, {})


def test_a_changed_entry_of_one_of_the_streams_is_an_error(database: Database, url: str) -> None:
    file = database.file
    assert file is not None
    raw.edit(
        file, "UPDATE log_entry SET entry = replace(entry, 'folder-7', 'folder-8') WHERE seq = 7"
    )
    with pytest.raises(LogCorrupt, match="entry 7"):
        known(database, [stream_of(serial) for serial in range(20)], [])
