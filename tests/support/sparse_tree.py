"""Merkle trees of any size: all leaves are one, but for a few."""

from __future__ import annotations

from collections.abc import Mapping

from certledger.eventstore.merkle import leaf_hash, node_hash
from certledger.eventstore.tlog.proofs import tree_hash


class SparseTree:
    """Gives the hashes of perfect subtrees, and counts how often it is asked."""

    def __init__(self, special: Mapping[int, bytes]) -> None:
        """Put these entries at these positions, and the entry `common` at all others."""
        self._special = {index: leaf_hash(entry) for index, entry in special.items()}
        self._common = [leaf_hash(b"common")]
        self.asked = 0

    def __call__(self, level: int, index: int) -> bytes:
        self.asked += 1
        return self._hash(level, index)

    def leaf(self, index: int) -> bytes:
        return self._hash(0, index)

    def root(self, size: int) -> bytes:
        return tree_hash(range(size), self._hash)

    def _hash(self, level: int, index: int) -> bytes:
        if not any(position >> level == index for position in self._special):
            while len(self._common) <= level:
                self._common.append(node_hash(self._common[-1], self._common[-1]))
            return self._common[level]
        if level == 0:
            return self._special[index]
        return node_hash(self._hash(level - 1, 2 * index), self._hash(level - 1, 2 * index + 1))
