"""An identical registry from the entries of a log."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from certledger import Ledger, Registration
from certledger.errors import EvidenceRefused, ImportRejected, InvalidValue, LogCorrupt
from certledger.eventstore.canonical import canonical
from certledger.eventstore.database import Database
from certledger.eventstore.merkle import EMPTY_ROOT, leaf_hash
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tree import root_at
from certledger.exporters.events import export_events
from certledger.importers.restore import Restored, restore_events
from certledger.testing.certificates import make_ca
from certledger.testing.clock import FakeClock
from tests.support import raw
from tests.support.exported import Publisher, certificate
from tests.support.intruder import image
from tests.support.log import ORIGIN
from tests.support.populated import populate
from tests.support.processes import start
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
from certledger.eventstore.database import Database
from certledger.importers.restore import restore_events

batches = iter(range(int(sys.argv[3]), 0, -1))

def progress(done, total):
    if next(batches) == 1:
        os.kill(os.getpid(), signal.SIGKILL)

restore_events(Path(sys.argv[1]), Database(sys.argv[2]), progress=progress)
"""


@pytest.mark.parametrize("batches", [1, 2])
def test_killed_in_the_middle_nothing_is_kept_and_the_next_run_restores_all(
    publisher: Publisher, tmp_path: Path, target: Path, batches: int
) -> None:
    rich(publisher)
    path = exported(publisher.ledger, tmp_path / "events.jsonl")
    with start(KILLED, path, f"sqlite:///{target}", batches) as process:
        assert process.wait() == -signal.SIGKILL
    with Ledger(f"sqlite:///{target}", create=False) as ledger:
        assert ledger.head().size == 0
        assert ledger.list() == []
    assert restored(path, target).root == publisher.ledger.head().root


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


def edited(path: Path, line: int, **attributes: object) -> Path:
    """The same entries, but for attributes (or, by `data`, members of the data) of one."""
    lines = path.read_bytes().splitlines()
    members = json.loads(lines[line - 1])
    members["data"] |= attributes.pop("data", {})
    lines[line - 1] = canonical(members | attributes)
    path.write_bytes(b"".join(data + b"\n" for data in lines))
    return path


@pytest.mark.parametrize(
    ("line", "attributes", "why"),
    [
        (5, {"source": "other.example/log"}, "it is of the log 'other.example/log', the others"),
        (5, {"sequence": f"{7:020}"}, "it has the sequence 7 where 4 is due"),
        (5, {"streamversion": 1}, "it has the stream version 1 where 0 is due"),
        (19, {"streamversion": 1}, "it has the stream version 1 where 2 is due"),
        (5, {"data": {"uuid": "folder-1001"}}, "uuid 'folder-1001' belongs to the certificate"),
        (5, {"type": "certledger.certificate.blessed.v1"}, "has the type .* does not know"),
        (5, {"colour": "Ünknown\u0007"}, "colour"),
        (5, {"data": {"serial_number": "1"}}, "data does not belong to the subject"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_refused_with_its_line(
    lines: Path, target: Path, line: int, attributes: dict[str, object], why: str
) -> None:
    with pytest.raises(ImportRejected, match=why) as caught:
        restored(edited(lines, line, **attributes), target)
    assert (caught.value.file, caught.value.line) == (str(lines), line)


def test_an_id_used_twice_is_refused(lines: Path, target: Path) -> None:
    first = json.loads(lines.read_bytes().splitlines()[0])
    with pytest.raises(ImportRejected, match="was an earlier entry's") as caught:
        restored(edited(lines, 9, id=first["id"]), target)
    assert caught.value.line == 9


def test_a_line_longer_than_any_entry_is_refused_without_reading_all_of_it(
    tmp_path: Path, target: Path
) -> None:
    path = tmp_path / "events.jsonl"
    with path.open("wb") as stream:
        stream.truncate(2**34)
    with pytest.raises(ImportRejected, match="line 1: the line is cut off, or too long"):
        restored(path, target)
    assert not target.exists()


def test_a_checkpoint_of_another_log_is_refused_before_anything_is_made(
    lines: Path, target: Path
) -> None:
    with pytest.raises(EvidenceRefused, match=r"the checkpoint is of 'other\.example'"):
        restored(lines, target, Checkpoint("other.example", 1, b"r" * 32))
    assert not target.exists()


def test_every_log_continues_the_checkpoint_of_an_empty_one(lines: Path, target: Path) -> None:
    assert restored(lines, target, Checkpoint(ORIGIN, 0, EMPTY_ROOT)).size == 19


def rich(publisher: Publisher) -> None:
    """Fill a registry so that streams and folders go on from one batch of 1,000 into the next."""
    ledger = publisher.ledger
    ledger.issue(certificate(1), uuid="folder")
    ledger.issue(certificate(2), uuid="moved")
    ledger.delete(2)
    publisher_ca = make_ca()
    ledger.crl(publisher_ca.certificate, publisher_ca.key)
    rest = [Registration(certificate(serial)) for serial in range(3, 1_100)]
    assert all(outcome.event for outcome in ledger.issue_many(rest))
    ledger.issue(certificate(1_100), uuid="moved")
    ledger.revoke(1, "keyCompromise", command_id="ticket-7")
    ledger.delete(1)
    ledger.issue(certificate(1_101), uuid="folder")
    ledger.crl(publisher_ca.certificate, publisher_ca.key)


def test_streams_and_folders_may_go_on_in_a_later_batch(
    publisher: Publisher, tmp_path: Path, target: Path
) -> None:
    rich(publisher)
    path = exported(publisher.ledger, tmp_path / "events.jsonl")
    checkpoint = TRUST.open(publisher.sign()).checkpoint
    done = restored(path, target, checkpoint)
    assert (done.size, done.root) == (checkpoint.size, checkpoint.root)
    with Ledger(f"sqlite:///{target}", create=False) as again:
        assert [found for found in again.verify() if found.level == "finding"] == []
        assert list(again.drift()) == []
    assert publisher.ledger.file is not None
    assert image(target) == image(publisher.ledger.file)
    assert raw.log_of(target)["log_entry"] == raw.log_of(publisher.ledger.file)["log_entry"]


@pytest.mark.parametrize("size", [1, 999, 1_000, 1_001, 1_106])
def test_a_checkpoint_is_found_wherever_it_lies(
    publisher: Publisher, tmp_path: Path, target: Path, size: int
) -> None:
    rich(publisher)
    path = exported(publisher.ledger, tmp_path / "events.jsonl")
    root = publisher.ledger.database.read(lambda c: root_at(c, size))
    with pytest.raises(EvidenceRefused, match=f"the first {size} entries of .* they are others"):
        restored(path, target, Checkpoint(ORIGIN, size, b"r" * 32))
    assert restored(path, target, Checkpoint(ORIGIN, size, root)).size == 1_106


def test_a_uuid_of_an_earlier_batch_is_not_given_twice(
    publisher: Publisher, tmp_path: Path, target: Path
) -> None:
    rich(publisher)
    path = exported(publisher.ledger, tmp_path / "events.jsonl")
    with pytest.raises(ImportRejected, match=r"uuid 'folder' belongs to .* serial 1;") as caught:
        restored(edited(path, 1_102, data={"uuid": "folder"}), target)
    assert caught.value.line == 1_102


def test_an_empty_registry_takes_the_name_of_the_log(lines: Path, target: Path) -> None:
    with Ledger(f"sqlite:///{target}", origin="chosen.example/log") as ledger:
        made = ledger.head().created
    assert restored(lines, target).origin == ORIGIN
    with Ledger(f"sqlite:///{target}", create=False) as ledger:
        assert (ledger.head().origin, ledger.head().created) == (ORIGIN, made)


def test_after_a_refusal_the_right_file_can_be_restored(lines: Path, target: Path) -> None:
    right = lines.read_bytes()
    with pytest.raises(ImportRejected):
        restored(edited(lines, 19, streamversion=9), target)
    lines.write_bytes(right)
    assert restored(lines, target).size == 19


def test_progress_is_told_in_bytes(lines: Path, target: Path) -> None:
    told: list[tuple[int, int]] = []
    database = Database(f"sqlite:///{target}")
    restore_events(lines, database, progress=lambda *at: told.append(at))
    database.close()
    size = lines.stat().st_size
    assert told == [(size, size)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE log_head SET root = zeroblob(32)",
        "UPDATE log_entry SET entry = x'7b7d' WHERE seq = 2",
        "UPDATE log_entry SET entry = NULL WHERE seq = 2",
        "UPDATE log_head SET size = 4",
    ],
)
def test_entries_that_are_not_those_of_the_head_are_not_exported(
    publisher: Publisher, change: str
) -> None:
    publisher.grow(3)
    assert publisher.ledger.file is not None
    raw.edit(publisher.ledger.file, change)
    with pytest.raises(LogCorrupt):
        export_events(publisher.ledger.database, io.BytesIO())


def test_entries_rewritten_with_their_hashes_are_not_exported(publisher: Publisher) -> None:
    publisher.grow(3)
    assert publisher.ledger.file is not None
    raw.edit(
        publisher.ledger.file,
        f"UPDATE log_entry SET entry = x'7b7d', hashes = CAST(x'{leaf_hash(b'{}').hex()}' || "
        "substr(hashes, 33) AS BLOB) WHERE seq = 1",
    )
    with pytest.raises(LogCorrupt, match="its head states the root"):
        export_events(publisher.ledger.database, io.BytesIO())
