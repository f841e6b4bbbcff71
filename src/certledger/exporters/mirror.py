"""Checking an exported tree: by itself, and against a registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection

from certledger.errors import EvidenceRefused
from certledger.eventstore.database import Database
from certledger.eventstore.head import read_head
from certledger.eventstore.merkle import leaf_hash
from certledger.eventstore.tlog.checkpoint import Checkpoint, Trust
from certledger.eventstore.tlog.proofs import tree_hash
from certledger.eventstore.tlog.tile_folder import TileFolder
from certledger.eventstore.tlog.tile_tree import TileHashes, check_tiles, read_entries
from certledger.eventstore.tree import root_at
from certledger.exporters.tiles import CHECKPOINT
from certledger.projections.progress import Progress


def check_mirror(folder: Path, trust: Trust, progress: Progress | None = None) -> Checkpoint:
    """Verify the checkpoint of a folder, and every bundle and tile of its tree; no database needed.

    Raises `EvidenceError`, which names the first file that is missing or wrong, or `OSError`.
    """
    checkpoint = trust.open((folder / CHECKPOINT).read_bytes()).checkpoint
    fetch = TileFolder(folder)

    def leaves() -> Iterator[bytes]:
        for done, entry in enumerate(read_entries(fetch, checkpoint.size), start=1):
            yield leaf_hash(entry)
            if progress is not None:
                progress(done, checkpoint.size)

    check_tiles(leaves(), checkpoint.root, fetch)
    return checkpoint


def compare_with_registry(folder: Path, checkpoint: Checkpoint, database: Database) -> int:
    """Compare a tree that `check_mirror` found right with a registry; return the registry's size.

    One must be the beginning of the other. Raises `EvidenceRefused` where neither is,
    `LogCorrupt` or another `StorageError`.
    """
    return database.read(lambda connection: _compare(connection, folder, checkpoint))


def _compare(connection: Connection, folder: Path, checkpoint: Checkpoint) -> int:
    head = read_head(connection)
    if head.origin != checkpoint.origin:
        message = f"{folder} holds the log {checkpoint.origin!r}, the registry is {head.origin!r}"
        raise EvidenceRefused(message)
    size = min(head.size, checkpoint.size)
    hashes = TileHashes(TileFolder(folder), checkpoint.size)
    if root_at(connection, size) != tree_hash(range(size), hashes):
        message = (
            f"the registry and {folder} differ within their first {size} entries: one of the two "
            "was rewritten; the checkpoint of the folder is signed"
        )
        raise EvidenceRefused(message)
    return head.size
