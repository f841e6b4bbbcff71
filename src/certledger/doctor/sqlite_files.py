"""Who may write the files of an SQLite registry, and how they lie there."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certledger.eventstore.symptom import Symptom, shell, sql

LARGE_WAL: Final = 64 * 1024**2
"""Bytes; SQLite begins a write-ahead log of 4 MiB anew, unless somebody reads the old one."""

_BESIDE: Final = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder, and whom its permissions let in."""

    path: Path
    mode: int
    """As `os.stat` gives it."""
    private_group: bool
    """Whether nobody but the owner is in the group."""


def read_places(file: Path) -> list[Place]:
    """Return the file, those that SQLite makes beside it, and its folder."""
    file = file.resolve()
    paths = [file, *(Path(f"{file}{suffix}") for suffix in _BESIDE), file.parent]
    return [_place(path) for path in paths if path.exists()]


def _place(path: Path) -> Place:
    found = path.stat()
    return Place(path, found.st_mode, _is_private(found.st_gid, found.st_uid))


def _is_private(group: int, owner: int) -> bool:
    """Tell whether a group is the owner's alone, as many systems give each user one."""
    try:
        import grp  # noqa: PLC0415 # only where there are groups
        import pwd  # noqa: PLC0415 # the same

        user, found = pwd.getpwuid(owner).pw_name, grp.getgrgid(group)
    except (ImportError, KeyError):
        return False
    return found.gr_name == user and set(found.gr_mem) <= {user}


def symptoms_of_places(places: Sequence[Place]) -> Iterator[Symptom]:
    """Judge permissions: who can write a file, or put another one in its place, can change all."""
    for place in places:
        who = _open_to(place)
        if who:
            classes = " and ".join({"g": "its group", "o": "everybody"}[each] for each in who)
            what = "files in" if stat.S_ISDIR(place.mode) else ""
            message = f"{classes} can write {f'{what} {place.path}'.strip()}, past all triggers"
            command = f"chmod {who}-w {shlex.quote(str(place.path))}"
            yield Symptom("weak", "permissions", message, shell(command))


def _open_to(place: Place) -> str:
    group = bool(place.mode & stat.S_IWGRP) and not place.private_group
    others = bool(place.mode & stat.S_IWOTH)
    return f"{'g' if group else ''}{'o' if others else ''}"


def is_writable(file: Path) -> bool:
    """Tell whether this process may write the file and beside it."""
    return os.access(file, os.W_OK) and os.access(file.resolve().parent, os.W_OK)


def symptoms_of_writing(file: Path, *, writable: bool) -> Iterator[Symptom]:
    """Judge whether anything can be recorded by this user."""
    if not writable:
        message = f"{file} is read-only for this user: it can be read, not written"
        yield Symptom("note", "read-only", message)


def wal_size(file: Path) -> int:
    """Return the bytes of the write-ahead log."""
    try:
        return Path(f"{file}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def symptoms_of_wal(size: int) -> Iterator[Symptom]:
    """Judge the size of the write-ahead log."""
    if size > LARGE_WAL:
        message = (
            f"the write-ahead log has {size:,} bytes: somebody has been reading for long, which "
            "keeps it from being begun anew; a copy of the file alone lacks all of it"
        )
        yield Symptom("note", "wal-size", message, sql("PRAGMA wal_checkpoint(TRUNCATE)"))
