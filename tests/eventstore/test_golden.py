"""Stored bytes never change: an entry of every type and version, kept as it was first written.

When a test here fails, the code is wrong, not the file. A new type or version gets new files and
new lines in this module; `tests/support/golden.py` says how.
"""

from __future__ import annotations

import json

import pytest

from certledger.eventstore.certificates import describe_certificate, load_certificate
from certledger.eventstore.event import Event, load_event, read_event
from certledger.eventstore.events import EVENT_TYPES, Issued
from certledger.eventstore.merkle import leaf_hash
from tests.support.golden import FOLDER, GOLDEN, golden_bytes

LEAF_HASHES = {
    "certledger.certificate.issued.v1": (
        "990e0ac0af4a3af772d80d0ee2354f3a80a2bab20f1f8bcd15f37707cebd54a3"
    ),
    "certledger.certificate.issued.v1.required": (
        "b00d0fc9b62bce7dbd0443befac69aa213ccba8c8a7c79224766b2273a0996a3"
    ),
    "certledger.certificate.revoked.v1": (
        "b570029bbfa71ccebc3bfdfb6731dddb493881016e47ac2aa54d917da15ed76a"
    ),
    "certledger.certificate.revoked.v1.required": (
        "c778594baa28f9a3d9d9dc3439bd3782f3bf9321d617039cfd36f9a536aa44e9"
    ),
    "certledger.certificate.expired.v1": (
        "50ed1261dbd7862dbf6385f4dd59561664ff1977070df8249d3b63d0b9e44024"
    ),
    "certledger.certificate.expired.v1.required": (
        "22781ed86068e88fd62527aa8e7a803c296e0db86fde3bde0eb878fa58287d7f"
    ),
    "certledger.certificate.deleted.v1": (
        "f4ad4f73758d887e94c347cc62cfaa784823ee6771f76988a0c3cfe32c6745bd"
    ),
    "certledger.certificate.deleted.v1.required": (
        "642f823c7245b4fdece214ad138e55d3f1ba8c15f2cb678e2ce963f274f3e10a"
    ),
    "certledger.crl.published.v1": (
        "f70a51282084c4b4e1417f9830854412d2fef60f8f5e6ade3bb817302ad4c50e"
    ),
    "certledger.crl.published.v1.required": (
        "9f0736238905dc95113d1c642c2710e4877dade56614bdb79e5ec9192a0b844f"
    ),
}

every_name = pytest.mark.parametrize("name", GOLDEN)
HOW = "see tests/support/golden.py for what to do"


def test_every_type_has_a_golden_file_with_all_fields_and_one_with_the_required_only() -> None:
    wanted = {name + variant for name in EVENT_TYPES for variant in ("", ".required")}
    assert wanted <= set(GOLDEN), HOW


def test_every_golden_file_is_known_and_none_is_missing() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.json" for name in GOLDEN}, HOW
    assert set(LEAF_HASHES) == set(GOLDEN), HOW


def test_the_golden_events_use_every_field_and_every_attribute() -> None:
    for event_type, kind in EVENT_TYPES.items():
        members = json.loads(golden_bytes(event_type))
        assert set(members["data"]) == set(kind.model.model_fields), event_type
        assert set(Event.model_fields) - set(members) == {"extensions"}, event_type


def test_the_required_events_leave_out_all_that_may_be_left_out() -> None:
    for event_type, kind in EVENT_TYPES.items():
        members = json.loads(golden_bytes(f"{event_type}.required"))
        required = {name for name, field in kind.model.model_fields.items() if field.is_required()}
        assert set(members["data"]) == required, event_type
        left_out = {"extensions", "clocktime", "timesource", "correlationid", "causationid"}
        assert set(Event.model_fields) - set(members) == left_out, event_type


@every_name
def test_an_event_still_has_its_bytes(name: str) -> None:
    assert GOLDEN[name].to_entry() == golden_bytes(name), HOW


@every_name
def test_stored_bytes_are_still_read_as_the_same_event(name: str) -> None:
    assert read_event(golden_bytes(name)) == GOLDEN[name], HOW
    assert load_event(golden_bytes(name)) == GOLDEN[name], HOW


@every_name
def test_the_leaf_hash_of_the_stored_bytes_is_still_the_same(name: str) -> None:
    assert leaf_hash(golden_bytes(name)).hex() == LEAF_HASHES[name], HOW


@pytest.mark.parametrize(
    "name", ["certledger.certificate.issued.v1", "certledger.certificate.issued.v1.required"]
)
def test_a_certificate_is_still_described_as_it_was(name: str) -> None:
    stored = read_event(golden_bytes(name)).data
    assert isinstance(stored, Issued)
    described = describe_certificate(
        load_certificate(stored.certificate_pem),
        key_type=stored.key_type,
        uuid=stored.uuid,
        comment=stored.comment,
    )
    assert described == stored
