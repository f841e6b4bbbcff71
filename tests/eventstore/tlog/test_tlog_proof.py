"""Proof files that verify offline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import EvidenceError, EvidenceRefused, MalformedEvidence
from certledger.eventstore.tlog.policy import Policy
from certledger.eventstore.tlog.tlog_proof import TlogProof
from tests.support.evidence import KEY, TRUST, PublishedLog, flipped
from tests.support.vectors import Case, accepted, by_case, octets, verifier

STAGES: dict[str, type[EvidenceError]] = {
    "note": EvidenceError,
    "checkpoint": MalformedEvidence,
    "origin": EvidenceRefused,
    "inclusion": EvidenceRefused,
}
HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=5).map(tuple)
PROOFS = st.builds(
    TlogProof, st.integers(0, 2**64 - 1), HASHES, st.binary(max_size=60), st.binary(max_size=20)
)
LOG = PublishedLog(300)


@by_case("tlog_proofs")
def test_a_proof_file_verifies_or_is_refused_as_and_where_the_vectors_say(case: Case) -> None:
    data, entry = octets(case, "proof"), octets(case, "leaf")
    if accepted(case):
        proof = TlogProof.from_bytes(data)
        checkpoint = proof.verify(entry, TRUST).checkpoint
        assert (proof.index, checkpoint.size) == (case["index"], case["size"])
        assert proof.extra.hex() == case.get("extra_hex", "")
        assert proof.to_bytes() == data
        return
    # What the specification leaves open is refused on reading.
    stage = case.get("stage", "parse")
    if stage == "parse":
        with pytest.raises(MalformedEvidence):
            TlogProof.from_bytes(data)
        return
    proof = TlogProof.from_bytes(data)
    with pytest.raises(STAGES[stage]):
        proof.verify(entry, TRUST)


def test_a_cosigned_proof_satisfies_a_policy_that_wants_its_witnesses() -> None:
    from tests.support.vectors import cases

    (case,) = (case for case in cases("tlog_proofs") if case["name"] == "valid-cosigned")
    lines = [f"log {KEY.verifier_key.to_text()}"]
    lines += [f"witness {name} {verifier(name).key.to_text()}" for name in case["cosigners"]]
    lines += [f"group G all {' '.join(case['cosigners'])}", "quorum G", ""]
    policy = Policy.from_bytes("\n".join(lines).encode())
    proof = TlogProof.from_bytes(octets(case, "proof"))
    assert len(proof.verify(octets(case, "leaf"), policy).signatures) == 3


@given(PROOFS)
def test_a_proof_file_goes_there_and_back(proof: TlogProof) -> None:
    assert TlogProof.from_bytes(proof.to_bytes()) == proof


@given(st.binary())
def test_any_bytes_are_a_proof_file_that_is_written_alike_or_malformed(data: bytes) -> None:
    for start in (b"", b"c2sp.org/tlog-proof@v1\n", b"c2sp.org/tlog-proof@v1\nindex 1\n"):
        for whole in (start + data, start + data + b"\n\n"):
            try:
                proof = TlogProof.from_bytes(whole)
            except MalformedEvidence:
                continue
            assert proof.to_bytes() == whole
            with pytest.raises(EvidenceError):
                proof.verify(b"entry", TRUST)


def test_a_proof_made_here_verifies_for_every_entry() -> None:
    for index, entry in enumerate(LOG.entries):
        proof = TlogProof.from_bytes(LOG.proof(index).to_bytes())
        assert proof.verify(entry, TRUST).checkpoint == LOG.checkpoint


@given(st.data())
def test_a_proof_file_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    index = data.draw(st.integers(0, LOG.size - 1))
    proof = LOG.proof(index).to_bytes()
    changed = flipped(proof, data.draw(st.integers(0, 8 * len(proof) - 1)))
    with pytest.raises(EvidenceError):
        TlogProof.from_bytes(changed).verify(LOG.entries[index], TRUST)


@given(st.data())
def test_a_proof_for_an_entry_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    index = data.draw(st.integers(0, LOG.size - 1))
    entry = LOG.entries[index]
    changed = flipped(entry, data.draw(st.integers(0, 8 * len(entry) - 1)))
    with pytest.raises(EvidenceRefused):
        LOG.proof(index).verify(changed, TRUST)


def test_extra_data_rides_along_unsigned() -> None:
    proof = TlogProof.from_bytes(LOG.proof(5, extra=b"hint").to_bytes())
    assert proof.extra == b"hint"
    proof.verify(LOG.entries[5], TRUST)


@pytest.mark.parametrize(("index", "hashes"), [(-1, ()), (2**64, ()), (0, (b"short",))])
def test_a_proof_that_could_not_be_read_is_not_made(index: int, hashes: tuple[bytes, ...]) -> None:
    with pytest.raises(MalformedEvidence):
        TlogProof(index, hashes, b"")
