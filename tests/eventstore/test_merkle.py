"""The tree is RFC 6962's: by the vectors of other implementations and by the RFC's recursion."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import InvalidValue
from certledger.eventstore.merkle import EMPTY_ROOT, HASH_SIZE, Frontier, leaf_hash, node_hash
from certledger.testing.rfc6962 import naive_root
from tests.support.vectors import by_case, cases, leaf


def entry_of(case: dict[str, Any]) -> bytes:
    if "repeat_hex" in case:
        return bytes.fromhex(case["repeat_hex"]) * int(case["count"])
    if "data" in case:
        return str(case["data"]).encode()
    return bytes.fromhex(case["data_hex"])


def frontier_of(entries: list[bytes]) -> Frontier:
    frontier = Frontier()
    for entry in entries:
        frontier.append(leaf_hash(entry))
    return frontier


@by_case("leaf_hashes")
def test_a_leaf_hash_is_the_vector_s(case: dict[str, Any]) -> None:
    assert leaf_hash(entry_of(case)).hex() == case["hash"]


@by_case("node_hashes")
def test_a_node_hash_is_the_vector_s(case: dict[str, Any]) -> None:
    left, right = bytes.fromhex(case["left"]), bytes.fromhex(case["right"])
    assert node_hash(left, right).hex() == case["hash"]


def test_the_roots_of_one_growing_tree_are_the_vectors_up_to_70_000_leaves() -> None:
    frontier = Frontier()
    for case in cases("roots"):
        while frontier.size < case["size"]:
            frontier.append(leaf_hash(leaf(frontier.size)))
        assert frontier.root().hex() == case["root"], case["size"]


def test_the_empty_tree_has_the_hash_of_nothing_as_root() -> None:
    assert Frontier().root() == EMPTY_ROOT == sha256(b"").digest()


@given(st.integers(0, 300), st.binary(max_size=4))
def test_the_root_is_that_of_the_rfc_s_recursion(size: int, salt: bytes) -> None:
    entries = [salt + leaf(index) for index in range(size)]
    assert frontier_of(entries).root() == naive_root(entries)


def test_a_tree_can_be_continued_from_its_size_and_peaks_at_every_size() -> None:
    whole = Frontier()
    for size in range(300):
        resumed = Frontier(whole.size, whole.peaks)
        assert (resumed.root(), resumed.peaks) == (whole.root(), whole.peaks)
        next_leaf = leaf_hash(leaf(size))
        assert resumed.append(next_leaf) == whole.append(next_leaf)
        assert (resumed.root(), resumed.size) == (whole.root(), size + 1)


def test_appending_returns_the_hashes_of_the_subtrees_that_the_leaf_completes() -> None:
    entries = [leaf(index) for index in range(300)]
    frontier = Frontier()
    for index, entry in enumerate(entries):
        hashes = frontier.append(leaf_hash(entry))
        completed = [hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)]
        # Subtrees of 1, 2, 4 ... leaves end here while those sizes divide the new size.
        assert len(completed) == ((index + 1) & -(index + 1)).bit_length()
        for level, subtree in enumerate(completed):
            assert subtree == naive_root(entries[index + 1 - 2**level : index + 1])


def test_the_peaks_are_the_perfect_subtrees_from_left_to_right() -> None:
    entries = [leaf(index) for index in range(13)]
    peaks = naive_root(entries[:8]) + naive_root(entries[8:12]) + naive_root(entries[12:])
    assert frontier_of(entries).peaks == peaks


@pytest.mark.parametrize(
    ("size", "peaks"),
    [(0, 32), (1, 0), (1, 64), (2, 64), (3, 32), (3, 63), (3, 65), (7, 64), (8, 0), (-1, 32)],
)
def test_peaks_that_do_not_fit_the_size_are_refused(size: int, peaks: int) -> None:
    with pytest.raises(InvalidValue, match=f"{peaks} bytes of peaks do not fit a tree of {size}"):
        Frontier(size, bytes(peaks))


def test_a_continued_tree_leaves_the_first_one_alone() -> None:
    first = frontier_of([leaf(0)])
    root = first.root()
    Frontier(first.size, first.peaks).append(leaf_hash(leaf(1)))
    assert first.root() == root
