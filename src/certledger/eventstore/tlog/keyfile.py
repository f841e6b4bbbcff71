"""Files that hold a signing key: for their owner alone, and never written over.

A file is one line in Go's form `PRIVATE+KEY+name+id+key`, or that line encrypted (`sealed`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from certledger.errors import InvalidValue, KeyRefused
from certledger.eventstore.tlog.keys import SigningKey
from certledger.eventstore.tlog.sealed import Cost, seal, unseal

_OWNER_ONLY: Final = 0o600
_OTHERS: Final = 0o077
_MAX_SIZE: Final = 16_384


def write_key_file(
    path: Path, key: SigningKey, passphrase: bytes | None = None, *, cost: Cost | None = None
) -> None:
    """Make a key file, mode 0600, encrypted where there is a passphrase.

    Raises `KeyRefused` where something of this name is there already, or the file system cannot
    keep others out; `InvalidValue` for an empty passphrase; `OSError`.
    """
    secret = key.to_text()
    if passphrase is None:
        data = secret.encode() + b"\n"
    else:
        data = seal(secret, passphrase, cost or Cost())
    if len(data) > _MAX_SIZE:
        raise InvalidValue("the name of the key is too long for a key file")
    try:
        # O_EXCL follows no link either.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)
    except FileExistsError:
        message = f"{path} is there already: a key is never written over"
        raise KeyRefused(message) from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, _OWNER_ONLY)
            _check_mode(descriptor, path)
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    _sync_folder(path.parent)


def read_key_file(path: Path, ask: Callable[[], bytes]) -> SigningKey:
    """Read a key file; `ask` gives the passphrase, and is called for an encrypted one only.

    Raises `KeyRefused`, which repeats nothing of what the file holds, or `OSError`.
    """
    data = _read(path)
    try:
        if data.startswith(b"{"):
            return SigningKey.from_text(unseal(data, ask))
        return SigningKey.from_text(_one_line(data))
    except KeyRefused as error:
        message = f"{path}: {error}"
        # The cause's traceback would say no more, and tools that show variables would show it.
        raise KeyRefused(message) from None


def _read(path: Path) -> bytes:
    with open(path, "rb", opener=_without_waiting) as stream:
        # The descriptor is asked, not the path: that could name another file by now.
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            _refuse(path, "is no regular file")
        _check_mode(stream.fileno(), path)
        data = stream.read(_MAX_SIZE + 1)
    if len(data) > _MAX_SIZE:
        _refuse(path, f"is longer than {_MAX_SIZE} bytes, so it is no key file")
    return data


def _without_waiting(path: str, flags: int) -> int:
    # A named pipe without a writer would make this wait.
    return os.open(path, flags | os.O_NONBLOCK)


def _check_mode(descriptor: int, path: Path) -> None:
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if mode & _OTHERS:
        _refuse(path, f"is open to group or others (mode {mode:04o}): chmod 600 {path}")


def _one_line(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    line = text.removesuffix("\n")
    if not line or "\n" in line:
        raise KeyRefused("a key file is one line, or the JSON of an encrypted one")
    return line


def _refuse(path: Path, why: str) -> NoReturn:
    message = f"{path} {why}"
    raise KeyRefused(message)


def _sync_folder(folder: Path) -> None:
    # The name itself must survive a crash. Some file systems cannot sync a folder.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
