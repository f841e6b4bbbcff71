"""Recomputing the Merkle tree while the log is read, and naming what its stored hashes tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final, NamedTuple

from certledger.eventstore.merkle import EMPTY_ROOT, HASH_SIZE, Frontier
from certledger.projections.verifying.finding import Finding, serial_in

_LARGEST_GAP: Final = 100_000
"""Past so many missing entries the tree after them is given up."""

_UNKNOWN: Final = bytes(HASH_SIZE)


class _Doubt(NamedTuple):
    """A row whose hashes are not those of the bytes: which were changed, hashes or bytes?"""

    seq: int
    first: int
    """Where the largest subtree begins that this row completes."""
    leaf: bool
    """Whether the leaf hash differs: then the bytes are this row's own."""
    bounds: tuple[int, int]
    """The first and the last entry of the smallest subtree that differs."""
    serial: int | None


class TreeCheck:
    """The tree over the leaf hashes that the entries' bytes have, whatever is stored.

    Where the bytes of a row do not have its stored hashes, the next row that holds a hash over
    both decides: if that hash is the one of the bytes, the bytes are what was appended.
    """

    def __init__(self, size: int, wanted: Collection[int] = ()) -> None:
        """Expect the positions from 0 to `size`; keep the roots at the sizes that are wanted."""
        self._size = size
        self._due = 0
        self._tree: Frontier | None = Frontier()
        self._wanted = frozenset(wanted)
        self.roots: dict[int, bytes] = {0: EMPTY_ROOT}
        """Size to root, of the wanted sizes up to which nothing is missing."""
        self._doubts: dict[int, list[_Doubt]] = {}
        """By the row that will decide; never more than the tree has peaks."""
        self._told = -1
        """The last entry that is known to be damaged, which explains what lies above it."""
        self._whole = True

    def add(
        self,
        seq: int,
        hashes: Any,
        leaf: bytes | None,
        subject: Any = None,
        *,
        misplaced: bool = False,
    ) -> Iterator[Finding]:
        """Take the next row; `leaf` is None where there are no bytes.

        `misplaced`: its bytes belong elsewhere, so that its hashes say nothing about this place.
        """
        if seq < 0:
            yield Finding("finding", "gap", seq, f"{seq} is no position of a log")
            return
        if seq != self._due:
            yield from self._skip_to(seq)
        self._due = seq + 1
        if self._tree is None:
            return
        stored = hashes if isinstance(hashes, bytes) else b""
        known = leaf if leaf is not None else stored[:HASH_SIZE]
        if len(known) != HASH_SIZE:
            known, self._whole, self._told = _UNKNOWN, False, seq
        computed = self._tree.append(known)
        if self._due in self._wanted and self._whole:
            self.roots[self._due] = self._tree.root()
        # Of a row that was moved as a whole, bytes and hash still fit each other.
        misplaced = misplaced and stored[:HASH_SIZE] == leaf
        if misplaced:
            self._told = seq
        for doubt in self._doubts.pop(seq, ()):
            yield self._decide(doubt, seq, stored, computed)
        if stored != computed and not misplaced:
            yield from self._compare(seq, stored, computed, serial_in(subject))

    def _skip_to(self, seq: int) -> Iterator[Finding]:
        if seq > self._size:
            # Past the end, which the head states: that is told once, and not as a gap.
            self._tree = None
            if self._due >= self._size:
                return
            seq = self._size
        missing = seq - self._due
        gone = f"entry {self._due} is" if missing == 1 else f"entries {self._due} to {seq - 1} are"
        yield Finding("finding", "gap", self._due, f"{gone} missing")
        self._whole, self._told = False, seq - 1
        yield from self._give_verdicts(confirmed=False)
        if missing > _LARGEST_GAP:
            self._tree = None
        elif self._tree is not None:
            for _ in range(missing):
                self._tree.append(_UNKNOWN)

    def _compare(
        self, seq: int, stored: bytes, computed: bytes, serial: int | None
    ) -> Iterator[Finding]:
        """Doubt a row whose hashes differ, unless damage below it explains that."""
        if len(stored) != len(computed):
            message = (
                f"the column hashes holds {len(stored)} bytes, {len(computed)} are due at its place"
            )
            yield Finding("finding", "hash-column", seq, message, serial)
            self._told = seq
            return
        level = next(at for at in range(len(stored)) if stored[at] != computed[at]) // HASH_SIZE
        first = seq + 1 - (1 << level)
        if self._told >= first:
            return
        height = len(stored) // HASH_SIZE - 1
        start = seq + 1 - (1 << height)
        decides = seq + (1 << height)
        doubt = _Doubt(seq, start, level == 0, (first, seq), serial)
        self._doubts.setdefault(decides, []).append(doubt)

    def _decide(self, doubt: _Doubt, seq: int, stored: bytes, computed: bytes) -> Finding:
        # The parent of its largest subtree stands in this row, one level above it.
        at = (seq - doubt.seq).bit_length() * HASH_SIZE
        parent = slice(at, at + HASH_SIZE)
        return self._verdict(doubt, confirmed=stored[parent] == computed[parent] != b"")

    def _verdict(self, doubt: _Doubt, *, confirmed: bool) -> Finding:
        self._told = max(self._told, doubt.seq)
        first, last = doubt.bounds
        if confirmed:
            message = "its hashes were changed: those over it are the ones of its bytes"
            return Finding("finding", "hash-column", doubt.seq, message, doubt.serial)
        if doubt.leaf:
            message = "its bytes do not have the leaf hash that is stored with them"
            return Finding("finding", "leaf-hash", doubt.seq, message, doubt.serial)
        message = f"the entries {first} to {last} are not those whose hash is stored here"
        return Finding("finding", "tree-hash", doubt.seq, message, doubt.serial)

    def _give_verdicts(self, *, confirmed: bool) -> Iterator[Finding]:
        for doubt in self._doubtful():
            yield self._verdict(doubt, confirmed=confirmed)
        self._doubts.clear()

    def _doubtful(self) -> list[_Doubt]:
        return sorted(doubt for doubts in self._doubts.values() for doubt in doubts)

    def finish(self, peaks: Any) -> Iterator[Finding]:
        """Decide the doubts that are left by the head's peaks: a peak stands for each of them."""
        if self._tree is None or not isinstance(peaks, bytes) or len(peaks) != len(self.peaks):
            yield from self._give_verdicts(confirmed=False)
            return
        doubtful = {doubt.first: doubt for doubt in self._doubtful()}
        begin = 0
        for at in range(0, len(peaks), HASH_SIZE):
            peak = slice(at, at + HASH_SIZE)
            if begin in doubtful:
                yield self._verdict(doubtful[begin], confirmed=peaks[peak] == self.peaks[peak])
            begin += 1 << ((self._tree.size - begin).bit_length() - 1)
        self._doubts.clear()

    @property
    def peaks(self) -> bytes:
        """The peaks of all that was taken."""
        return b"" if self._tree is None else self._tree.peaks
