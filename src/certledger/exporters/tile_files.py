"""The folder that tiles are exported into: files appear whole, and never change."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from certledger.errors import EvidenceRefused, MalformedEvidence
from certledger.eventstore.files import sync_folder
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.note import Note

CHECKPOINT: Final = "checkpoint"
LARGEST_CHECKPOINT: Final = 65_536

_TILES: Final = "tile"
# One name for all: what a killed export left is overwritten by the next.
_UNFINISHED: Final = ".unfinished"


def read_checkpoint(folder: Path) -> bytes:
    """Return the checkpoint of a folder, no more of it than one can have. Raises `OSError`."""
    with (folder / CHECKPOINT).open("rb") as stream:
        return stream.read(LARGEST_CHECKPOINT)


def exported(folder: Path) -> tuple[Note, Checkpoint] | None:
    """Return the checkpoint that a folder holds, None where it is empty or an unfinished export.

    Raises `EvidenceRefused` where it holds something else.
    """
    try:
        note = Note.from_bytes(read_checkpoint(folder))
        return note, Checkpoint.from_text(note.text)
    except FileNotFoundError:
        others = {path.name for path in folder.iterdir()} if folder.exists() else set()
        if others - {_TILES, _UNFINISHED}:
            message = f"{folder} holds something else than tiles: name another folder"
            raise EvidenceRefused(message) from None
        return None
    except MalformedEvidence as error:
        message = f"{folder / CHECKPOINT} is no checkpoint: {error}; name another folder"
        raise EvidenceRefused(message) from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other exports into a folder waiting; some file systems cannot."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class TileFiles:
    """Writes files that never change once they are there; but for the checkpoint."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unfinished = folder / _UNFINISHED
        self._folders: set[Path] = set()
        self.written = 0
        """How many tiles and bundles were new."""

    def has(self, path: str) -> bool:
        """Tell whether a file is there."""
        return (self._folder / path).exists()

    def write(self, path: str, data: bytes) -> None:
        """Write a file unless it is there with these very bytes.

        Raises `EvidenceRefused` where it has others.
        """
        target = self._folder / path
        try:
            present = target.read_bytes()
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._put(target, data)
            self.written += 1
            self._folders |= {target.parent, *target.parent.parents[: path.count("/")]}
            return
        if present != data:
            message = (
                f"{target} is not what the log has: it was changed; check the folder with "
                "`certledger mirror check`, and export into another one"
            )
            raise EvidenceRefused(message)

    def finish(self, note: bytes | None) -> None:
        """Make all of it durable, then the checkpoint, which speaks of it; None: it stays."""
        for folder in self._folders:
            sync_folder(folder)
        if note is not None:
            self._put(self._folder / CHECKPOINT, note)
        with suppress(FileNotFoundError):
            self._unfinished.unlink()
        sync_folder(self._folder)

    def _put(self, target: Path, data: bytes) -> None:
        with self._unfinished.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        self._unfinished.replace(target)
