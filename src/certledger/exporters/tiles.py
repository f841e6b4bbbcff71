"""The log as static files that any web server or object store can serve (C2SP tlog-tiles)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from certledger.errors import EvidenceRefused, LogCorrupt
from certledger.eventstore.checkpoints import StoredCheckpoint, newest_checkpoint
from certledger.eventstore.database import Database
from certledger.eventstore.files import replacing, sync_folder
from certledger.eventstore.merkle import HASH_SIZE
from certledger.eventstore.reader import Entry, read_entries
from certledger.eventstore.tlog.bundles import pack_bundle
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.note import Note
from certledger.eventstore.tlog.tiles import ENTRIES, TILE_WIDTH, Tile, new_tiles
from certledger.eventstore.tree import root_at, subtree_hashes
from certledger.projections.progress import Progress

CHECKPOINT: Final = "checkpoint"
_TILE_FOLDER: Final = "tile"


@dataclass(frozen=True, slots=True)
class TileExport:
    """What an export wrote."""

    size: int
    """Of the tree that the folder holds now."""
    files: int
    """How many files were new."""


def export_tiles(database: Database, folder: Path, progress: Progress | None = None) -> TileExport:
    """Write the tree of the last stored checkpoint into a folder: tiles, bundles, checkpoint last.

    Where the folder has an earlier tree of the same log only what is new is written. Interrupted,
    the next run goes on. Full tiles, and partial ones of sizes that had a checkpoint, never
    change and are never removed.

    Raises `NoCheckpoint`, `EvidenceRefused` for a folder that holds something else (it is left as
    it is), `LogCorrupt` or another `StorageError`, `OSError`.
    """
    stored = database.read(newest_checkpoint)
    new = _checkpoint_of(stored)
    old = _exported(folder)
    database.read(lambda connection: _check_growth(connection, folder, old, new))
    files = _Files(folder)
    done = old.size if old else 0
    # Level 0 begins with the tile that the old tree left partial.
    for index in range(done // TILE_WIDTH, -(-new.size // TILE_WIDTH)):
        first, stop = index * TILE_WIDTH, min((index + 1) * TILE_WIDTH, new.size)
        page = database.read(lambda c, a=first, b=stop: read_entries(c, a, b))  # type: ignore[misc] # binds the loop's values
        for tile, data in _lowest(index, stop - first, page):
            files.write(tile.to_path(), data)
        if progress is not None:
            progress(stop, new.size)
    for tile in new_tiles(done, new.size):
        if tile.level != 0:
            data = database.read(lambda c, t=tile: b"".join(_hashes(c, t)))  # type: ignore[misc] # binds the loop's value
            files.write(tile.to_path(), data)
    files.sync()
    if old != new or not (folder / CHECKPOINT).exists():
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / CHECKPOINT) as stream:
            stream.write(stored.note)
    return TileExport(new.size, files.written)


def _checkpoint_of(stored: StoredCheckpoint) -> Checkpoint:
    return Checkpoint.from_text(Note.from_bytes(stored.note).text)


def _exported(folder: Path) -> Checkpoint | None:
    """Return the checkpoint that a folder holds, None where it is empty or an unfinished export."""
    try:
        data = (folder / CHECKPOINT).read_bytes()
    except FileNotFoundError:
        others = {path.name for path in folder.iterdir()} if folder.exists() else set()
        if others - {_TILE_FOLDER}:
            message = f"{folder} holds something else than tiles: name another folder"
            raise EvidenceRefused(message) from None
        return None
    return Checkpoint.from_text(Note.from_bytes(data).text)


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


def _lowest(index: int, width: int, page: list[Entry]) -> Iterator[tuple[Tile, bytes]]:
    """Yield the tile of level 0 and the bundle of a page of entries."""
    start = index * TILE_WIDTH
    if [row.seq for row in page] != list(range(start, start + width)):
        message = f"an entry of {start} to {start + width - 1} is missing"
        raise LogCorrupt(message)
    yield Tile(0, index, width), b"".join(row.hashes[:HASH_SIZE] for row in page)
    yield Tile(ENTRIES, index, width), pack_bundle(row.content() for row in page)


def _hashes(connection: Connection, tile: Tile) -> Iterator[bytes]:
    hash_of = subtree_hashes(connection)
    return (hash_of(level, index) for level, index in tile.subtrees())


class _Files:
    """Writes files that never change once they are there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folders: set[Path] = set()
        self.written = 0

    def write(self, path: str, data: bytes) -> None:
        """Write a file unless it is there with these very bytes.

        Raises `EvidenceRefused` where it has others.
        """
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            present = target.read_bytes()
        except FileNotFoundError:
            with replacing(target) as stream:
                stream.write(data)
            self.written += 1
            self._folders |= {target.parent, *target.parent.parents[: path.count("/")]}
            return
        if present != data:
            message = (
                f"{target} is not what the log has: it was changed; check the folder with "
                "`certledger mirror check`, and export into another one"
            )
            raise EvidenceRefused(message)

    def sync(self) -> None:
        """Make the names of what was written durable, before the checkpoint speaks of it."""
        for folder in self._folders:
            sync_folder(folder)
