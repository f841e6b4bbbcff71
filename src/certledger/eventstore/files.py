"""Files that are there completely or not at all, also after a crash."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_NEW_FILE_MODE = 0o644


@contextmanager
def replacing(target: str | Path) -> Iterator[BinaryIO]:
    """Write into a temporary file beside `target` and put it in its place at the end of the block.

    A link is followed. What is no regular file (a terminal, /dev/null) is written to directly.
    """
    path = Path(target).resolve()
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            yield stream
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else _NEW_FILE_MODE
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        Path(name).replace(path)
        sync_folder(path.parent)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Some file systems cannot."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
