"""A tree in tiles: building it, reading its hashes, and checking one that somebody else holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from certledger.errors import EvidenceRefused
from certledger.eventstore.merkle import HASH_SIZE, Frontier, perfect_root
from certledger.eventstore.tlog.bundles import unpack_bundle
from certledger.eventstore.tlog.tiles import (
    LEVEL_BITS,
    TILE_WIDTH,
    Tile,
    new_bundles,
    split_tile,
    tile_holding,
)

Fetch = Callable[[Tile], bytes]
"""Gives the bytes of a tile or bundle."""

_STRIDE: Final = HASH_SIZE * LEVEL_BITS


class TileBuilder:
    """Makes the tiles of a log from its leaves, in order; it holds one tile of each level."""

    def __init__(self) -> None:
        self._frontier = Frontier()
        self._levels: list[bytearray] = []

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._frontier.size

    def append(self, leaf: bytes) -> list[tuple[Tile, bytes]]:
        """Add a leaf's hash; return the full tiles that it completes, lowest level first."""
        completed = self._frontier.append(leaf)
        full = []
        # Of the subtrees that end here, every eighth level has its hash in a tile.
        for level, at in enumerate(range(0, len(completed), _STRIDE)):
            if level == len(self._levels):
                self._levels.append(bytearray())
            tile = self._levels[level]
            tile += completed[at : at + HASH_SIZE]
            if len(tile) == TILE_WIDTH * HASH_SIZE:
                index = (self.size >> (LEVEL_BITS * (level + 1))) - 1
                full.append((Tile(level, index), bytes(tile)))
                tile.clear()
        return full

    def partial(self) -> list[tuple[Tile, bytes]]:
        """Return the partial tiles of the tree as it stands, lowest level first."""
        return [
            (
                Tile(level, self.size >> (LEVEL_BITS * (level + 1)), len(tile) // HASH_SIZE),
                bytes(tile),
            )
            for level, tile in enumerate(self._levels)
            if tile
        ]

    def root(self) -> bytes:
        """Return the root of the tree as it stands."""
        return self._frontier.root()


class TileHashes:
    """Reads the hashes of perfect subtrees from tiles, for `proofs`.

    The tiles are believed: check what is made of them against a root.
    """

    def __init__(self, fetch: Fetch, size: int) -> None:
        """Read the tiles of the tree of this size."""
        self._fetch = fetch
        self._size = size
        # A proof takes neighbours: the tile read last on a level is mostly the next one too.
        self._last: dict[int, tuple[Tile, list[bytes]]] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """Return the hash of the perfect subtree of a level and an index."""
        tile_level, inside = divmod(level, LEVEL_BITS)
        first = index << inside
        hashes = self._read(tile_level, first)
        start = first % TILE_WIDTH
        return perfect_root(hashes[start : start + (1 << inside)])

    def _read(self, level: int, place: int) -> list[bytes]:
        tile = tile_holding(level, place, self._size)
        last = self._last.get(level)
        if last is None or last[0] != tile:
            last = self._last[level] = (tile, split_tile(self._fetch(tile), tile.width))
        return last[1]


def read_entries(fetch: Fetch, size: int) -> Iterator[bytes]:
    """Return the entries of a log in order, from its bundles."""
    for bundle in new_bundles(0, size):
        yield from unpack_bundle(fetch(bundle), bundle.width)


def check_tiles(leaves: Iterable[bytes], root: bytes, fetch: Fetch) -> int:
    """Check every tile, and the root, against the leaf hashes of a whole log; return its size.

    Raises `EvidenceRefused`, which names the first tile that differs.
    """
    builder = TileBuilder()
    for leaf in leaves:
        _compare(builder.append(leaf), fetch)
    _compare(builder.partial(), fetch)
    if builder.root() != root:
        message = (
            f"{builder.size} entries have the root {builder.root().hex()}, "
            f"but {root.hex()} is expected"
        )
        raise EvidenceRefused(message)
    return builder.size


def _compare(tiles: list[tuple[Tile, bytes]], fetch: Fetch) -> None:
    for tile, expected in tiles:
        if fetch(tile) != expected:
            message = f"{tile.to_path()} is not what the entries hash to"
            raise EvidenceRefused(message)
