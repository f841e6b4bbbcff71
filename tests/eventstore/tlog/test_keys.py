"""Names, ids and text forms of keys; what a private key gives away."""

from __future__ import annotations

import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import KeyRefused, MalformedEvidence
from certledger.eventstore.tlog.encoding import to_base64
from certledger.eventstore.tlog.keys import KeyKind, SigningKey, VerifierKey, check_name
from certledger.eventstore.tlog.note import NoteVerifier
from tests.support.vectors import Case, accepted, by_case, cases, signing_key

NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"], exclude_characters="+"),
    min_size=1,
    max_size=30,
)
SEEDS = st.binary(min_size=32, max_size=32)
KINDS = st.sampled_from([KeyKind.ED25519, KeyKind.COSIGNATURE])
SIGNING_KEYS = st.builds(SigningKey, NAMES, KINDS, SEEDS)


@by_case("keys")
def test_a_seed_makes_the_vector_s_public_key_id_and_lines(case: Case) -> None:
    key = signing_key(case["label"])
    assert key.verifier_key.public_key.hex() == case["public_key"]
    assert key.verifier_key.id == key.verifier_key.key_id.hex() == case["key_id"]
    assert key.verifier_key.to_text() == case["vkey"]
    assert VerifierKey.from_text(case["vkey"]) == key.verifier_key
    if "skey_go_format" in case:
        assert key.to_text() == case["skey_go_format"]
        assert SigningKey.from_text(case["skey_go_format"]).to_text() == case["skey_go_format"]


@by_case("vkeys")
def test_a_verifier_key_of_a_log_is_read_or_refused_as_the_vectors_say(case: Case) -> None:
    if accepted(case):
        assert NoteVerifier(VerifierKey.from_text(case["vkey"])).key.to_text() == case["vkey"]
    else:
        with pytest.raises(MalformedEvidence):
            NoteVerifier(VerifierKey.from_text(case["vkey"]))


@given(SIGNING_KEYS)
def test_both_lines_go_there_and_back(key: SigningKey) -> None:
    assert VerifierKey.from_text(key.verifier_key.to_text()) == key.verifier_key
    again = SigningKey.from_text(key.to_text())
    assert again.to_text() == key.to_text()
    assert again.verifier_key == key.verifier_key
    assert again.verifier_key.verifies(b"message", key.sign(b"message"))


@given(st.text(max_size=60) | NAMES.map(lambda name: f"{name}+01234567+AQ=="))
def test_any_text_is_a_verifier_key_or_malformed(text: str) -> None:
    with pytest.raises(MalformedEvidence):
        VerifierKey.from_text(text)


def test_an_ml_dsa_key_can_be_named_but_not_sign() -> None:
    key = VerifierKey("w.example", KeyKind.ML_DSA_44, bytes(1312))
    assert VerifierKey.from_text(key.to_text()) == key
    assert not key.verifies(b"message", bytes(2420))
    with pytest.raises(KeyRefused):
        SigningKey("w.example", KeyKind.ML_DSA_44, bytes(32))


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\nb", "a\0b", "a\N{NO-BREAK SPACE}b", "\u3000", "\x85", "\ud800"]
)
def test_a_name_that_would_break_a_signature_line_is_refused(name: str) -> None:
    with pytest.raises(MalformedEvidence, match="name of a key"):
        SigningKey(name, KeyKind.ED25519, bytes(32))


def test_a_name_may_hold_what_unicode_does_not_call_white_space() -> None:
    assert check_name("schlüssel.example/ä—日\N{ZERO WIDTH SPACE}") != ""


def test_a_new_key_takes_its_seed_from_the_randomness_it_is_given() -> None:
    key = SigningKey.generate("log.example", KeyKind.ED25519, random=lambda size: b"\7" * size)
    assert key.to_text() == SigningKey("log.example", KeyKind.ED25519, b"\7" * 32).to_text()
    assert SigningKey.generate("a", KeyKind.ED25519).to_text() != (
        SigningKey.generate("a", KeyKind.ED25519).to_text()
    )


# Secrets

SECRET = cases("keys")[0]["skey_go_format"]
SEED = SECRET.rpartition("+")[2]
DAMAGED = {
    "another id": SECRET.replace("7e5f64ae", "00000000"),
    "another type": SECRET.replace(SEED, to_base64(b"\x06" + bytes(32))),
    "unknown type": SECRET.replace(SEED, to_base64(b"\xfe" + bytes(32))),
    "no type": SECRET.replace(SEED, ""),
    "cut off": SECRET[:-5],
    "a line end": SECRET + "\n",
    "a blank in the name": SECRET.replace("/test", "/ test"),
    "no name": SECRET.replace("log.example/test+", ""),
    "empty name": SECRET.replace("log.example/test", ""),
    "no prefix": SECRET.removeprefix("PRIVATE+KEY+"),
    "other prefix": SECRET.replace("PRIVATE", "PUBLIC"),
    "uppercase id": SECRET.replace("7e5f64ae", "7E5F64AE"),
    "half of a surrogate pair": SECRET.replace("/test", "/\ud800"),
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_private_key_is_refused_and_no_message_or_cause_repeats_it(text: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        SigningKey.from_text(text)
    told = "".join(traceback.format_exception(caught.value))
    assert SEED[:12] not in told
    assert caught.value.__context__ is None


def test_a_private_key_given_as_verifier_key_is_not_repeated() -> None:
    with pytest.raises(MalformedEvidence) as caught:
        VerifierKey.from_text(SECRET)
    assert SEED[:12] not in "".join(traceback.format_exception(caught.value))


def test_a_signing_key_shows_its_public_half_alone() -> None:
    key = SigningKey.from_text(SECRET)
    shown = f"{key!r} {key!s} {[key]} {key.verifier_key!r}"
    assert "log.example/test+7e5f64ae" in shown
    for secret in (SEED, bytes.fromhex(cases("keys")[0]["seed"]).hex(), "PRIVATE"):
        assert secret not in shown
    assert repr(bytes.fromhex(cases("keys")[0]["seed"])) not in shown


def test_a_signing_key_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="key file"):
        pickle.dumps(SigningKey.from_text(SECRET))
