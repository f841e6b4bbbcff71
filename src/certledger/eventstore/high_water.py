"""The signer's high-water mark: its last checkpoint, in a file outside of the database.

A log must not sign a checkpoint that is inconsistent with one that it signed before (C2SP
tlog-checkpoint). What it signed before must therefore be known where a restored backup of the
database cannot make it forget.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from certledger.errors import EvidenceError, SigningRefused
from certledger.eventstore.tlog.checkpoint import Checkpoint, TrustedLog
from certledger.eventstore.tlog.keys import VerifierKey

LOCK_SECONDS: Final = 30.0
"""How long a signer waits for another one."""

_LARGEST: Final = 65_536
_PAUSE: Final = 0.005


def state_path(key_file: Path) -> Path:
    """Return where the mark of a key file lies unless another place is named."""
    return key_file.with_name(key_file.name + ".state")


def read_mark(path: Path, key: VerifierKey) -> Checkpoint | None:
    """Return the last checkpoint that the key signed, None where there is no file.

    Raises `SigningRefused` for a file that the key did not sign for its own log, or `OSError`.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST)
    except FileNotFoundError:
        return None
    try:
        return TrustedLog(key.name, [key]).open(data).checkpoint
    except EvidenceError as error:
        message = (
            f"{path} is not the last checkpoint of this key: {error}; put the right file back, or "
            "name it with --state"
        )
        raise SigningRefused(message) from error


def write_mark(path: Path, note: bytes) -> None:
    """Replace the mark, so that after a crash the old or the new one is there, whole."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(note)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


@contextmanager
def alone(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Keep other signers with the same mark waiting; wait for them so many seconds at most.

    Raises `SigningRefused` when these are over, or `OSError`.
    """
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, path, seconds)
        try:
            yield
        finally:
            # Closing is not enough: a process forked meanwhile holds the same lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                message = (
                    f"another signer has been at work with {path} for {seconds:g} seconds; "
                    "nothing was signed"
                )
                raise SigningRefused(message) from None
            time.sleep(_PAUSE)
        else:
            return
