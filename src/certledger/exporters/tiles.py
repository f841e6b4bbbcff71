"""The log as static files that any web server or object store can serve (C2SP tlog-tiles)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from certledger.errors import EvidenceRefused, LogCorrupt
from certledger.eventstore.checkpoints import StoredCheckpoint, newest_checkpoint
from certledger.eventstore.database import Database
from certledger.eventstore.merkle import HASH_SIZE, perfect_root
from certledger.eventstore.reader import read_entries
from certledger.eventstore.tlog.bundles import pack_bundle
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.note import Note
from certledger.eventstore.tlog.proofs import perfect_subtrees
from certledger.eventstore.tlog.tiles import (
    ENTRIES,
    LEVEL_BITS,
    TILE_WIDTH,
    Tile,
    new_bundles,
    new_tiles,
    tile_holding,
)
from certledger.eventstore.tree import root_at, subtree_hashes
from certledger.exporters.tile_files import TileFiles, alone, exported
from certledger.projections.progress import Progress

Written = Iterator[tuple[Tile, bytes]]


@dataclass(frozen=True, slots=True)
class TileExport:
    """What an export wrote."""

    size: int
    """Of the tree that the folder holds now."""
    files: int
    """How many tiles and bundles were new."""


def export_tiles(database: Database, folder: Path, progress: Progress | None = None) -> TileExport:
    """Write the tree of the last stored checkpoint into a folder: tiles, bundles, checkpoint last.

    Where the folder has an earlier tree of the same log only what is new is read and written.
    Interrupted, the next run goes on; exports into one folder wait for each other. Full tiles, and
    partial ones of sizes that had a checkpoint, never change and are never removed. So nothing is
    written before it is proved to lead to the root of the checkpoint.

    Raises `NoCheckpoint`, `EvidenceRefused` for a folder that holds something else (it is left as
    it is), `LogCorrupt` or another `StorageError`, `OSError`.
    """
    database.read(newest_checkpoint)  # without one not even the folder is made
    exported(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        # Read here: another export, that was waited for, may have had a newer one.
        return _export(database, database.read(newest_checkpoint), folder, progress)


def _export(
    database: Database, stored: StoredCheckpoint, folder: Path, progress: Progress | None
) -> TileExport:
    note = Note.from_bytes(stored.note)
    new = Checkpoint.from_text(note.text)
    present = exported(folder)
    old = present[1] if present else None
    database.read(lambda connection: _check_growth(connection, folder, old, new))
    files = TileFiles(folder)
    # A checkpoint may have been put there by itself: then all of its tree is due.
    done = old.size if old and all(map(files.has, _right_edge(old.size))) else 0
    for tile, data in _new_files(database, done, new.size):
        files.write(tile.to_path(), data)
        if progress is not None and tile.level == ENTRIES:
            progress(tile.index * TILE_WIDTH + tile.width, new.size)
    # A witness may have added lines to the one that is there.
    stays = present and present[0].text == note.text and _lines(note) <= _lines(present[0])
    files.finish(None if stays else stored.note)
    return TileExport(new.size, files.written)


def _right_edge(size: int) -> Iterator[str]:
    """Yield the paths of the last tile of each level, and of the last bundle: written last."""
    for level in range(-(-size.bit_length() // LEVEL_BITS)):
        yield tile_holding(level, (size >> (level * LEVEL_BITS)) - 1, size).to_path()
    if size:
        yield tile_holding(ENTRIES, size - 1, size).to_path()


def _lines(note: Note) -> set[str]:
    return {signature.to_text() for signature in note.signatures}


def _check_growth(
    connection: Connection, folder: Path, old: Checkpoint | None, new: Checkpoint
) -> None:
    """See that the stored hashes lead to the new root, and to that of the folder."""
    if root_at(connection, new.size) != new.root:
        message = f"the hashes of the log do not lead to the root of its checkpoint of {new.size}"
        raise LogCorrupt(message)
    if old is None:
        return
    if old.origin != new.origin:
        message = f"{folder} holds the log {old.origin!r}, not {new.origin!r}: name another folder"
        raise EvidenceRefused(message)
    if old.size > new.size:
        message = (
            f"{folder} holds a tree of {old.size} entries, the last stored checkpoint has "
            f"{new.size}: was the registry restored from an old backup?"
        )
        raise EvidenceRefused(message)
    if root_at(connection, old.size) != old.root:
        message = (
            f"{folder} holds another history of its first {old.size} entries: the log or the "
            "folder was changed; run `certledger verify` and `certledger mirror check`"
        )
        raise EvidenceRefused(message)


def _new_files(database: Database, old_size: int, new_size: int) -> Written:
    """Yield the tiles and bundles that the old tree does not have, all proved.

    From the root down: what a tile is held against was itself proved before.
    """
    upper = [tile for tile in new_tiles(old_size, new_size) if tile.level != 0]
    for tile in reversed(upper):
        yield tile, database.read(lambda c, t=tile: _upper_tile(c, t))  # type: ignore[misc] # binds the loop's value
    for bundle in new_bundles(old_size, new_size):
        yield from database.read(lambda c, b=bundle: _lowest_files(c, b))  # type: ignore[misc] # binds the loop's value


def _upper_tile(connection: Connection, tile: Tile) -> bytes:
    hash_of = subtree_hashes(connection)
    hashes = [hash_of(level, index) for level, index in tile.subtrees()]
    _check(connection, tile, hashes)
    return b"".join(hashes)


def _lowest_files(connection: Connection, bundle: Tile) -> list[tuple[Tile, bytes]]:
    """Return the tile of level 0 and the bundle of the same entries."""
    start = bundle.index * TILE_WIDTH
    page = read_entries(connection, start, start + bundle.width)
    if [row.seq for row in page] != list(range(start, start + bundle.width)):
        message = f"an entry of {start} to {start + bundle.width - 1} is missing"
        raise LogCorrupt(message)
    packed = pack_bundle([row.content() for row in page])
    hashes = [row.hashes[:HASH_SIZE] for row in page]
    tile = Tile(0, bundle.index, bundle.width)
    _check(connection, tile, hashes)
    return [(tile, b"".join(hashes)), (bundle, packed)]


def _check(connection: Connection, tile: Tile, hashes: list[bytes]) -> None:
    """Hold the hashes of a tile against those of the larger subtrees that they make up.

    These are one hash of the tile above, or, of a partial tile, peaks of the whole tree.
    """
    hash_of = subtree_hashes(connection)
    bottom = int(tile.level) * LEVEL_BITS
    for level, index in perfect_subtrees(range(tile.width)):
        place = index << level
        whole = (tile.index * TILE_WIDTH >> level) + index
        if perfect_root(hashes[place : place + (1 << level)]) != hash_of(bottom + level, whole):
            last = ((whole + 1) << (bottom + level)) - 1
            message = (
                f"the entries {whole << (bottom + level)} to {last} do not hash to what their "
                "checkpoint was made of: one of them, or of their hashes, was changed"
            )
            raise LogCorrupt(message, last)
