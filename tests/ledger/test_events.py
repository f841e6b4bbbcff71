"""Reading events through the Ledger: history, ranges by position and time, filters, damage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from certledger.bulk import Registration
from certledger.errors import InvalidValue, LogCorrupt, UnknownSerial
from certledger.eventstore.actor import acting_as
from certledger.eventstore.event import Event
from certledger.ledger import Ledger
from certledger.testing.certificates import make_ca
from certledger.testing.clock import FakeClock
from tests.support import raw

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
CA = make_ca()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(START)


@pytest.fixture
def registry(ledger: Ledger, clock: FakeClock) -> Ledger:
    """Ten events, an hour apart: 1 to 4 issued by alice, 1 and 2 revoked by bob, 1 deleted by
    alice, a CRL by carol, 4 expired and 1 issued again by alice.
    """

    def certificate(serial: int) -> Any:
        end = START + timedelta(hours=5.5 if serial == 4 else 5_000)
        return CA.issue(serial=serial, start=START - timedelta(days=1), end=end)

    steps: list[tuple[str, Callable[[], object]]] = [
        *(("alice", partial(ledger.issue, certificate(n))) for n in (1, 2, 3, 4)),
        ("bob", lambda: ledger.revoke(2)),
        ("bob", lambda: ledger.revoke(3)),
        ("alice", lambda: ledger.delete(1)),
        ("carol", lambda: ledger.crl(CA.certificate, CA.key)),
        ("alice", ledger.expire_due),
        ("alice", lambda: ledger.issue(certificate(1))),
    ]
    for name, step in steps:
        with acting_as(name):
            step()
        clock.step(hours=1)
    return ledger


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def seqs(events: Any) -> list[int]:
    return [event.seq for event in events]


def test_a_history_has_all_events_of_a_serial_oldest_first(registry: Ledger) -> None:
    history = registry.history(1)
    assert all(isinstance(event, Event) for event in history)
    assert seqs(history) == [0, 6, 9]
    assert [event.type.split(".")[2] for event in history] == ["issued", "deleted", "issued"]


@pytest.mark.parametrize("serial", [0, 5, 11, -1])
def test_a_serial_without_events_is_unknown(registry: Ledger, serial: int) -> None:
    with pytest.raises(UnknownSerial, match=f"serial {serial}"):
        registry.history(serial)


def test_all_events_are_read_in_both_directions(registry: Ledger) -> None:
    assert seqs(registry.events()) == list(range(10))
    assert seqs(registry.events(reverse=True)) == list(range(10))[::-1]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"since": 8}, [8, 9]),
        ({"until": 2}, [0, 1]),
        ({"since": 3, "until": 5}, [3, 4]),
        ({"since": 5, "until": 3}, []),
        ({"since": -3, "until": 99}, range(10)),
        ({"since": 10}, []),
        ({"since": at(8)}, [8, 9]),
        ({"since": at(7.5)}, [8, 9]),
        ({"until": at(2)}, [0, 1]),
        ({"until": at(1.5)}, [0, 1]),
        ({"since": at(3), "until": at(5)}, [3, 4]),
        ({"since": at(3), "until": 6}, [3, 4, 5]),
        ({"since": at(-1), "until": at(99)}, range(10)),
        ({"since": at(9.1)}, []),
        ({"until": at(-1)}, []),
        ({"type": "issued"}, [0, 1, 2, 3, 9]),
        ({"type": "ISSUED"}, [0, 1, 2, 3, 9]),
        ({"type": "certledger.certificate.issued.v1"}, [0, 1, 2, 3, 9]),
        ({"type": "revoked"}, [4, 5]),
        ({"type": "expired"}, [8]),
        ({"type": "deleted"}, [6]),
        ({"type": "crl"}, [7]),
        ({"type": "published"}, [7]),
        ({"type": "certledger.certificate.unheard.v9"}, []),
        ({"actor": "bob"}, [4, 5]),
        ({"actor": "nobody"}, []),
        ({"actor": "alice", "type": "issued", "since": at(1), "until": at(9)}, [1, 2, 3]),
    ],
)
def test_events_are_selected_by_position_time_type_and_actor(
    registry: Ledger, query: dict[str, Any], expected: Any, reverse: bool
) -> None:
    wanted = sorted(expected, reverse=reverse)
    assert seqs(registry.events(**query, reverse=reverse)) == wanted
    assert seqs(registry.events(**query, reverse=reverse, limit=1)) == wanted[:1]
    assert seqs(registry.events(**query, reverse=reverse, limit=99)) == wanted


@pytest.mark.parametrize("limit", [0, 1, 9, 10, 11])
def test_a_limit_is_kept(registry: Ledger, limit: int) -> None:
    assert seqs(registry.events(limit=limit)) == list(range(10))[:limit]
    assert seqs(registry.events(limit=limit, reverse=True)) == list(range(10))[::-1][:limit]


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ({"type": "renewed"}, "unknown event type 'renewed'; known are crl, deleted, expired"),
        ({"since": datetime(2026, 6, 1)}, "no time zone"),  # noqa: DTZ001 # refused for that
        ({"until": datetime(2026, 6, 1)}, "no time zone"),  # noqa: DTZ001 # the same
        ({"limit": -1}, "negative"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_at_once(
    registry: Ledger, query: dict[str, Any], match: str
) -> None:
    with pytest.raises(InvalidValue, match=match):
        registry.events(**query)


def test_an_instant_of_another_time_zone_selects_the_same(registry: Ledger) -> None:
    zone = datetime.fromisoformat("2026-06-01T17:00:00+02:00")
    assert seqs(registry.events(since=zone)) == list(range(3, 10))


def test_a_query_ends_where_the_log_ended_when_it_began(registry: Ledger) -> None:
    events = registry.events(since=8)
    first = next(events)
    registry.delete(1)
    assert [first.seq, *seqs(events)] == [8, 9]
    assert seqs(registry.events(since=8)) == [8, 9, 10]


def test_events_of_many_pages_are_read_one_page_at_a_time(ledger: Ledger) -> None:
    certificates = [Registration(CA.issue(serial=n)) for n in range(1, 2_502)]
    assert all(outcome.error is None for outcome in ledger.issue_many(certificates))
    events = ledger.events()
    assert next(events).seq == 0
    assert seqs(events) == list(range(1, 2_501))
    assert seqs(ledger.events(limit=1_500, reverse=True)) == list(range(2_500, 1_000, -1))


def test_an_altered_event_stops_the_reading_with_its_position(registry: Ledger) -> None:
    file = registry.file
    assert isinstance(file, Path)
    raw.edit(file, "UPDATE log_entry SET entry = replace(entry, 'bob', 'eve') WHERE seq = 4")
    events = registry.events()
    assert seqs(next(events) for _ in range(4)) == [0, 1, 2, 3]
    with pytest.raises(LogCorrupt, match="entry 4: ") as caught:
        next(events)
    assert caught.value.seq == 4
    with pytest.raises(LogCorrupt):
        registry.history(2)
    with pytest.raises(LogCorrupt):
        registry.delete(2)
    assert seqs(registry.history(3)) == [2, 5]
    assert registry.head().size == 10


def test_the_head_tells_how_far_the_log_has_come(registry: Ledger, clock: FakeClock) -> None:
    head = registry.head()
    assert (head.size, head.recorded_at, head.created) == (10, at(9), START)
