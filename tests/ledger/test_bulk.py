"""Many at once: batches, outcomes in order, refusals that hold up nobody, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache

import pytest
from cryptography import x509

from certledger.bulk import BATCH, Outcome, Registration
from certledger.errors import (
    DuplicateSerial,
    DuplicateUuid,
    InvalidCertificate,
    InvalidValue,
    StorageUnavailable,
)
from certledger.ledger import Ledger
from certledger.testing.certificates import make_certificate, pem
from certledger.testing.clock import FakeClock
from tests.support import raw
from tests.support.lost_answer import broken, lost_answers


@cache
def certificate(serial: int, days: int = 90) -> x509.Certificate:
    return make_certificate(f"host-{serial}.example.org", serial=serial, days=days)


def registrations(first: int, count: int) -> Iterator[Registration]:
    for serial in range(first, first + count):
        yield Registration(certificate(serial), f"file-{serial}")


def seqs(outcomes: list[Outcome]) -> list[int | None]:
    return [None if outcome.event is None else outcome.event.seq for outcome in outcomes]


# Registering


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH + 500])
def test_any_number_is_registered_in_order_and_told_batch_by_batch(
    ledger: Ledger, count: int
) -> None:
    told: list[int] = []
    outcomes = list(ledger.issue_many(registrations(1, count), progress=told.append))
    assert seqs(outcomes) == list(range(count))
    assert [outcome.source for outcome in outcomes] == [f"file-{n}" for n in range(1, count + 1)]
    assert told == [*range(BATCH, count, BATCH), *([count] if count else [])]
    assert ledger.head().size == ledger.count() == count
    assert list(ledger.drift()) == []


def test_nothing_happens_until_the_outcomes_are_asked_for(ledger: Ledger) -> None:
    outcomes = ledger.issue_many(registrations(1, 3))
    assert ledger.head().size == 0
    assert len(list(outcomes)) == 3


def test_an_outcome_is_told_only_when_its_batch_is_durable(ledger: Ledger) -> None:
    read: list[int] = []

    def source() -> Iterator[Registration]:
        for registration in registrations(1, BATCH + 10):
            read.append(1)
            yield registration

    outcomes = ledger.issue_many(source())
    next(outcomes)
    assert ledger.head().size == len(read) == BATCH
    assert len(list(outcomes)) == BATCH + 9
    assert ledger.head().size == BATCH + 10


def test_a_batch_is_one_transaction(ledger: Ledger) -> None:
    with lost_answers(ledger.database, committed=False, error=broken) as lost:
        with pytest.raises(StorageUnavailable):
            list(ledger.issue_many(registrations(1, 50)))
        assert lost == [False]
    assert ledger.head().size == ledger.count() == 0


def test_what_was_told_before_a_failure_stays(ledger: Ledger) -> None:
    told: list[Outcome] = []

    def fail_at_the_end() -> Iterator[Registration]:
        yield from registrations(1, BATCH + 1)
        message = "the disk with the files is gone"
        raise OSError(message)

    with pytest.raises(OSError, match="is gone"):
        told.extend(ledger.issue_many(fail_at_the_end()))
    assert seqs(told) == list(range(BATCH))
    assert ledger.head().size == BATCH
    outcomes = list(ledger.issue_many(registrations(1, BATCH + 1)))
    assert [outcome.already_there for outcome in outcomes] == [True] * BATCH + [False]


def test_refusals_hold_up_nobody_and_say_why(ledger: Ledger) -> None:
    ledger.issue(certificate(7), uuid="seven")
    odd: list[tuple[Registration, type[Exception] | None]] = [
        (Registration(certificate(1)), None),
        (Registration(b"junk"), InvalidCertificate),
        (Registration(pem(certificate(2))), None),
        (Registration(certificate(1)), DuplicateSerial),
        (Registration(make_certificate("other", serial=2)), DuplicateSerial),
        (Registration(certificate(7)), DuplicateSerial),
        (Registration(certificate(3), uuid="seven"), DuplicateUuid),
        (Registration(certificate(3), uuid="three"), None),
        (Registration(certificate(4), uuid="three"), DuplicateUuid),
        (Registration(certificate(5), key_type="robot"), InvalidValue),
        (Registration(certificate(5), uuid=""), InvalidValue),
        (Registration(certificate(5), key_type="ca", uuid="five"), None),
    ]
    outcomes = list(ledger.issue_many(registration for registration, _ in odd))
    assert [type(outcome.error) if outcome.error else None for outcome in outcomes] == [
        error for _, error in odd
    ]
    assert [outcome.already_there for outcome in outcomes] == [n in {3, 5} for n in range(12)]
    assert ledger.head().size == 5
    assert (ledger.get(5).key_type, ledger.get(5).uuid) == ("ca", "five")
    assert list(ledger.drift()) == []


def test_a_batch_of_refusals_alone_writes_nothing(ledger: Ledger) -> None:
    ledger.issue(certificate(1))
    assert ledger.file is not None
    before = raw.log_of(ledger.file)
    outcomes = list(ledger.issue_many([Registration(certificate(1)), Registration("")]))
    assert [outcome.event for outcome in outcomes] == [None, None]
    assert raw.log_of(ledger.file) == before


def test_registering_the_same_again_is_all_already_there(ledger: Ledger) -> None:
    list(ledger.issue_many(registrations(1, 300)))
    outcomes = list(ledger.issue_many(registrations(1, 300)))
    assert all(outcome.already_there for outcome in outcomes)
    assert ledger.head().size == 300


def test_a_reader_that_stops_early_leaves_whole_batches(ledger: Ledger) -> None:
    outcomes = ledger.issue_many(registrations(1, BATCH + 500))
    next(outcomes)
    del outcomes
    assert ledger.head().size == ledger.count() == BATCH
    ledger.issue(certificate(5_000))


def test_others_write_between_the_batches(ledger: Ledger) -> None:
    with Ledger(ledger.url) as other:

        def source() -> Iterator[Registration]:
            yield from registrations(1, BATCH)
            other.issue(certificate(9_000))
            yield from registrations(BATCH + 1, 2)

        assert seqs(list(ledger.issue_many(source()))) == [
            *range(BATCH),
            BATCH + 1,
            BATCH + 2,
        ]


# Sweeping


@pytest.fixture
def due(ledger: Ledger, clock: FakeClock) -> Callable[[int], None]:
    """Registers so many certificates that are past their end afterwards."""

    def register(count: int) -> None:
        for outcome in ledger.issue_many(registrations(1, count)):
            assert outcome.error is None
        clock.now = certificate(1).not_valid_after_utc + timedelta(days=1)

    return register


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH + 500])
def test_any_number_is_swept_in_batches(
    ledger: Ledger, due: Callable[[int], None], count: int
) -> None:
    due(count)
    told: list[int] = []
    assert ledger.expire_due(progress=told.append) == count
    assert told == [*range(BATCH, count, BATCH), *([count] if count else [])]
    assert ledger.count(status="expired") == count
    assert ledger.head().size == 2 * count
    assert ledger.expire_due() == 0
    assert list(ledger.drift()) == []


def test_a_sweep_with_nothing_due_takes_no_lock(ledger: Ledger, due: Callable[[int], None]) -> None:
    due(0)
    ledger.issue(certificate(1, days=9_000))
    assert ledger.file is not None
    with raw.opened(ledger.file) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with Ledger(ledger.url, retry_seconds=0) as other:
            assert other.expire_due() == 0


def test_a_failure_in_a_later_batch_leaves_the_earlier_ones(
    ledger: Ledger, due: Callable[[int], None]
) -> None:
    due(BATCH + 5)
    told: list[int] = []

    def spoil(done: int) -> None:
        told.append(done)
        dialect = ledger.database.engine.dialect
        commit = dialect.do_commit

        def fail(connection: object) -> None:
            dialect.do_commit = commit  # type: ignore[method-assign]
            raise broken()

        if done == BATCH:
            dialect.do_commit = fail  # type: ignore[method-assign,assignment]

    with pytest.raises(StorageUnavailable):
        ledger.expire_due(progress=spoil)
    assert told == [BATCH]
    assert ledger.count(status="expired") == BATCH
    assert ledger.expire_due() == 5


def test_the_sweep_takes_only_valid_ones_past_their_end(ledger: Ledger, clock: FakeClock) -> None:
    for serial in range(1, 6):
        ledger.issue(certificate(serial))
    ledger.issue(certificate(6, days=900))
    ledger.revoke(1)
    ledger.delete(2)
    clock.now = certificate(1).not_valid_after_utc + timedelta(days=1)
    assert ledger.expire_due() == 3
    assert {r.serial_number for r in ledger.list(status="expired")} == {"3", "4", "5"}
    assert (ledger.get(1).status, ledger.get(6).status) == ("revoked", "valid")


def test_many_with_one_end_are_swept_across_batches(ledger: Ledger, clock: FakeClock) -> None:
    """The order by end alone would lose some where a batch ends among equals."""
    start = clock.now.replace(microsecond=0)
    end = start + timedelta(days=1)
    many = [
        Registration(make_certificate(serial=serial, start=start, end=end))
        for serial in range(1, BATCH + 300)
    ]
    list(ledger.issue_many(many))
    clock.step(days=2)
    assert ledger.expire_due() == BATCH + 299
