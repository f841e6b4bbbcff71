"""Reasons follow RFC 5280 §5.3.1, whichever way they are given."""

from __future__ import annotations

import pytest
from cryptography.x509 import ReasonFlags

from certledger.errors import InvalidValue
from certledger.eventstore.reasons import CODE_BY_NAME, NAME_BY_CODE, reason_flag, reason_name

# RFC 5280 §5.3.1, CRLReason, without removeFromCRL (8); 7 is not used there.
RFC_5280 = {
    "unspecified": 0,
    "keyCompromise": 1,
    "cACompromise": 2,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
    "certificateHold": 6,
    "privilegeWithdrawn": 9,
    "aACompromise": 10,
}


def test_the_codes_are_those_of_the_rfc() -> None:
    assert dict(CODE_BY_NAME) == RFC_5280
    assert all(NAME_BY_CODE[code] == name for name, code in RFC_5280.items())


def test_every_flag_of_cryptography_but_remove_from_crl_is_a_reason() -> None:
    assert {flag.value for flag in ReasonFlags} - set(CODE_BY_NAME) == {"removeFromCRL"}


@pytest.mark.parametrize("name", RFC_5280)
def test_a_reason_is_understood_as_name_code_and_flag(name: str) -> None:
    code = RFC_5280[name]
    for given in (name, name.upper(), f" {name.lower()}\n", code, ReasonFlags(name)):
        assert reason_name(given) == name
    assert reason_flag(code) is ReasonFlags(name)
    assert reason_name(reason_flag(code)) == name


def test_no_reason_is_unspecified() -> None:
    assert reason_name(None) == "unspecified"


@pytest.mark.parametrize(
    "given",
    [
        ReasonFlags.remove_from_crl,
        "removeFromCRL",
        8,
        7,
        11,
        -1,
        "",
        "1",
        "key compromise",
        "key_compromise",
        True,
        False,
        1.0,
        b"keyCompromise",
        ["keyCompromise"],
    ],
)
def test_anything_else_is_refused_with_the_known_ones(given: object) -> None:
    with pytest.raises(InvalidValue, match=r"is no reason to revoke; known are unspecified, "):
        reason_name(given)  # type: ignore[arg-type] # what a caller without types may pass
