"""Cosignatures of witnesses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import EvidenceError, EvidenceRefused, InvalidValue, MalformedEvidence
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.cosignature import (
    MAX_TIMESTAMP,
    CosignatureSigner,
    CosignatureVerifier,
    timestamp_of,
)
from certledger.eventstore.tlog.note import Note
from tests.support.evidence import PublishedLog, flipped
from tests.support.vectors import Case, accepted, by_case, label_of, octets, signing_key, verifier

WITNESS = signing_key("w1")
TEXT = PublishedLog(7).checkpoint.to_text()


@by_case("cosignatures")
def test_a_cosigned_checkpoint_opens_or_is_refused_as_the_vectors_say(case: Case) -> None:
    data, verifiers = octets(case, "checkpoint"), [verifier(label) for label in case["known"]]
    if not accepted(case):
        with pytest.raises(EvidenceError):
            Note.from_bytes(data).open(verifiers)
        return
    opened = Note.from_bytes(data).open(verifiers)
    assert [label_of(line.name, line.key_id) for line in opened.signatures] == case["verified"]
    assert Checkpoint.from_text(opened.text).to_text() == opened.text


def test_a_cosignature_is_the_vector_s_byte_for_byte() -> None:
    """Ed25519 is deterministic: the third party's line can be made again."""
    from tests.support.vectors import cases

    data = octets(cases("cosignatures")[0], "checkpoint")
    note = Note.from_bytes(data)
    (line,) = (line for line in note.signatures if line.is_of(WITNESS.verifier_key))
    again = note.signed(CosignatureSigner(WITNESS, timestamp_of(line.signature)))
    assert again.to_bytes() == data


@given(st.integers(0, MAX_TIMESTAMP))
def test_a_cosignature_verifies_and_tells_its_time(timestamp: int) -> None:
    note = Note(TEXT).signed(CosignatureSigner(WITNESS, timestamp))
    (line,) = Note.from_bytes(note.to_bytes()).open([verifier("w1")]).signatures
    assert timestamp_of(line.signature) == timestamp


@given(st.data())
def test_a_cosignature_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    signature = CosignatureSigner(WITNESS, 1_700_000_000).sign(TEXT)
    changed = flipped(signature, data.draw(st.integers(0, 8 * len(signature) - 1)))
    with pytest.raises(EvidenceRefused):
        verifier("w1").check(TEXT, changed)


@given(st.binary(max_size=80))
def test_any_bytes_are_no_cosignature(signature: bytes) -> None:
    with pytest.raises(EvidenceRefused):
        verifier("w1").check(TEXT, signature)


def test_a_cosignature_is_of_one_text_alone() -> None:
    signature = CosignatureSigner(WITNESS, 1).sign(TEXT)
    with pytest.raises(EvidenceRefused, match=r"w1\.example"):
        verifier("w1").check(PublishedLog(8).checkpoint.to_text(), signature)


@pytest.mark.parametrize("timestamp", [-1, MAX_TIMESTAMP + 1])
def test_a_time_outside_of_the_format_is_not_signed(timestamp: int) -> None:
    with pytest.raises(InvalidValue):
        CosignatureSigner(WITNESS, timestamp)


def test_only_checkpoints_are_cosigned() -> None:
    with pytest.raises(MalformedEvidence):
        Note("I owe you\n").signed(CosignatureSigner(WITNESS, 1))


def test_a_log_s_key_neither_cosigns_nor_verifies_cosignatures() -> None:
    log = signing_key("log")
    with pytest.raises(MalformedEvidence, match="type 0x01; 0x04 is needed"):
        CosignatureSigner(log, 1)
    with pytest.raises(MalformedEvidence, match="type 0x01; 0x04 is needed"):
        CosignatureVerifier(log.verifier_key)
