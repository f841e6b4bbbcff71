"""Trees in tiles, written with little code and without the exporter."""

from __future__ import annotations

from pathlib import Path

from certledger.eventstore.database import Database
from certledger.eventstore.merkle import leaf_hash
from certledger.eventstore.reader import read_entries
from certledger.eventstore.tlog.tile_tree import TileBuilder


def write_tiles(database: Database, folder: Path) -> Path:
    """Write the tiles of the log as it stands, without bundles or a checkpoint."""
    builder = TileBuilder()
    entries = database.read(lambda c: read_entries(c, 0, 2**63 - 1))
    tiles = [tile for row in entries for tile in builder.append(leaf_hash(row.entry or b""))]
    for tile, data in [*tiles, *builder.partial()]:
        path = folder / tile.to_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    folder.mkdir(exist_ok=True)
    return folder
