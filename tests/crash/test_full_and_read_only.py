"""A disk that is full and ground that cannot be written: typed errors, nothing half-written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from certledger import Ledger
from certledger.bulk import Registration
from certledger.errors import StorageUnavailable
from certledger.testing.certificates import make_certificate
from certledger.testing.whole import check_whole
from tests.support.worker import Worker


@contextmanager
def pages_left(ledger: Ledger, pages: int) -> Iterator[None]:
    """Let the file grow by so many pages only, on every connection that is made meanwhile."""

    def limit(connection: Any, _record: object) -> None:
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={count + pages}")

    engine = ledger.database.engine
    ledger.close()
    event.listen(engine, "connect", limit)
    yield
    ledger.close()
    event.remove(engine, "connect", limit)


def endless(ledger: Ledger) -> Iterator[str]:
    """Register for ever; yields the ids of the events."""
    while True:
        yield ledger.issue(make_certificate()).id


def test_a_full_disk_is_a_typed_error_and_loses_nothing(url: str) -> None:
    with Ledger(url) as ledger:
        acknowledged = [ledger.issue(make_certificate()).id]
        with pages_left(ledger, 20):
            with pytest.raises(StorageUnavailable, match="full"):
                acknowledged.extend(endless(ledger))
            assert [event.id for event in ledger.events()] == acknowledged
            assert list(ledger.drift()) == []
        acknowledged.append(ledger.issue(make_certificate()).id)
    assert len(acknowledged) > 2
    assert [event.id for event in check_whole(url)] == acknowledged


def test_a_batch_that_does_not_fit_leaves_nothing_behind(url: str) -> None:
    batch = [Registration(make_certificate()) for _ in range(200)]
    with Ledger(url) as ledger:
        first = ledger.issue(make_certificate())
        with pages_left(ledger, 20), pytest.raises(StorageUnavailable, match="full"):
            list(ledger.issue_many(batch))
        assert [event.id for event in check_whole(url)] == [first.id]
        assert all(outcome.event for outcome in ledger.issue_many(batch))
    assert len(check_whole(url)) == 201


def test_files_that_may_not_grow_are_a_typed_error_and_lose_nothing(file: Path, url: str) -> None:
    with Worker("limited", url, file) as worker:
        worker.go()
        reports = worker.rest()
    acknowledged = [report["event"] for report in reports if "event" in report]
    assert [report["error"] for report in reports if "error" in report] == [
        "StorageUnavailable",
        "StorageUnavailable",
    ]
    assert "event" in reports[-1], "it goes on once files may grow again"
    assert len(acknowledged) > 2
    assert [event.id for event in check_whole(url)] == acknowledged


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that other users can reach, unlike `tmp_path`."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o777), (0o444, 0o555)])
def test_a_file_that_cannot_be_written_can_be_read_and_refuses_changes(
    shared_folder: Path, file_mode: int, folder_mode: int
) -> None:
    file = shared_folder / "registry.db"
    with Ledger(f"sqlite:///{file}") as ledger:
        recorded = ledger.issue(make_certificate())
    contents = file.read_bytes()
    file.chmod(file_mode)
    shared_folder.chmod(folder_mode)
    with Worker("read_only", f"sqlite:///{file}") as worker:
        worker.go()
        answer = worker.hear()
    assert answer["read"] == [recorded.subject.partition("/")[2], 1, 1]
    assert answer["findings"] == []
    assert answer["errors"] == ["ReadOnlyRegistry"] * 3
    assert file.read_bytes() == contents
