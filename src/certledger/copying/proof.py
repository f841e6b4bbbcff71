"""The proof that two logs are one: by the bytes that the target gives back."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import fields
from typing import Final

from sqlalchemy import select

from certledger.copying.checkpoints import check_checkpoint
from certledger.copying.source import Extent, Source, entries_as_stored
from certledger.errors import LogCorrupt
from certledger.eventstore.checkpoints import checkpoints_from
from certledger.eventstore.database import Database
from certledger.eventstore.head import Head, read_head
from certledger.eventstore.merkle import EMPTY_ROOT, Frontier, leaf_hash
from certledger.eventstore.reader import PAGE, Entry
from certledger.eventstore.tables import log_checkpoint
from certledger.projections.progress import Progress

_SIZES: Final = select(log_checkpoint.c.size).distinct()


def prove_log(source: Source, target: Database, extent: Extent, progress: Progress) -> bytes:
    """Return the root hash of the tree over the bytes that the target gives back.

    It is the one that the source states; head, entries and stored checkpoints of the target are
    those of the source in every column, and the checkpoints are of this log.

    Raises `LogCorrupt`, which names the entry or the checkpoint.
    """
    _require_same(target, None, target.read(read_head), extent.head)
    sizes = target.read(lambda connection: set(connection.scalars(_SIZES)))
    proof = _Proof(source, target, extent)
    root = proof.log(sizes, progress)
    proof.checkpoints()
    return root


class _Proof:
    def __init__(self, source: Source, target: Database, extent: Extent) -> None:
        self._source = source
        self._target = target
        self._extent = extent
        self._roots = {0: EMPTY_ROOT}

    def log(self, sizes: AbstractSet[int], progress: Progress) -> bytes:
        """Recompute the tree, and keep its roots at some sizes."""
        goal = self._extent.head.size
        tree = Frontier()
        while tree.size < goal:
            start, stop = tree.size, min(tree.size + PAGE, goal)
            copies = entries_as_stored(self._target, start, stop)
            for copy, original in zip(copies, self._source.entries(start, stop), strict=False):
                _require_same(self._target, original.seq, copy, original)
                self._grow(tree, copy)
                if tree.size in sizes:
                    self._roots[tree.size] = tree.root()
            if tree.size != stop:
                message = f"{self._target}: it is missing"
                raise LogCorrupt(message, tree.size)
            progress(tree.size, goal)
        return self._proved(tree.root())

    def _grow(self, tree: Frontier, copy: Entry) -> None:
        if copy.seq != tree.size or tree.append(leaf_hash(copy.entry or b"")) != copy.hashes:
            message = f"{self._target}: its hashes are not those of its bytes"
            raise LogCorrupt(message, copy.seq)

    def _proved(self, root: bytes) -> bytes:
        stated = self._extent.head.root
        if root != stated:
            message = (
                f"the bytes in {self._target} have the root hash {root.hex()}, the source states "
                f"{stated.hex()}"
            )
            raise LogCorrupt(message)
        return root

    def checkpoints(self) -> None:
        """Compare the stored checkpoints, and hold them against the tree."""
        number = 0
        for page in self._source.checkpoints(0, self._extent.checkpoints):
            copies = self._target.read(lambda c, at=number: checkpoints_from(c, at))  # type: ignore[misc] # binds the loop's value
            if copies[: len(page)] != page:
                message = (
                    f"{self._target}: the stored checkpoints from {number} on are not those of the "
                    "source"
                )
                raise LogCorrupt(message)
            for stored in page:
                check_checkpoint(stored, self._extent.head, self._root_at)
            number += len(page)

    def _root_at(self, size: int) -> bytes:
        return self._roots.get(size, b"")


def _require_same(
    target: Database, seq: int | None, copy: Entry | Head, original: Entry | Head
) -> None:
    if copy == original:
        return
    for each in fields(copy):
        found, wanted = getattr(copy, each.name), getattr(original, each.name)
        if found != wanted:
            message = f"{each.name} is {found!r:.80} in {target}, {wanted!r:.80} in the source"
            raise LogCorrupt(message, seq)
