"""The five categories, and the spellings of them that callers of tiny_ca have."""

from __future__ import annotations

from enum import Enum, IntEnum

import pytest

from certledger.errors import InvalidValue
from certledger.eventstore.cert_type import CertType


class TinyCertType(Enum):
    """The members and values of tiny_ca 0.2.1's enum."""

    USER = "USR"
    SERVICE = "SVC"
    DEVICE = "DEV"
    INTERNAL = "INT"
    CA = "CA"


class Number(IntEnum):
    CA = 1


def test_the_values_are_those_that_the_table_stores() -> None:
    assert [member.value for member in CertType] == [
        "user",
        "service",
        "device",
        "internal",
        "ca",
    ]
    assert str(CertType.DEVICE) == "device"


@pytest.mark.parametrize("member", CertType)
def test_a_member_its_value_and_its_name_are_understood_in_any_case(member: CertType) -> None:
    for given in (member, member.value, member.value.upper(), member.name, f" {member.value}\n"):
        assert CertType.parse(given) is member


@pytest.mark.parametrize("theirs", TinyCertType)
def test_tiny_ca_s_members_and_codes_are_understood_in_any_case(theirs: TinyCertType) -> None:
    expected = CertType[theirs.name]
    for given in (theirs, theirs.value, theirs.value.lower(), theirs.value.title()):
        assert CertType.parse(given) is expected


@pytest.mark.parametrize("given", ["", "server", "devices", None, 1, Number.CA, b"ca", ["ca"]])
def test_anything_else_is_refused_with_the_known_ones(given: object) -> None:
    with pytest.raises(
        InvalidValue,
        match=r"unknown key type .*; known are user, service, device, internal, ca$",
    ):
        CertType.parse(given)
