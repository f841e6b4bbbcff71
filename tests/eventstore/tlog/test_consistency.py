"""Files that prove that a log only grew."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import EvidenceError, EvidenceRefused, MalformedEvidence
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.consistency import MAX_HASHES, ConsistencyProof
from certledger.eventstore.tlog.proofs import consistency_proof
from tests.support.evidence import ORIGIN, TRUST, PublishedLog, flipped
from tests.support.vectors import Case, by_case, hashes

HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=5).map(tuple)
PROOFS = st.builds(ConsistencyProof, st.integers(0, 2**64 - 1), HASHES, st.binary(max_size=20))
NEW = PublishedLog(100)


@cache
def old(size: int) -> Checkpoint:
    return PublishedLog(size).checkpoint


def proof(old_size: int) -> ConsistencyProof:
    path = consistency_proof(old_size, NEW.size, NEW.hashes)
    return ConsistencyProof(old_size, tuple(path), NEW.signed())


@given(PROOFS)
def test_a_proof_goes_there_and_back(made: ConsistencyProof) -> None:
    assert ConsistencyProof.from_bytes(made.to_bytes()) == made


@given(st.binary())
def test_any_bytes_are_a_proof_that_is_written_alike_or_malformed(data: bytes) -> None:
    for start in (b"", b"old 3\n", b"old 3\n\n"):
        try:
            read = ConsistencyProof.from_bytes(start + data)
        except MalformedEvidence:
            continue
        assert read.to_bytes() == start + data
        with pytest.raises(EvidenceError):
            read.verify(old(3), TRUST)


@pytest.mark.parametrize("data", [b"3\n\n", b"old\n\n", b"old 03\n\n", b"old 3\n", b"old 3\nx\n\n"])
def test_a_proof_has_one_spelling(data: bytes) -> None:
    with pytest.raises(MalformedEvidence):
        ConsistencyProof.from_bytes(data)


@by_case("consistency_proofs")
def test_the_proofs_of_the_vectors_are_written_and_read(case: Case) -> None:
    made = ConsistencyProof(case["old_size"], tuple(hashes(case["proof"])), b"")
    assert ConsistencyProof.from_bytes(made.to_bytes()) == made


def test_a_proof_verifies_from_every_older_size() -> None:
    for size in range(1, NEW.size + 1):
        opened = ConsistencyProof.from_bytes(proof(size).to_bytes()).verify(old(size), TRUST)
        assert opened.checkpoint == NEW.checkpoint


@given(st.data())
def test_a_proof_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, NEW.size))
    made = proof(size).to_bytes()
    changed = flipped(made, data.draw(st.integers(0, 8 * len(made) - 1)))
    with pytest.raises(EvidenceError):
        ConsistencyProof.from_bytes(changed).verify(old(size), TRUST)


def test_a_proof_is_of_its_own_old_checkpoint_only() -> None:
    with pytest.raises(EvidenceRefused, match="from 7 entries"):
        proof(7).verify(old(8), TRUST)
    with pytest.raises(EvidenceRefused, match=r"of 'other\.example'"):
        proof(7).verify(Checkpoint("other.example", 7, old(7).root), TRUST)
    with pytest.raises(EvidenceRefused, match="not the same log"):
        proof(7).verify(Checkpoint(ORIGIN, 7, old(8).root), TRUST)


@pytest.mark.parametrize(
    ("size", "found"), [(-1, ()), (2**64, ()), (0, (b"short",)), (1, (bytes(32),) * 64)]
)
def test_a_proof_that_could_not_be_read_is_not_made(size: int, found: tuple[bytes, ...]) -> None:
    assert MAX_HASHES == 63
    with pytest.raises(MalformedEvidence):
        ConsistencyProof(size, found, b"")
