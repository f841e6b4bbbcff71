"""Checkpoints: their text, and whose are believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import EvidenceError, EvidenceRefused, MalformedEvidence
from certledger.eventstore.merkle import EMPTY_ROOT
from certledger.eventstore.tlog.checkpoint import Checkpoint, TrustedLog
from certledger.eventstore.tlog.note import Note, NoteSigner
from tests.support.evidence import KEY, ORIGIN, TRUST, PublishedLog, flipped
from tests.support.vectors import Case, accepted, by_case, octets, signing_key

LARGE = {"size-2-63", "size-max-uint64"}
"""The specification sets no bound for sizes; we take what 64 bits hold."""
LINES = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1)
ROOTS = st.binary(min_size=32, max_size=32)
CHECKPOINTS = st.builds(
    Checkpoint, LINES, st.integers(1, 2**64 - 1), ROOTS, st.lists(LINES, max_size=3).map(tuple)
) | st.builds(Checkpoint, LINES, st.just(0), st.just(EMPTY_ROOT))


@by_case("checkpoints")
def test_a_checkpoint_opens_or_is_refused_as_the_vectors_say(case: Case) -> None:
    origin = str(case.get("expected_origin") or case.get("origin") or ORIGIN)
    trust = TrustedLog(origin, [KEY.verifier_key])
    data = octets(case, "checkpoint")
    if not accepted(case, either=case["name"] in LARGE):
        with pytest.raises(EvidenceError):
            trust.open(data)
        return
    found = trust.open(data).checkpoint
    if case["expect"] == "accept":
        expected = (case["origin"], case["size"], case["root"], case["extensions"])
        assert (found.origin, found.size, found.root.hex(), [*found.extensions]) == expected
    assert found.to_text() == Note.from_bytes(data).text


@given(CHECKPOINTS)
def test_a_checkpoint_goes_there_and_back(checkpoint: Checkpoint) -> None:
    assert Checkpoint.from_text(checkpoint.to_text()) == checkpoint
    signed = Note(checkpoint.to_text()).signed(NoteSigner(KEY)).to_bytes()
    assert TrustedLog(checkpoint.origin, [KEY.verifier_key]).open(signed).checkpoint == checkpoint


@given(st.text() | st.text(st.sampled_from("a1\nA=")))
def test_any_text_is_a_checkpoint_that_is_written_alike_or_malformed(text: str) -> None:
    for whole in (text, f"origin\n{text}", f"{text}\n{'A' * 43}=\n"):
        try:
            checkpoint = Checkpoint.from_text(whole)
        except MalformedEvidence:
            continue
        assert checkpoint.to_text() == whole


@given(st.binary())
def test_any_bytes_are_no_signed_checkpoint(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        TRUST.open(data)


@given(st.data())
def test_a_signed_checkpoint_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    signed = PublishedLog(7).signed()
    with pytest.raises(EvidenceError):
        TRUST.open(flipped(signed, data.draw(st.integers(0, 8 * len(signed) - 1))))


def test_every_single_flipped_bit_is_refused() -> None:
    signed = PublishedLog(3).signed()
    for bit in range(8 * len(signed)):
        with pytest.raises(EvidenceError):
            TRUST.open(flipped(signed, bit))


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": ""},
        {"origin": "a\nb"},
        {"size": -1},
        {"size": 2**64},
        {"size": 0},
        {"root": b"x" * 31},
        {"extensions": ("",)},
        {"extensions": ("a\nb",)},
        {"origin": "\ud800"},
    ],
    ids=str,
)
def test_a_checkpoint_that_could_not_be_read_is_not_made(wrong: dict[str, object]) -> None:
    values = {"origin": "log.example", "size": 1, "root": b"x" * 32, **wrong}
    with pytest.raises(MalformedEvidence):
        Checkpoint(**values)  # type: ignore[arg-type]


def test_another_log_s_checkpoint_is_refused_although_the_key_is_known() -> None:
    signed = PublishedLog(7).signed()
    trust = TrustedLog("other.example", [KEY.verifier_key])
    with pytest.raises(EvidenceRefused, match=r"not of 'other\.example'"):
        trust.open(signed)


def test_a_log_may_have_several_keys_of_which_one_has_signed() -> None:
    keys = [signing_key("log-new").verifier_key, KEY.verifier_key]
    opened = TrustedLog(ORIGIN, keys).open(PublishedLog(7).signed())
    assert [line.key_id for line in opened.signatures] == [KEY.verifier_key.key_id]


def test_a_witness_key_is_no_log_key() -> None:
    with pytest.raises(MalformedEvidence):
        TrustedLog(ORIGIN, [signing_key("w1").verifier_key])
