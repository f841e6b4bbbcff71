"""Signed notes: strict reading, and verifying every line of a known key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import EvidenceError, EvidenceRefused, MalformedEvidence
from certledger.eventstore.tlog.keys import KeyKind, SigningKey, VerifierKey
from certledger.eventstore.tlog.note import (
    MAX_SIGNATURES,
    Note,
    NoteSigner,
    NoteVerifier,
    Signature,
)
from tests.support.evidence import flipped
from tests.support.vectors import (
    Case,
    accepted,
    by_case,
    label_of,
    octets,
    signing_key,
    verifier,
)

LOG, OTHER = NoteSigner(signing_key("log")), NoteSigner(signing_key("other"))
TEXTS = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]) | st.just("\n")).map(
    lambda text: text + "\n"
)


@by_case("signed_notes")
def test_a_note_opens_or_is_refused_as_the_vectors_say(case: Case) -> None:
    data, verifiers = octets(case, "note"), [verifier(label) for label in case["known"]]
    if not accepted(case):
        with pytest.raises(EvidenceError):
            Note.from_bytes(data).open(verifiers)
        return
    note = Note.from_bytes(data)
    opened = note.open(verifiers)
    assert opened.text == case["text"]
    assert [label_of(line.name, line.key_id) for line in opened.signatures] == case["verified"]
    assert note.to_bytes() == data


@given(TEXTS)
def test_a_note_goes_there_and_back_and_opens(text: str) -> None:
    note = Note(text).signed(LOG).signed(OTHER)
    again = Note.from_bytes(note.to_bytes())
    assert again == note
    for label in ("log", "other"):
        opened = again.open([verifier(label)])
        assert opened.text == text
        assert [label_of(line.name, line.key_id) for line in opened.signatures] == [label]


@given(st.binary(max_size=100) | TEXTS.map(str.encode))
def test_any_bytes_are_a_note_that_is_written_alike_or_malformed(data: bytes) -> None:
    for tail in (b"", b"\n\xe2\x80\x94 name AAAAAAA=\n"):
        try:
            note = Note.from_bytes(data + tail)
        except MalformedEvidence:
            continue
        assert note.to_bytes() == data + tail


@given(st.text(max_size=30) | st.text(st.sampled_from("— aA=+")))
def test_any_text_is_a_signature_line_that_is_written_alike_or_malformed(line: str) -> None:
    try:
        signature = Signature.from_text(line)
    except MalformedEvidence:
        return
    assert signature.to_text() == line


@given(st.data())
def test_a_note_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    note = Note("certledger note\nsecond line\n").signed(LOG).to_bytes()
    changed = flipped(note, data.draw(st.integers(0, 8 * len(note) - 1)))
    with pytest.raises(EvidenceError):
        Note.from_bytes(changed).open([verifier("log")])


@pytest.mark.parametrize("text", ["", "no line end", "a\rb\n", "a\tb\n", "\0\n", "\ud800\n"])
def test_a_text_that_cannot_be_a_note_is_not_signed(text: str) -> None:
    with pytest.raises(MalformedEvidence):
        Note(text)


def test_a_note_that_nobody_signed_is_not_written() -> None:
    with pytest.raises(MalformedEvidence, match="sign it first"):
        Note("text\n").to_bytes()


def test_signing_again_replaces_the_older_line_of_the_key() -> None:
    note = Note("text\n").signed(LOG).signed(OTHER).signed(LOG)
    assert [line.name for line in note.signatures] == [OTHER.key.name, LOG.key.name]


def test_a_note_takes_as_many_lines_as_it_may_have_and_no_more() -> None:
    line = Signature("stranger.example", b"\0\0\0\0", b"x")
    full = Note("text\n", (line,) * (MAX_SIGNATURES - 1)).signed(LOG)
    assert Note.from_bytes(full.to_bytes()).open([verifier("log")]).text == "text\n"
    with pytest.raises(MalformedEvidence, match="101 signature lines"):
        full.signed(OTHER)


def test_a_refusal_names_who_signed_and_who_is_known() -> None:
    note = Note("text\n").signed(OTHER)
    with pytest.raises(EvidenceRefused) as caught:
        note.open([verifier("log")])
    assert "known are log.example/test+7e5f64ae" in str(caught.value)
    assert f"signed have {OTHER.key.name}+{OTHER.key.id}" in str(caught.value)


def test_a_failing_line_is_named() -> None:
    line = Signature(LOG.key.name, LOG.key.key_id, bytes(64))
    with pytest.raises(EvidenceRefused, match=r"log\.example/test\+7e5f64ae does not verify"):
        Note("text\n", (line,)).open([verifier("log")])


def test_a_key_given_twice_is_one_key() -> None:
    opened = Note("text\n").signed(LOG).open([verifier("log"), verifier("log")])
    assert len(opened.signatures) == 1


def test_two_keys_that_share_name_and_id_are_not_both_trusted() -> None:
    """An id has 32 bits: these twins took 130,000 attempts."""
    twins = [
        VerifierKey("w.example", KeyKind.ED25519, number.to_bytes(32, "big"))
        for number in (67_648, 129_511)
    ]
    assert twins[0].id == twins[1].id
    with pytest.raises(EvidenceRefused, match="trust one of them only"):
        Note("text\n").signed(LOG).open([NoteVerifier(twin) for twin in twins])


def test_keys_of_another_type_neither_sign_nor_verify_notes() -> None:
    witness = signing_key("w1")
    with pytest.raises(MalformedEvidence, match="type 0x04; 0x01 is needed"):
        NoteSigner(witness)
    with pytest.raises(MalformedEvidence, match="type 0x04; 0x01 is needed"):
        NoteVerifier(witness.verifier_key)


@pytest.mark.parametrize(
    ("name", "key_id", "signature"),
    [("", b"1234", b"x"), ("a b", b"1234", b"x"), ("a", b"123", b"x"), ("a", b"1234", b"")],
)
def test_a_line_that_could_not_be_read_is_not_made(
    name: str, key_id: bytes, signature: bytes
) -> None:
    with pytest.raises(MalformedEvidence):
        Signature(name, key_id, signature)


def test_a_key_made_here_signs_what_it_verifies() -> None:
    key = SigningKey.generate("ca.example/registry", KeyKind.ED25519)
    note = Note("text\n").signed(NoteSigner(key))
    assert note.open([NoteVerifier(key.verifier_key)]).text == "text\n"
