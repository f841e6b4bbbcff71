"""Recomputing the Merkle tree while the log is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from certledger.eventstore.merkle import HASH_SIZE, Frontier
from certledger.projections.verifying.finding import Finding

_LARGEST_GAP: Final = 100_000
"""Past so many missing entries the tree after them is given up."""

_UNKNOWN: Final = bytes(HASH_SIZE)


class TreeCheck:
    """The tree over the leaf hashes that the entries' bytes have, whatever is stored."""

    def __init__(self, size: int) -> None:
        """Expect the positions from 0 to `size`."""
        self._size = size
        self._due = 0
        self._tree: Frontier | None = Frontier()

    def add(self, seq: int, hashes: Any, leaf: bytes | None) -> Iterator[Finding]:
        """Take the next row; `leaf` is None where neither bytes nor a stored hash are left."""
        if seq < 0:
            yield Finding("finding", "gap", seq, f"{seq} is no position of a log")
            return
        if seq >= self._size:
            return  # that the head states a smaller size is told once, not for each entry
        yield from self._skip_to(seq)
        self._due = seq + 1
        if self._tree is None:
            return
        subtrees = self._tree.append(leaf or _UNKNOWN)[HASH_SIZE:]
        stored = hashes[HASH_SIZE:] if isinstance(hashes, bytes) else None
        if stored != subtrees:
            yield Finding(
                "finding",
                "tree-hash",
                seq,
                f"the stored hashes of the {len(subtrees) // HASH_SIZE} subtrees that it "
                "completes are not those that follow from the entries",
            )

    def _skip_to(self, seq: int) -> Iterator[Finding]:
        missing = seq - self._due
        if not missing:
            return
        gone = f"entry {self._due} is" if missing == 1 else f"entries {self._due} to {seq - 1} are"
        yield Finding("finding", "gap", self._due, f"{gone} missing")
        if missing > _LARGEST_GAP:
            self._tree = None
        elif self._tree is not None:
            for _ in range(missing):
                self._tree.append(_UNKNOWN)

    def head(self) -> tuple[bytes, bytes] | None:
        """Return root and peaks of the whole tree, None where it is not complete."""
        if self._tree is None or self._tree.size != self._size:
            return None
        return self._tree.root(), self._tree.peaks
