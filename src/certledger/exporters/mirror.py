"""Checking an exported tree: by itself, and against a registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection

from certledger.errors import EvidenceRefused, MalformedEvidence
from certledger.eventstore.database import Database
from certledger.eventstore.head import read_head
from certledger.eventstore.merkle import leaf_hash, perfect_root
from certledger.eventstore.tlog.bundles import unpack_bundle
from certledger.eventstore.tlog.checkpoint import Checkpoint, Trust
from certledger.eventstore.tlog.proofs import tree_hash
from certledger.eventstore.tlog.tile_folder import TileFolder
from certledger.eventstore.tlog.tile_tree import TileHashes
from certledger.eventstore.tlog.tiles import (
    ENTRIES,
    LEVEL_BITS,
    TILE_WIDTH,
    Tile,
    new_bundles,
    new_tiles,
    split_tile,
)
from certledger.eventstore.tree import root_at
from certledger.exporters.tile_files import read_checkpoint
from certledger.projections.progress import Progress


def check_mirror(folder: Path, trust: Trust, progress: Progress | None = None) -> Checkpoint:
    """Verify the checkpoint of a folder, and every bundle and tile of its tree; no database needed.

    It goes from the root down: what a file is held against was verified before. Raises
    `EvidenceError`, which names the first file that is missing or wrong and the place in it, or
    `OSError`.
    """
    checkpoint = trust.open(read_checkpoint(folder)).checkpoint
    mirror = _Mirror(folder, checkpoint)
    mirror.check_root()
    for tile in mirror.upper_tiles():
        mirror.check_tile(tile)
    for bundle in new_bundles(0, checkpoint.size):
        mirror.check_tile(Tile(0, bundle.index, bundle.width))
        mirror.check_bundle(bundle)
        if progress is not None:
            progress(bundle.index * TILE_WIDTH + bundle.width, checkpoint.size)
    return checkpoint


class _Mirror:
    def __init__(self, folder: Path, checkpoint: Checkpoint) -> None:
        self._fetch = TileFolder(folder)
        self._checkpoint = checkpoint
        self._size = checkpoint.size
        self._above = TileHashes(self._read_whole, self._size)

    def check_root(self) -> None:
        """Check the partial tiles: their hashes, and no others, add up to the root."""
        hashes = TileHashes(self._read_whole, self._size)
        root = tree_hash(range(self._size), hashes)
        if root == self._checkpoint.root:
            return
        partial = [tile for tile in new_tiles(0, self._size) if tile.width < TILE_WIDTH]
        for tile in partial:
            self._find_wrong_hash(tile)
        message = (
            f"{', '.join(tile.to_path() for tile in partial)}: the root of these hashes is "
            f"{root.hex()}, but the checkpoint says {self._checkpoint.root.hex()}"
        )
        raise EvidenceRefused(message)

    def upper_tiles(self) -> Iterator[Tile]:
        """Yield the tiles above level 0, the highest first."""
        yield from reversed([tile for tile in new_tiles(0, self._size) if tile.level != 0])

    def check_tile(self, tile: Tile) -> None:
        """Check a full tile against the one above, which has its hash."""
        hashes = self._hashes(tile)
        level = (int(tile.level) + 1) * LEVEL_BITS
        if tile.width < TILE_WIDTH or perfect_root(hashes) == self._above(level, tile.index):
            return
        self._find_wrong_hash(tile)
        above = Tile(int(tile.level) + 1, tile.index // TILE_WIDTH)
        message = (
            f"{tile.to_path()}: its hashes do not add up to hash {tile.index % TILE_WIDTH} of the "
            f"tile above, level {above.level} number {above.index}"
        )
        raise EvidenceRefused(message)

    def check_bundle(self, bundle: Tile) -> None:
        """Check every entry against its hash in the tile of level 0."""
        wanted = self._hashes(Tile(0, bundle.index, bundle.width))
        for place, (entry, leaf) in enumerate(zip(self._entries(bundle), wanted, strict=True)):
            if leaf_hash(entry) != leaf:
                message = (
                    f"{bundle.to_path()}: entry {bundle.index * TILE_WIDTH + place} is not what "
                    "its hash in the tile of level 0 says"
                )
                raise EvidenceRefused(message)

    def _find_wrong_hash(self, tile: Tile) -> None:
        """Raise for the first hash of a tile that is not that of what lies below it."""
        below = self._leaf_below if tile.level == 0 else self._tile_below
        for place, found in enumerate(self._hashes(tile)):
            if below(tile, place) != found:
                message = f"{tile.to_path()}: hash {place} is not what lies below it hashes to"
                raise EvidenceRefused(message)

    def _leaf_below(self, tile: Tile, place: int) -> bytes:
        return leaf_hash(self._entries(Tile(ENTRIES, tile.index, tile.width))[place])

    def _tile_below(self, tile: Tile, place: int) -> bytes:
        index = tile.index * TILE_WIDTH + place
        return perfect_root(self._hashes(Tile(int(tile.level) - 1, index)))

    def _hashes(self, tile: Tile) -> list[bytes]:
        return _named(tile, self._fetch, split_tile)

    def _entries(self, bundle: Tile) -> list[bytes]:
        return _named(bundle, self._fetch, unpack_bundle)

    def _read_whole(self, tile: Tile) -> bytes:
        return b"".join(self._hashes(tile))


def _named(
    tile: Tile, fetch: Callable[[Tile], bytes], take_apart: Callable[[bytes, int], list[bytes]]
) -> list[bytes]:
    data = fetch(tile)
    try:
        return take_apart(data, tile.width)
    except MalformedEvidence as error:
        message = f"{tile.to_path()}: {error}"
        raise MalformedEvidence(message) from error


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
