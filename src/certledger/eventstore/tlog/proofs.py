"""Inclusion and consistency proofs (RFC 6962 §2.1.1 and §2.1.2, RFC 9162 §2.1.3 and §2.1.4).

A proof is a list of hashes of subtrees. To make one, a tree of n leaves is asked for the hashes of
at most 2 log n *perfect* subtrees, each named by its level and its index there: the subtree
(level, index) covers the leaves from index * 2^level up to (index + 1) * 2^level.

A root commits neither to the size of its tree nor to its depth: a size that is checked against
must come from the signed checkpoint that carries the root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from certledger.errors import EvidenceRefused, InvalidValue, MalformedEvidence
from certledger.eventstore.merkle import EMPTY_ROOT, HASH_SIZE, node_hash

HashOf = Callable[[int, int], bytes]
"""Gives the hash of the perfect subtree of a level and an index."""


def inclusion_proof(index: int, size: int, hash_of: HashOf) -> list[bytes]:
    """Make the proof that the leaf at `index` is in the tree of `size` leaves."""
    return [tree_hash(leaves, hash_of) for leaves in inclusion_path(index, size)]


def consistency_proof(old_size: int, new_size: int, hash_of: HashOf) -> list[bytes]:
    """Make the proof that the tree of `new_size` leaves begins with that of `old_size` leaves."""
    return [tree_hash(leaves, hash_of) for leaves in consistency_path(old_size, new_size)]


def inclusion_path(index: int, size: int) -> list[range]:
    """Return which leaves each hash of an inclusion proof covers, the leaf's sibling first.

    Raises `InvalidValue` where there is no such leaf.
    """
    if not 0 <= index < size:
        message = f"a tree of {size} leaves has no leaf {index}"
        raise InvalidValue(message)
    path = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(range(middle, stop))
            stop = middle
        else:
            path.append(range(start, middle))
            start = middle
    return path[::-1]


def consistency_path(old_size: int, new_size: int) -> list[range]:
    """Return which leaves each hash of a consistency proof covers, in the order of the proof.

    Raises `InvalidValue` unless 0 < old_size <= new_size: every tree extends the empty one, and
    no proof says so.
    """
    if not 0 < old_size <= new_size:
        message = f"there is no proof from {old_size} to {new_size} leaves: 0 < old <= new"
        raise InvalidValue(message)
    path = []
    start, stop = 0, new_size
    while stop != old_size:
        middle = start + _split(stop - start)
        if old_size <= middle:
            path.append(range(middle, stop))
            stop = middle
        else:
            path.append(range(start, middle))
            start = middle
    if start > 0:
        # Where nothing lies to the left, this subtree is the old tree, whose root is known.
        path.append(range(start, stop))
    return path[::-1]


def perfect_subtrees(leaves: range) -> list[tuple[int, int]]:
    """Return the perfect subtrees, (level, index) from left to right, that a range consists of."""
    found = []
    start = leaves.start
    while start < leaves.stop:
        level = (leaves.stop - start).bit_length() - 1
        if start:
            # No subtree is larger than the alignment of its first leaf.
            level = min(level, (start & -start).bit_length() - 1)
        found.append((level, start >> level))
        start += 1 << level
    return found


def tree_hash(leaves: range, hash_of: HashOf) -> bytes:
    """Return MTH(D[start:stop]) for a range of `inclusion_path`, `consistency_path` or from 0."""
    hashes = [hash_of(level, index) for level, index in perfect_subtrees(leaves)]
    if not hashes:
        return EMPTY_ROOT
    node = hashes.pop()
    while hashes:
        node = node_hash(hashes.pop(), node)
    return node


def check_inclusion(
    proof: Sequence[bytes], *, leaf: bytes, index: int, size: int, root: bytes
) -> None:
    """Check that the leaf hash `leaf` stands at `index` in the tree of this size and root.

    Raises `MalformedEvidence` for a hash that is not 32 bytes long, else `EvidenceRefused`.
    """
    check_lengths((leaf, root, *proof))
    if not 0 <= index < size:
        message = f"leaf {index} is not in a tree of {size} leaves"
        raise EvidenceRefused(message)
    # RFC 9162 §2.1.3.2. `at` and `last` are the leaf's and the last leaf's place on each level.
    at, last = index, size - 1
    node = leaf
    for sibling in proof:
        if last == 0:
            _refuse_length("inclusion", len(proof), "more")
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            # On the right edge the levels without a sibling are passed over.
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        _refuse_length("inclusion", len(proof), "fewer")
    _check_root(f"leaf {index} with its inclusion proof", node, f"the tree of {size}", root)


def check_consistency(
    proof: Sequence[bytes], *, old_size: int, old_root: bytes, new_size: int, new_root: bytes
) -> None:
    """Check that the new tree begins with the old one: nothing was changed, only appended.

    An old size of 0 is refused. Who tracks a log may move from size 0 and the empty root to any
    checkpoint without a proof.

    Raises `MalformedEvidence` for a hash that is not 32 bytes long, else `EvidenceRefused`.
    """
    check_lengths((old_root, new_root, *proof))
    if not 0 < old_size <= new_size:
        message = f"nothing proves a tree of {new_size} from one of {old_size}: 0 < old <= new"
        raise EvidenceRefused(message)
    if old_size == new_size:
        if proof:
            _refuse_length("consistency", len(proof), "more")
        _check_root(f"one tree of {old_size}", old_root, "another of the same size", new_root)
        return
    from_old, from_new = _roots_of(proof, old_size, old_root, new_size)
    _check_root("the consistency proof", from_old, f"the old tree of {old_size}", old_root)
    _check_root("the consistency proof", from_new, f"the new tree of {new_size}", new_root)


def _roots_of(
    proof: Sequence[bytes], old_size: int, old_root: bytes, new_size: int
) -> tuple[bytes, bytes]:
    """Return the roots of both trees as the proof has them (RFC 9162 §2.1.4.2)."""
    if not proof:
        _refuse_length("consistency", 0, "fewer")
    # The root of an old tree that is perfect is a subtree of the new one, and left out.
    hashes = proof if old_size & (old_size - 1) else (old_root, *proof)
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    from_old = from_new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            _refuse_length("consistency", len(proof), "more")
        if at & 1 or at == last:
            from_old = node_hash(sibling, from_old)
            from_new = node_hash(sibling, from_new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            from_new = node_hash(from_new, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        _refuse_length("consistency", len(proof), "fewer")
    return from_old, from_new


def _split(count: int) -> int:
    """Return the largest power of two below `count`: where RFC 6962 divides a tree."""
    return 1 << ((count - 1).bit_length() - 1)


def check_lengths(hashes: Iterable[bytes]) -> None:
    """Raise `MalformedEvidence` for a hash that is not 32 bytes long."""
    for found in hashes:
        if len(found) != HASH_SIZE:
            message = f"a hash has {len(found)} bytes; SHA-256 has {HASH_SIZE}"
            raise MalformedEvidence(message)


def _refuse_length(kind: str, length: int, than: str) -> None:
    message = f"the {kind} proof has {length} hashes, {than} than these sizes have"
    raise EvidenceRefused(message)


def _check_root(what: str, calculated: bytes, whose: str, expected: bytes) -> None:
    if calculated != expected:
        message = (
            f"{what} leads to the root {calculated.hex()}, but {whose} has {expected.hex()}: "
            "not the same log"
        )
        raise EvidenceRefused(message)
