"""Proofs made from the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certledger.errors import EvidenceRefused, InvalidValue, LogCorrupt, NoCheckpoint
from certledger.eventstore.database import Database
from certledger.eventstore.proving import EntryProof, prove_consistency, prove_entry
from certledger.eventstore.reader import read_entries
from certledger.eventstore.tlog.consistency import ConsistencyProof
from certledger.eventstore.tlog.tlog_proof import TlogProof
from certledger.testing.clock import FakeClock
from tests.support import raw
from tests.support.intruder import forge, intruder
from tests.support.log import fill, make_log
from tests.support.signed import OTHER_KEY, TRUST, sign_log

SIZE = 21


@pytest.fixture
def log(url: str, clock: FakeClock) -> Iterator[Database]:
    """A log of 21 entries that nobody has signed."""
    database = make_log(url, clock)
    fill(database, clock, SIZE)
    yield database
    database.close()


@pytest.fixture
def signed(log: Database, tmp_path: Path, clock: FakeClock) -> Database:
    """The same log with a checkpoint of all of it."""
    sign_log(log, tmp_path, clock)
    return log


def prove(database: Database, seq: int) -> EntryProof:
    return database.read(lambda c: prove_entry(c, seq))


def consistency(database: Database, old: int, new: int) -> ConsistencyProof:
    return database.read(lambda c: prove_consistency(c, old, new))


def test_every_entry_is_proved_by_a_file_that_verifies(signed: Database) -> None:
    entries = signed.read(lambda c: read_entries(c, 0, SIZE))
    for stored in entries:
        made = prove(signed, stored.seq)
        assert (made.seq, made.entry) == (stored.seq, stored.entry)
        again = TlogProof.from_bytes(made.proof.to_bytes())
        assert again.verify(made.entry, TRUST).checkpoint.size == SIZE
        assert again.index == stored.seq
        for other in entries:
            if other.seq != stored.seq:
                with pytest.raises(EvidenceRefused):
                    again.verify(other.entry or b"", TRUST)


def test_the_proof_is_against_the_last_checkpoint_and_not_the_whole_log(
    signed: Database, tmp_path: Path, clock: FakeClock
) -> None:
    fill(signed, clock, 30, first=100)
    assert prove(signed, 3).proof.verify(prove(signed, 3).entry, TRUST).checkpoint.size == SIZE
    note = sign_log(signed, tmp_path, clock)
    assert prove(signed, 3).proof.checkpoint == note
    assert prove(signed, 50).proof.verify(prove(signed, 50).entry, TRUST).checkpoint.size == 51


def test_of_two_keys_that_signed_one_size_the_later_one_is_taken(
    signed: Database, tmp_path: Path, clock: FakeClock
) -> None:
    note = sign_log(signed, tmp_path, clock, OTHER_KEY)
    assert prove(signed, 3).proof.checkpoint == note


def test_without_a_checkpoint_one_must_be_signed_first(log: Database) -> None:
    with pytest.raises(NoCheckpoint, match="sign one first, with `certledger checkpoint`"):
        prove(log, 0)


def test_an_entry_newer_than_the_checkpoint_needs_a_new_one(
    signed: Database, clock: FakeClock
) -> None:
    fill(signed, clock, 1, first=100)
    with pytest.raises(NoCheckpoint, match=r"entry 21 is newer .* of size 21: sign one first"):
        prove(signed, SIZE)


@pytest.mark.parametrize("seq", [-1, SIZE, 2**63 - 1, 2**63, 2**70])
def test_an_entry_that_is_not_there_cannot_be_proved(signed: Database, seq: int) -> None:
    with pytest.raises(InvalidValue, match=f"no entry {seq}"):
        prove(signed, seq)


def test_a_log_of_one_entry_is_proved_without_hashes(
    url: str, tmp_path: Path, clock: FakeClock
) -> None:
    database = make_log(url, clock)
    fill(database, clock, 1)
    sign_log(database, tmp_path, clock)
    assert prove(database, 0).proof.hashes == ()
    database.close()


# Damage


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ("UPDATE log_entry SET entry = x'7b7d' WHERE seq = 5", "entry 5: .* not those that were"),
        ("UPDATE log_entry SET entry = NULL WHERE seq = 5", "entry 5: its bytes are missing"),
        ("UPDATE log_entry SET hashes = x'00' WHERE seq = 4", "entry 4: the hash of the subtree"),
        ("DELETE FROM log_entry WHERE seq = 15", "entry 15: the hash of the subtree"),
        ("UPDATE log_checkpoint SET size = 20", "contradict each other"),
        ("UPDATE log_checkpoint SET size = 22", "entry 21: the hash of the subtree"),
        ("UPDATE log_checkpoint SET key = 'a+b+c'", "contradict each other"),
        ("UPDATE log_checkpoint SET note = substr(note, 2)", "contradict each other"),
        ("UPDATE log_head SET origin = 'other.example'", "contradict each other"),
    ],
)
def test_damage_is_named_and_no_proof_is_made(
    signed: Database, file: Path, change: str, match: str
) -> None:
    raw.edit(file, change)
    with pytest.raises(LogCorrupt, match=match):
        prove(signed, 5)


def test_no_proof_is_made_from_a_log_that_was_rewritten(signed: Database, file: Path) -> None:
    def other_actor(seq: int, members: dict[str, object]) -> None:
        if seq == 9:
            members["authid"] = "mallory"

    with intruder(file, log=True) as sql:
        forge(sql, other_actor)
    for seq in (5, 9):
        with pytest.raises(LogCorrupt, match="log and stored checkpoint of size 21 contradict"):
            prove(signed, seq)


# Consistency


def test_a_consistency_proof_verifies_between_all_stored_checkpoints(
    log: Database, tmp_path: Path, clock: FakeClock
) -> None:
    notes = {SIZE: sign_log(log, tmp_path, clock)}
    for size in (22, 32, 33):
        fill(log, clock, size - max(notes), first=max(notes) + 100)
        notes[size] = sign_log(log, tmp_path, clock)
    for old, note in notes.items():
        for new in (size for size in notes if size >= old):
            made = ConsistencyProof.from_bytes(consistency(log, old, new).to_bytes())
            assert made.to_bytes().startswith(f"old {old}\n".encode())
            assert made.checkpoint == notes[new]
            before = TRUST.open(note).checkpoint
            assert made.verify(before, TRUST).checkpoint.size == new


def test_only_sizes_with_stored_checkpoints_are_proved(signed: Database) -> None:
    for sizes in ((20, SIZE), (SIZE, 22), (SIZE, 2**63)):
        with pytest.raises(NoCheckpoint, match="is stored: `certledger checkpoint` signs one"):
            consistency(signed, *sizes)


@pytest.mark.parametrize(("old", "new"), [(0, SIZE), (SIZE, 20), (-1, SIZE), (0, 0)])
def test_there_is_no_proof_from_nothing_or_backwards(signed: Database, old: int, new: int) -> None:
    with pytest.raises(InvalidValue, match="0 < old <= new"):
        consistency(signed, old, new)


def test_no_consistency_is_proved_of_a_log_that_was_rewritten(
    signed: Database, tmp_path: Path, file: Path, clock: FakeClock
) -> None:
    fill(signed, clock, 5, first=100)
    sign_log(signed, tmp_path, clock)

    def other_actor(_seq: int, members: dict[str, object]) -> None:
        members["authid"] = "mallory"

    with intruder(file, log=True) as sql:
        forge(sql, other_actor)
    with pytest.raises(LogCorrupt, match="contradict each other"):
        consistency(signed, SIZE, 26)
