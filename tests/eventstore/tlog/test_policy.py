"""Policies: which logs and how many witnesses make a checkpoint believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import EvidenceError, EvidenceRefused, MalformedEvidence
from certledger.eventstore.tlog.cosignature import CosignatureSigner
from certledger.eventstore.tlog.keys import KeyKind, SigningKey, VerifierKey
from certledger.eventstore.tlog.note import Note, NoteSigner
from certledger.eventstore.tlog.policy import Group, Policy
from tests.support.evidence import KEY, ORIGIN, PublishedLog, flipped
from tests.support.vectors import Case, accepted, by_case, octets, signing_key

LOG = PublishedLog(7)
LOG_LINE = f"log {KEY.verifier_key.to_text()}\n"
WITNESS_LINES = "".join(
    f"witness {name} {signing_key(name).verifier_key.to_text()}\n" for name in ("w1", "w2", "w3")
)


def signed_by(log: str, *witnesses: str, text: str = LOG.checkpoint.to_text()) -> bytes:
    note = Note(text).signed(NoteSigner(signing_key(log)))
    for witness in witnesses:
        note = note.signed(CosignatureSigner(signing_key(witness), 1_700_000_000))
    return note.to_bytes()


@by_case("policies")
def test_a_policy_is_read_or_refused_and_decides_as_the_vectors_say(case: Case) -> None:
    data = octets(case, "policy")
    if not accepted(case):
        with pytest.raises(MalformedEvidence):
            Policy.from_bytes(data)
        return
    policy = Policy.from_bytes(data)
    for check in case.get("checks", []):
        checkpoint = signed_by(check["log"], *check["witnesses"])
        if check["satisfied"]:
            assert policy.open(checkpoint).checkpoint == LOG.checkpoint
        else:
            with pytest.raises(EvidenceRefused, match="quorum"):
                policy.open(checkpoint)


def policy_of(text: str) -> Policy:
    return Policy.from_bytes(text.encode())


def test_a_policy_is_what_its_lines_say() -> None:
    policy = policy_of(f"{LOG_LINE}{WITNESS_LINES}group A any w1 w2\ngroup B 2 A w3\nquorum B\n")
    assert policy.logs == (KEY.verifier_key,)
    assert list(policy.witnesses) == [b"w1", b"w2", b"w3"]
    assert policy.groups == {b"A": Group(1, (b"w1", b"w2")), b"B": Group(2, (b"A", b"w3"))}
    assert policy.quorum == b"B"


@given(st.binary() | st.text(st.sampled_from("log witness group quorum none\n#\tw1 any all 2")))
def test_any_bytes_are_a_policy_or_malformed(data: bytes | str) -> None:
    more = data if isinstance(data, bytes) else data.encode()
    for start in ("", f"{LOG_LINE}{WITNESS_LINES}group G ", f"{WITNESS_LINES}quorum "):
        try:
            policy = Policy.from_bytes(start.encode() + more)
        except MalformedEvidence:
            continue
        assert policy.quorum in {b"none", *policy.witnesses, *policy.groups}


@given(st.binary())
def test_any_bytes_are_no_checkpoint_for_a_policy(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        policy_of(f"{LOG_LINE}quorum none\n").open(data)


@given(st.data())
def test_a_cosigned_checkpoint_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    policy = policy_of(f"{LOG_LINE}{WITNESS_LINES}group G 2 w1 w2 w3\nquorum G\n")
    checkpoint = signed_by("log", "w1", "w3")
    policy.open(checkpoint)
    changed = flipped(checkpoint, data.draw(st.integers(0, 8 * len(checkpoint) - 1)))
    with pytest.raises(EvidenceError):
        policy.open(changed)


def test_witnesses_alone_do_not_make_a_checkpoint() -> None:
    policy = policy_of(f"{LOG_LINE}{WITNESS_LINES}quorum w1\n")
    note = Note(LOG.checkpoint.to_text()).signed(CosignatureSigner(signing_key("w1"), 1))
    with pytest.raises(EvidenceRefused, match="no log of the policy"):
        policy.open(note.to_bytes())


def test_a_policy_without_logs_believes_no_checkpoint() -> None:
    policy = policy_of(f"{WITNESS_LINES}quorum w1\n")
    with pytest.raises(EvidenceRefused, match="no log of the policy"):
        policy.open(signed_by("log", "w1"))


def test_a_log_speaks_for_its_own_origin_alone() -> None:
    other = signing_key("other").verifier_key
    policy = policy_of(f"{LOG_LINE}log {other.to_text()}\nquorum none\n")
    assert policy.open(signed_by("log")).checkpoint.origin == ORIGIN
    with pytest.raises(EvidenceRefused, match="no log of the policy signed this"):
        policy.open(signed_by("other"))


def test_a_failing_cosignature_is_refused_even_where_the_quorum_needs_it_not() -> None:
    policy = policy_of(f"{LOG_LINE}{WITNESS_LINES}quorum none\n")
    note = Note(LOG.checkpoint.to_text()).signed(NoteSigner(KEY))
    other = Note(PublishedLog(8).checkpoint.to_text())
    wrong = other.signed(CosignatureSigner(signing_key("w1"), 1)).signatures
    with pytest.raises(EvidenceRefused, match=r"w1\.example"):
        policy.open(Note(note.text, (*note.signatures, *wrong)).to_bytes())


def test_a_witness_counts_once_however_many_lines_it_has() -> None:
    policy = policy_of(f"{LOG_LINE}{WITNESS_LINES}group G 2 w1 w2\nquorum G\n")
    note = Note(LOG.checkpoint.to_text()).signed(NoteSigner(KEY))
    lines = [
        note.signed(CosignatureSigner(signing_key("w1"), time)).signatures[-1] for time in (1, 2)
    ]
    with pytest.raises(EvidenceRefused, match="cosigned w1"):
        policy.open(Note(note.text, (*note.signatures, *lines)).to_bytes())


def test_a_witness_whose_signatures_cannot_be_checked_here_never_counts() -> None:
    key = VerifierKey("pq.example", KeyKind.ML_DSA_44, bytes(1312))
    lines = f"{LOG_LINE}{WITNESS_LINES}witness pq {key.to_text()}\ngroup G any w1 pq\n"
    policy = policy_of(f"{lines}quorum G\n")
    assert policy.open(signed_by("log", "w1")).checkpoint == LOG.checkpoint
    with pytest.raises(EvidenceRefused, match="the quorum pq is not met"):
        policy_of(f"{lines}quorum pq\n").open(signed_by("log", "w1"))


def test_the_documented_limits_are_far_away() -> None:
    lines = []
    for number in range(100):
        log = SigningKey(f"l{number}", KeyKind.ED25519, bytes([number, 1]) * 16)
        witness = SigningKey(f"w{number}", KeyKind.COSIGNATURE, bytes([number, 2]) * 16)
        lines.append(f"log {log.verifier_key.to_text()} https://log.example/{number}")
        lines.append(f"witness w{number} {witness.verifier_key.to_text()} https://w.example/")
        members = f"w{number}" if number == 0 else f"g{number - 1} w{number}"
        lines.append(f"group g{number} all {members}")
    policy = policy_of("\n".join([*lines, "quorum g99", ""]))
    assert (len(policy.logs), len(policy.witnesses), len(policy.groups)) == (100, 100, 100)


def test_a_last_line_that_may_be_cut_off_is_not_passed_over() -> None:
    with pytest.raises(MalformedEvidence, match="line feed"):
        policy_of(f"{LOG_LINE}quorum none\n# and no wit")


def test_a_refusal_names_the_line() -> None:
    with pytest.raises(MalformedEvidence, match="line 3 of the policy: no line above defines W9"):
        policy_of(f"{LOG_LINE}\nquorum W9\n")
