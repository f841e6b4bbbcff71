"""Entry bundles."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import EntryTooLarge, MalformedEvidence
from certledger.eventstore.merkle import leaf_hash
from certledger.eventstore.tlog.bundles import MAX_ENTRY, pack_bundle, unpack_bundle
from tests.support.vectors import Case, accepted, by_case

LARGEST = b"\xff\xff" + b"\xab" * MAX_ENTRY
"""What the case `valid-max-entry` describes in words."""


@by_case("entry_bundles")
def test_a_bundle_is_read_or_refused_as_the_vectors_say(case: Case) -> None:
    if case["name"] == "entry-65536":
        with pytest.raises(EntryTooLarge):
            pack_bundle([bytes(65_536)])
        return
    bundle = bytes.fromhex(case["bundle_hex"]) if "bundle_hex" in case else LARGEST
    if not accepted(case):
        with pytest.raises(MalformedEvidence):
            unpack_bundle(bundle, case["width"])
        return
    entries = unpack_bundle(bundle, case["width"])
    assert pack_bundle(entries) == bundle
    assert b"".join(map(leaf_hash, entries)).hex() == case["tile_hex"]
    if "entries_hex" in case:
        assert [entry.hex() for entry in entries] == case["entries_hex"]
    else:
        assert sha256(bundle).hexdigest() == case["sha256"]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_entries_go_there_and_back(entries: list[bytes]) -> None:
    assert unpack_bundle(pack_bundle(entries), len(entries)) == entries


@given(st.binary(max_size=40) | st.binary(max_size=6).map(lambda data: b"\0\2ab" + data))
def test_any_bytes_are_a_bundle_that_is_written_alike_or_malformed(data: bytes) -> None:
    for width in range(1, 6):
        try:
            entries = unpack_bundle(data, width)
        except MalformedEvidence:
            continue
        assert len(entries) == width
        assert pack_bundle(entries) == data
