"""An identical registry from the entries of a log."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from certledger import Ledger
from certledger.errors import EvidenceRefused, ImportRejected, InvalidValue, LogCorrupt
from certledger.eventstore.canonical import canonical
from certledger.eventstore.database import Database
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.exporters.events import export_events
from certledger.importers.restore import Restored, restore_events
from tests.support import raw
from tests.support.clock import FakeClock
from tests.support.exported import Publisher
from tests.support.populated import populate
from tests.support.signed import TRUST


def exported(ledger: Ledger, path: Path) -> Path:
    with path.open("wb") as stream:
        export_events(ledger.database, stream)
    return path


def restored(path: Path, target: Path, checkpoint: Checkpoint | None = None) -> Restored:
    database = Database(f"sqlite:///{target}")
    try:
        return restore_events(path, database, checkpoint=checkpoint)
    finally:
        database.close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "restored.db"


@pytest.fixture
def lines(publisher: Publisher, clock: FakeClock, tmp_path: Path) -> Path:
    """The exported entries of a registry in which everything has happened."""
    populate(publisher.ledger, clock)
    return exported(publisher.ledger, tmp_path / "events.jsonl")


def test_the_restored_registry_is_identical(
    publisher: Publisher, lines: Path, target: Path
) -> None:
    done = restored(lines, target)
    head = publisher.ledger.head()
    assert (done.origin, done.size, done.root) == (head.origin, head.size, head.root)
    assert publisher.ledger.file is not None
    for table in ("log_entry", "certificates", "retired"):
        query = f"SELECT * FROM {table} ORDER BY 1"
        assert raw.rows(target, query) == raw.rows(publisher.ledger.file, query)
    with Ledger(f"sqlite:///{target}", create=False) as again:
        assert list(again.verify()) == list(publisher.ledger.verify())
        assert list(again.drift()) == []
        assert again.head().recorded_at == head.recorded_at


def test_a_line_is_an_entry_byte_for_byte(publisher: Publisher, lines: Path) -> None:
    assert publisher.ledger.file is not None
    entries = raw.rows(publisher.ledger.file, "SELECT entry FROM log_entry ORDER BY seq")
    assert lines.read_bytes() == b"".join(row["entry"] + b"\n" for row in entries)


def test_the_restored_registry_goes_on(lines: Path, target: Path, clock: FakeClock) -> None:
    size = restored(lines, target).size
    with Ledger(f"sqlite:///{target}", clock=clock) as ledger:
        clock.step(seconds=1)
        serial = int(ledger.list(status="valid")[0].serial_number)
        assert ledger.revoke(serial).seq == size


def test_more_entries_than_a_batch_are_restored(
    publisher: Publisher, tmp_path: Path, target: Path
) -> None:
    publisher.grow(1_003)
    assert restored(exported(publisher.ledger, tmp_path / "many.jsonl"), target).size == 1_003


def test_a_registry_with_entries_is_left_as_it_is(publisher: Publisher, lines: Path) -> None:
    before = publisher.ledger.head()
    with pytest.raises(InvalidValue, match="19 entries: restore into one that has none"):
        restore_events(lines, publisher.ledger.database)
    assert publisher.ledger.head() == before


Damage = Callable[[list[bytes]], list[bytes]]


def swapped(data: list[bytes]) -> list[bytes]:
    return [data[1], data[0], *data[2:]]


DAMAGES: dict[str, tuple[Damage, int]] = {
    "blanks": (lambda data: [data[0].replace(b":", b": ", 1), *data[1:]], 1),
    "a missing line": (lambda data: data[:2] + data[3:], 3),
    "two lines swapped": (swapped, 1),
    "a line twice": (lambda data: [data[0], data[0], *data[1:]], 2),
    "a cut off end": (lambda data: [*data[:-1], data[-1][:-2]], 19),
    "an empty line": (lambda data: [*data[:3], b"\n", *data[3:]], 4),
    "nothing": (lambda data: [], 1),
    "no beginning": (lambda data: data[1:], 1),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_refused_with_its_line_and_nothing_is_kept(
    lines: Path, target: Path, name: str
) -> None:
    damage, line = DAMAGES[name]
    lines.write_bytes(b"".join(damage(lines.read_bytes().splitlines(keepends=True))))
    with pytest.raises(ImportRejected) as caught:
        restored(lines, target)
    assert caught.value.line == line
    assert str(lines) in str(caught.value)
    if target.exists():
        with Ledger(f"sqlite:///{target}", create=False) as ledger:
            assert ledger.head().size == 0
            assert ledger.list() == []


def test_a_history_that_the_lifecycle_forbids_is_refused(
    publisher: Publisher, tmp_path: Path, target: Path
) -> None:
    publisher.grow(1)
    publisher.ledger.revoke(1)
    path = exported(publisher.ledger, tmp_path / "events.jsonl")
    members = json.loads(path.read_bytes().splitlines()[1])
    members |= {"id": str(uuid4()), "streamversion": 2, "sequence": f"{2:020}"}
    path.write_bytes(path.read_bytes() + canonical(members) + b"\n")
    with pytest.raises(ImportRejected, match="revoked: it cannot be revoked") as caught:
        restored(path, target)
    assert caught.value.line == 3


def test_a_checkpoint_proves_the_root(
    publisher: Publisher, clock: FakeClock, tmp_path: Path, target: Path
) -> None:
    publisher.grow(5)
    checkpoint = TRUST.open(publisher.sign()).checkpoint
    publisher.grow(8)
    path = exported(publisher.ledger, tmp_path / "events.jsonl")
    assert restored(path, target, checkpoint).size == 8


def test_entries_that_are_not_those_of_the_checkpoint_are_refused(
    publisher: Publisher, tmp_path: Path, target: Path
) -> None:
    publisher.grow(5)
    checkpoint = TRUST.open(publisher.sign()).checkpoint
    path = exported(publisher.ledger, tmp_path / "events.jsonl")
    path.write_bytes(path.read_bytes().replace(b"host-3.", b"host-9."))
    with pytest.raises(EvidenceRefused, match="they are others"):
        restored(path, target, checkpoint)
    with Ledger(f"sqlite:///{target}", create=False) as ledger:
        assert ledger.head().size == 0


def test_a_file_that_ends_before_the_checkpoint_is_refused(
    publisher: Publisher, tmp_path: Path, target: Path
) -> None:
    publisher.grow(5)
    checkpoint = TRUST.open(publisher.sign()).checkpoint
    path = exported(publisher.ledger, tmp_path / "events.jsonl")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    with pytest.raises(EvidenceRefused, match="cut off"):
        restored(path, target, checkpoint)


def test_a_damaged_log_is_not_exported_as_if_it_were_whole(publisher: Publisher) -> None:
    publisher.grow(3)
    assert publisher.ledger.file is not None
    raw.edit(publisher.ledger.file, "DELETE FROM log_entry WHERE seq = 1")
    with pytest.raises(LogCorrupt, match="entry 1"):
        export_events(publisher.ledger.database, io.BytesIO())


KILLED = """
import os, signal, sys
from pathlib import Path
from certledger.eventstore.canonical import canonical
from certledger.eventstore.database import Database
from certledger.importers.restore import restore_events

def progress(done, total):
    os.kill(os.getpid(), signal.SIGKILL)

restore_events(Path(sys.argv[1]), Database(sys.argv[2]), progress=progress)
"""


def test_killed_in_the_middle_nothing_is_kept_and_the_next_run_restores_all(
    lines: Path, target: Path
) -> None:
    command = [sys.executable, "-c", KILLED, str(lines), f"sqlite:///{target}"]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Ledger(f"sqlite:///{target}", create=False) as ledger:
        assert ledger.head().size == 0
    assert restored(lines, target).size == 19


def test_times_that_go_back_are_refused(
    publisher: Publisher, clock: FakeClock, tmp_path: Path, target: Path
) -> None:
    publisher.grow(1)
    clock.step(seconds=60)
    publisher.grow(2)
    path = exported(publisher.ledger, tmp_path / "events.jsonl")
    late = clock.now.strftime("%Y-%m-%dT%H:%M").encode()
    early = (clock.now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M").encode()
    first, second = path.read_bytes().splitlines(keepends=True)
    marker = b'"recordedtime":"'
    path.write_bytes(first + second.replace(marker + late, marker + early))
    with pytest.raises(ImportRejected, match="recordedtime is before") as caught:
        restored(path, target)
    assert caught.value.line == 2
