"""Others may write to the source while it is copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certledger import Ledger
from certledger.copying import CopyReport, copy
from certledger.errors import IncompleteCopy
from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.copying.contents import SIZE, contents, findings, url_of
from tests.support.log import ORIGIN
from tests.support.signed import sign_log

NEW_KEY = SigningKey(ORIGIN, KeyKind.ED25519, b"n" * 32)


@pytest.fixture
def writer(source_file: Path) -> Iterator[Ledger]:
    """Somebody who uses the source."""
    with Ledger(url_of(source_file)) as ledger:
        yield ledger


def copied_while(
    source: Path, target: Path, at: int, work: Callable[[], object], times: int = 1
) -> CopyReport:
    """Copy, and do something as soon as the progress has come so far."""
    left = times

    def progress(done: int, _total: int) -> None:
        nonlocal left
        if done >= at and left:
            left -= 1
            work()

    return copy(url_of(source), url_of(target), progress=progress)


def change(ledger: Ledger) -> None:
    """Change what is in the tables in every way."""
    ledger.revoke(10_010)
    ledger.delete(10_011)
    ledger.issue(make_certificate("late.example.org", serial=77))
    ledger.delete(10_012)
    ledger.issue(make_certificate("again.example.org", serial=10_012))


def test_what_is_recorded_while_entries_are_copied_is_copied_too(
    source_file: Path, target_file: Path, writer: Ledger, tmp_path: Path
) -> None:
    def work() -> None:
        change(writer)
        sign_log(writer.database, tmp_path, FakeClock(), NEW_KEY)

    report = copied_while(source_file, target_file, 1, work)
    assert (report.size, report.checkpoints) == (SIZE + 5, 4)
    assert (report.behind, report.source_drift) == (0, 0)
    assert contents(url_of(target_file)) == contents(url_of(source_file))
    assert findings(url_of(target_file)) == []


def test_what_is_recorded_later_is_told_and_is_no_drift(
    source_file: Path, target_file: Path, writer: Ledger
) -> None:
    report = copied_while(source_file, target_file, SIZE, lambda: change(writer))
    assert (report.size, report.source_size, report.behind) == (SIZE, SIZE + 5, 5)
    assert report.source_drift == 0
    assert findings(url_of(target_file)) == []


def test_drift_is_told_also_where_the_source_grows(
    source_file: Path, target_file: Path, writer: Ledger
) -> None:
    def work() -> None:
        change(writer)
        writer.database.write(
            lambda connection, _: connection.exec_driver_sql(
                "UPDATE certificates SET status = 'expired' WHERE serial_number = '10020'"
            )
        )

    report = copied_while(source_file, target_file, SIZE, work)
    assert (report.behind, report.source_drift) == (5, 1)


def test_copied_again_the_rest_follows(
    source_file: Path, target_file: Path, writer: Ledger
) -> None:
    copy(url_of(source_file), url_of(target_file))
    change(writer)
    report = copy(url_of(source_file), url_of(target_file))
    assert (report.size, report.copied, report.behind) == (SIZE + 5, 5, 0)
    assert contents(url_of(target_file)) == contents(url_of(source_file))
    assert findings(url_of(target_file)) == []


def test_while_the_rest_is_copied_the_registry_cannot_be_used(
    source_file: Path, target_file: Path, writer: Ledger
) -> None:
    copy(url_of(source_file), url_of(target_file))
    writer.revoke(10_010)
    told = []

    def use() -> None:
        with pytest.raises(IncompleteCopy) as refused:
            Ledger(url_of(target_file))
        told.append(refused.value.wanted)

    copied_while(source_file, target_file, 1, use)
    assert told == [SIZE + 1]


def test_a_source_that_always_grows_is_followed_a_bounded_number_of_times(
    source_file: Path, target_file: Path, writer: Ledger
) -> None:
    def work() -> None:
        writer.issue(make_certificate("busy.example.org", serial=writer.head().size + 50_000))

    report = copied_while(source_file, target_file, 1, work, times=50)
    assert report.behind > 0
    assert report.source_drift == 0
    assert findings(url_of(target_file)) == []


def test_progress_goes_on_to_the_end(original: Path, target_file: Path) -> None:
    told: list[tuple[int, int]] = []
    copy(url_of(original), url_of(target_file), progress=lambda *at: told.append(at))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {total for _, total in told} == {SIZE}
    assert told[-1] == (SIZE, SIZE)
