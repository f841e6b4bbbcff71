"""Tiles: which files a tree consists of, and their paths (C2SP tlog-tiles).

A tile of level L holds up to 256 hashes of perfect subtrees of 256^L leaves each; a level above
level 0 has one hash for each full tile below it. Bundles, which hold the entries themselves, go
by the level `entries` and lie as the tiles of level 0 do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final, Literal

from certledger.errors import InvalidValue, MalformedEvidence
from certledger.eventstore.merkle import HASH_SIZE
from certledger.eventstore.tlog.encoding import SIZE_LIMIT

TILE_WIDTH: Final = 256
LEVEL_BITS: Final = 8
"""A level of tiles spans this many levels of the tree."""

Level = int | Literal["entries"]
ENTRIES: Final = "entries"

_MAX_LEVEL: Final = 63
_PATH: Final = re.compile(
    r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile or bundle, full or partial."""

    level: Level
    index: int
    width: int = TILE_WIDTH
    """How many hashes or entries it has."""

    def __post_init__(self) -> None:
        known = self.level == ENTRIES or 0 <= int(self.level) <= _MAX_LEVEL
        indexed = 0 <= self.index < SIZE_LIMIT // TILE_WIDTH
        if not known or not indexed or not 0 < self.width <= TILE_WIDTH:
            message = f"there is no tile {self.index} of level {self.level} and width {self.width}"
            raise MalformedEvidence(message)

    @classmethod
    def from_path(cls, path: str) -> Tile:
        """Read a path; each tile has one.

        Raises `MalformedEvidence`.
        """
        found = _PATH.fullmatch(path)
        if found:
            level: Level = ENTRIES if found[1] == ENTRIES else int(found[1])
            index = int(found[2].replace("x", "").replace("/", ""))
            tile = cls(level, index, int(found[3] or TILE_WIDTH))
        # Writing it again finds leading zeros, empty groups and the suffix of a full tile.
        if not found or tile.to_path() != path:
            message = f"{path!r} is no path of a tile"
            raise MalformedEvidence(message)
        return tile

    def to_path(self) -> str:
        """Write the path, relative to the log's folder."""
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        suffix = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{self.level}/{name}{suffix}"

    def subtrees(self) -> list[tuple[int, int]]:
        """Return the perfect subtrees, (level, index) in the tree, whose hashes a tile holds.

        Raises `InvalidValue` for a bundle.
        """
        if self.level == ENTRIES:
            raise InvalidValue("a bundle holds entries, not hashes")
        first = self.index * TILE_WIDTH
        return [(int(self.level) * LEVEL_BITS, first + place) for place in range(self.width)]


def new_tiles(old_size: int, new_size: int) -> Iterator[Tile]:
    """Return the tiles of the new tree that the old one does not have, level by level.

    From size 0 these are all. Partial tiles of sizes between are not among them.
    """
    for level in count():
        old, new = (size >> (LEVEL_BITS * level) for size in (old_size, new_size))
        if old == new:
            return
        yield from _tiles_between(level, old, new)


def new_bundles(old_size: int, new_size: int) -> Iterator[Tile]:
    """Return the bundles of the new tree that the old one does not have."""
    if old_size != new_size:
        yield from _tiles_between(ENTRIES, old_size, new_size)


def level_tiles(level: int, size: int) -> tuple[int, int]:
    """Return how many full tiles a level has, and the width of its partial one or 0."""
    return divmod(size >> (LEVEL_BITS * level), TILE_WIDTH)


def tile_holding(level: Level, place: int, size: int) -> Tile:
    """Return the tile of a tree of this size that holds the hash (or entry) at a place of a level;
    in the tile it is at `place % 256`.

    Raises `InvalidValue` where the level has no such place.
    """
    full, partial = level_tiles(0 if level == ENTRIES else int(level), size)
    index, offset = divmod(place, TILE_WIDTH)
    if 0 <= index < full:
        return Tile(level, index)
    if index == full and offset < partial:
        return Tile(level, index, partial)
    message = f"level {level} of a tree of {size} entries has no place {place}"
    raise InvalidValue(message)


def split_tile(data: bytes, width: int) -> list[bytes]:
    """Take the bytes of a tile apart.

    Raises `MalformedEvidence` unless it has as many hashes as its path says.
    """
    if len(data) != width * HASH_SIZE:
        message = f"a tile of {width} hashes has {width * HASH_SIZE} bytes, not {len(data)}"
        raise MalformedEvidence(message)
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def _tiles_between(level: Level, old: int, new: int) -> Iterator[Tile]:
    full, partial = divmod(new, TILE_WIDTH)
    for index in range(old // TILE_WIDTH, full):
        yield Tile(level, index)
    if partial:
        yield Tile(level, full, partial)
