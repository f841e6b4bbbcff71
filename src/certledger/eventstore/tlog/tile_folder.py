"""A tree in tiles that lies in a folder, as a log publishes it (C2SP tlog-tiles)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from certledger.errors import EvidenceRefused
from certledger.eventstore.merkle import HASH_SIZE
from certledger.eventstore.tlog.tiles import ENTRIES, TILE_WIDTH, Tile

_LARGEST_BUNDLE: Final = TILE_WIDTH * (2 + 65_535)


class TileFolder:
    """Reads tiles and bundles. They are believed: check what is made of them against a root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, tile: Tile) -> bytes:
        """Return the bytes of a tile or bundle.

        A partial tile may have been removed once the full one was there: then that one is cut.
        Raises `EvidenceRefused` where there is neither, or `OSError`.
        """
        found = self._read(tile)
        if found is None and tile.level != ENTRIES and tile.width < TILE_WIDTH:
            full = self._read(Tile(tile.level, tile.index))
            found = None if full is None else full[: tile.width * HASH_SIZE]
        if found is None:
            message = f"{self._folder} has no {tile.to_path()}: it is not the tree of this size"
            raise EvidenceRefused(message)
        return found

    def _read(self, tile: Tile) -> bytes | None:
        # No more than such a file can hold, whoever wrote it.
        limit = _LARGEST_BUNDLE if tile.level == ENTRIES else TILE_WIDTH * HASH_SIZE
        try:
            with (self._folder / tile.to_path()).open("rb") as stream:
                return stream.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
