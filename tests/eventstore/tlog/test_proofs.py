"""Inclusion and consistency proofs: by the vectors, exhaustively, and in trees of any size."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import EvidenceError, EvidenceRefused, InvalidValue, MalformedEvidence
from certledger.eventstore.merkle import EMPTY_ROOT, HASH_SIZE, leaf_hash, node_hash
from certledger.eventstore.tlog.proofs import (
    HashOf,
    check_consistency,
    check_inclusion,
    consistency_path,
    consistency_proof,
    inclusion_path,
    inclusion_proof,
    perfect_subtrees,
    tree_hash,
)
from certledger.testing.rfc6962 import largest_power_of_two_below, naive_root
from tests.support.evidence import PublishedLog, flipped
from tests.support.sparse_tree import SparseTree
from tests.support.vectors import Case, by_case, cases, hashes, leaf

ROOTS = {case["size"]: bytes.fromhex(case["root"]) for case in cases("roots")}
LARGEST = 300
SIZES = st.integers(1, 2**64 - 1) | st.integers(1, 64).map(lambda bits: 2**bits - 1)


@pytest.fixture(scope="module")
def tree() -> HashOf:
    """The tree of the vectors, large enough for all of them."""
    return PublishedLog(70_000).hashes


def vectors_tree(size: int, hash_of: HashOf) -> bytes:
    return tree_hash(range(size), hash_of)


# The vectors


def test_the_tree_in_tiles_has_the_vectors_roots(tree: HashOf) -> None:
    for size, root in ROOTS.items():
        assert vectors_tree(size, tree) == root, size


@by_case("inclusion_proofs")
def test_an_inclusion_proof_is_the_vector_s_and_verifies(case: Case, tree: HashOf) -> None:
    index, size, proof = case["index"], case["size"], hashes(case["proof"])
    assert inclusion_proof(index, size, tree) == proof
    check_inclusion(proof, leaf=leaf_hash(leaf(index)), index=index, size=size, root=ROOTS[size])


@by_case("consistency_proofs")
def test_a_consistency_proof_is_the_vector_s_and_verifies(case: Case, tree: HashOf) -> None:
    old, new, proof = case["old_size"], case["new_size"], hashes(case["proof"])
    assert consistency_proof(old, new, tree) == proof
    check_consistency(proof, old_size=old, old_root=ROOTS[old], new_size=new, new_root=ROOTS[new])


def digest(proofs: Sequence[Sequence[bytes]]) -> str:
    whole = b"".join(bytes([len(proof)]) + b"".join(proof) for proof in proofs)
    return sha256(whole).hexdigest()[:32]


@by_case("inclusion_exhaustive")
def test_every_inclusion_proof_of_a_size_is_the_vectors(case: Case, tree: HashOf) -> None:
    size = case["size"]
    assert digest([inclusion_proof(at, size, tree) for at in range(size)]) == case["digest"]


@by_case("consistency_exhaustive")
def test_every_consistency_proof_of_a_size_is_the_vectors(case: Case, tree: HashOf) -> None:
    new = case["new_size"]
    proofs = [consistency_proof(old, new, tree) for old in range(1, new + 1)]
    assert digest(proofs) == case["digest"]


@by_case("inclusion_invalid")
def test_an_invalid_inclusion_proof_is_refused(case: Case) -> None:
    proof = hashes(case.get("proof", []))
    if "proof_repeat" in case:
        proof = [bytes.fromhex(case["proof_repeat"])] * case["count"]
    with pytest.raises(EvidenceError):
        check_inclusion(
            proof,
            leaf=bytes.fromhex(case["leaf_hash"]),
            index=case["index"],
            size=case["size"],
            root=bytes.fromhex(case["root"]),
        )


def check_case(case: Case) -> None:
    check_consistency(
        hashes(case["proof"]),
        old_size=case["old_size"],
        old_root=bytes.fromhex(case["old_root"]),
        new_size=case["new_size"],
        new_root=bytes.fromhex(case["new_root"]),
    )


@by_case("consistency_invalid")
def test_an_invalid_consistency_proof_is_refused(case: Case) -> None:
    with pytest.raises(EvidenceError):
        check_case(case)


@by_case("consistency_edge")
def test_at_the_edges_a_proof_from_the_empty_tree_is_refused_all_else_is_as_the_rfc_has_it(
    case: Case,
) -> None:
    if case["expect"] == "accept":
        check_case(case)
    else:
        with pytest.raises(EvidenceError):
            check_case(case)


# Every size


def naive_inclusion(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]) of RFC 6962 §2.1.1."""
    if len(entries) == 1:
        return []
    split = largest_power_of_two_below(len(entries))
    left, right = entries[:split], entries[split:]
    if index < split:
        return [*naive_inclusion(index, left), naive_root(right)]
    return [*naive_inclusion(index - split, right), naive_root(left)]


def naive_consistency(old: int, entries: Sequence[bytes], *, known: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of RFC 6962 §2.1.2."""
    if old == len(entries):
        return [] if known else [naive_root(entries)]
    split = largest_power_of_two_below(len(entries))
    left, right = entries[:split], entries[split:]
    if old <= split:
        return [*naive_consistency(old, left, known=known), naive_root(right)]
    return [*naive_consistency(old - split, right, known=False), naive_root(left)]


def levels_of(leaves: list[bytes]) -> list[list[bytes]]:
    """The hashes of all perfect subtrees: level, then index."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(*below[at : at + 2]) for at in range(0, len(below) - 1, 2)])
    return levels


def test_all_proofs_verify_for_all_sizes_up_to_300() -> None:
    levels = levels_of([leaf_hash(leaf(index)) for index in range(LARGEST)])

    def hash_of(level: int, index: int) -> bytes:
        return levels[level][index]

    roots = [vectors_tree(size, hash_of) for size in range(LARGEST + 1)]
    for new, new_root in enumerate(roots):
        for index, entry in enumerate(levels[0][:new]):
            proof = inclusion_proof(index, new, hash_of)
            check_inclusion(proof, leaf=entry, index=index, size=new, root=new_root)
            old, old_root = index + 1, roots[index + 1]
            proof = consistency_proof(old, new, hash_of)
            check_consistency(
                proof, old_size=old, old_root=old_root, new_size=new, new_root=new_root
            )


@given(st.data())
def test_a_proof_is_that_of_the_rfc_s_recursion(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 130))
    index = data.draw(st.integers(0, size - 1))
    log = PublishedLog(size)
    assert inclusion_proof(index, size, log.hashes) == naive_inclusion(index, log.entries)
    expected = naive_consistency(index + 1, log.entries)
    assert consistency_proof(index + 1, size, log.hashes) == expected


@given(st.data())
def test_proofs_of_trees_of_any_size_verify_with_few_look_ups(data: st.DataObject) -> None:
    size = data.draw(SIZES)
    positions = st.integers(0, size - 1)
    index, other = data.draw(positions), data.draw(positions)
    tree = SparseTree({index: b"entry", other: b"other"})
    root, old = tree.root(size), index + 1

    proof = inclusion_proof(index, size, tree)
    check_inclusion(proof, leaf=tree.leaf(index), index=index, size=size, root=root)
    assert tree.asked <= 2 * log2(size) + 1

    tree.asked = 0
    proof = consistency_proof(old, size, tree)
    old_root = tree.root(old)
    check_consistency(proof, old_size=old, old_root=old_root, new_size=size, new_root=root)
    assert tree.asked <= 2 * log2(size) + 1


@given(st.data())
def test_no_other_index_size_or_old_size_verifies_with_a_proof(data: st.DataObject) -> None:
    size = data.draw(SIZES)
    index = data.draw(st.integers(0, size - 1))
    tree = SparseTree({index: b"entry"})
    proof, root = inclusion_proof(index, size, tree), tree.root(size)
    wrong = data.draw(
        st.integers(0, size - 1).filter(lambda found: found != index) if size > 1 else st.just(1)
    )
    with pytest.raises(EvidenceRefused):
        check_inclusion(proof, leaf=tree.leaf(index), index=wrong, size=size, root=root)
    old = index + 1
    consistency = consistency_proof(old, size, tree)
    with pytest.raises(EvidenceRefused):
        check_consistency(
            consistency, old_size=wrong + 1, old_root=tree.root(old), new_size=size, new_root=root
        )


# What makes a proof fail


@given(st.data())
def test_any_flipped_bit_in_leaf_proof_or_root_is_refused(data: st.DataObject) -> None:
    size = data.draw(SIZES)
    index = data.draw(st.integers(0, size - 1))
    tree = SparseTree({index: b"entry"})
    parts = [tree.leaf(index), tree.root(size), *inclusion_proof(index, size, tree)]
    which = data.draw(st.integers(0, len(parts) - 1))
    parts[which] = flipped(parts[which], data.draw(st.integers(0, 8 * HASH_SIZE - 1)))
    changed_leaf, root, *proof = parts
    with pytest.raises(EvidenceRefused):
        check_inclusion(proof, leaf=changed_leaf, index=index, size=size, root=root)


@given(st.data())
def test_any_flipped_bit_in_a_consistency_proof_or_its_roots_is_refused(
    data: st.DataObject,
) -> None:
    new = data.draw(SIZES)
    old = data.draw(st.integers(1, new))
    tree = SparseTree({old - 1: b"entry"})
    parts = [tree.root(old), tree.root(new), *consistency_proof(old, new, tree)]
    which = data.draw(st.integers(0, len(parts) - 1))
    parts[which] = flipped(parts[which], data.draw(st.integers(0, 8 * HASH_SIZE - 1)))
    old_root, new_root, *proof = parts
    with pytest.raises(EvidenceRefused):
        check_consistency(proof, old_size=old, old_root=old_root, new_size=new, new_root=new_root)


@given(st.data())
def test_a_proof_with_a_hash_more_or_fewer_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 2**64 - 1))
    index = data.draw(st.integers(0, size - 2))
    tree = SparseTree({index: b"entry"})
    root, entry = tree.root(size), tree.leaf(index)
    inclusion = inclusion_proof(index, size, tree)
    consistency = consistency_proof(index + 1, size, tree)
    more = data.draw(st.binary(min_size=HASH_SIZE, max_size=HASH_SIZE))
    for wrong in (inclusion[:-1], inclusion[1:], [*inclusion, more], [more, *inclusion]):
        with pytest.raises(EvidenceRefused):
            check_inclusion(wrong, leaf=entry, index=index, size=size, root=root)
    old = index + 1
    for wrong in (consistency[:-1], consistency[1:], [*consistency, more], [more, *consistency]):
        with pytest.raises(EvidenceRefused):
            check_consistency(
                wrong, old_size=old, old_root=tree.root(old), new_size=size, new_root=root
            )


@given(
    st.lists(st.binary(max_size=40), max_size=70),
    st.binary(max_size=40),
    st.integers(),
    st.integers(),
    st.binary(max_size=40),
)
def test_on_any_values_only_our_errors_escape(
    proof: list[bytes], first: bytes, number: int, size: int, root: bytes
) -> None:
    with pytest.raises(EvidenceError):
        check_inclusion(proof, leaf=first, index=number, size=size, root=root)
    with pytest.raises(EvidenceError):
        # A fork: the roots differ, as a root of 33 bytes is none.
        check_consistency(proof, old_size=number, old_root=b"x" * 33, new_size=size, new_root=root)


def test_a_refusal_says_what_was_calculated_and_what_was_expected() -> None:
    tree = SparseTree({})
    with pytest.raises(EvidenceRefused) as caught:
        check_inclusion([], leaf=tree.leaf(0), index=0, size=1, root=EMPTY_ROOT)
    assert tree.leaf(0).hex() in str(caught.value)
    assert EMPTY_ROOT.hex() in str(caught.value)


def test_a_hash_of_another_length_is_malformed_rather_than_wrong() -> None:
    short, whole = b"x" * 31, EMPTY_ROOT
    with pytest.raises(MalformedEvidence, match="31 bytes"):
        check_inclusion([short], leaf=whole, index=0, size=2, root=whole)
    with pytest.raises(MalformedEvidence, match="31 bytes"):
        check_consistency([short], old_size=1, old_root=whole, new_size=2, new_root=whole)


def test_a_proof_that_goes_on_above_the_size_is_refused_although_it_leads_to_the_root() -> None:
    """Only the length shows that these are roots of larger trees."""
    tree = SparseTree({1: b"second"})
    with pytest.raises(EvidenceRefused, match="more than these sizes have"):
        check_inclusion([tree.leaf(0)], leaf=tree.leaf(1), index=0, size=1, root=tree.root(2))
    proof = consistency_proof(7, 8, tree)
    with pytest.raises(EvidenceRefused, match="more than these sizes have"):
        check_consistency(
            proof, old_size=3, old_root=tree.root(7), new_size=4, new_root=tree.root(8)
        )


# Making


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 1), (1, 1), (7, 7)])
def test_no_proof_is_made_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(InvalidValue, match=f"no leaf {index}"):
        inclusion_path(index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 7), (-1, 7), (8, 7)])
def test_no_proof_is_made_from_the_empty_tree_or_to_a_smaller_one(old: int, new: int) -> None:
    with pytest.raises(InvalidValue, match=f"from {old} to {new}"):
        consistency_path(old, new)


@given(st.integers(0, 2**64), st.integers(0, 2**64))
def test_perfect_subtrees_cover_a_range_without_gaps(first: int, second: int) -> None:
    leaves = range(*sorted((first, second)))
    at = leaves.start
    for level, index in perfect_subtrees(leaves):
        assert index << level == at
        at += 1 << level
    assert at == leaves.stop


def test_the_empty_range_has_the_empty_root() -> None:
    assert tree_hash(range(0), SparseTree({})) == EMPTY_ROOT
