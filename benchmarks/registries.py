"""Registries made before anything is measured; large ones are kept from run to run."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from benchmarks.certificates import VERSION, copies
from benchmarks.setting import Setting
from certledger import Ledger, Registration, acting_as


def url_of(file: Path) -> str:
    """Return the URL of a database file."""
    return f"sqlite:///{file}"


def read_files(paths: Iterable[Path]) -> Iterator[Registration]:
    """Read PEM files as they are registered."""
    return (Registration(path.read_bytes(), str(path)) for path in paths)


def register_all(ledger: Ledger, registrations: Iterable[Registration]) -> int:
    """Register many certificates; return how many, all of them."""
    count = 0
    for outcome in ledger.issue_many(registrations):
        assert outcome.event is not None, outcome.error
        count += 1
    return count


def small_registry(file: Path, paths: Iterable[Path]) -> None:
    """Make a registry of certificates in files, each with a uuid, as tiny_ca demands it."""
    registrations = (Registration(path.read_bytes(), uuid=uuid4()) for path in paths)
    with acting_as("benchmark"), Ledger(url_of(file)) as ledger:
        register_all(ledger, registrations)


def large_registry(setting: Setting, size: int) -> Path:
    """Return a registry of so many certificates, which nobody may change."""
    smaller = [each for each in setting.sizes.logs if each < size]
    target = setting.folder / f"registry-{_key(setting)}-{size}.db"
    if target.exists():
        return target
    making = target.with_suffix(".making")
    for stale in setting.folder.glob(f"{making.name}*"):
        stale.unlink()
    if smaller:
        shutil.copyfile(large_registry(setting, smaller[-1]), making)
    setting.say(f"making a registry of {size:,} certificates, once")
    with acting_as("benchmark"), Ledger(url_of(making)) as ledger:
        register_all(
            ledger, (Registration(der) for der in copies(smaller[-1] if smaller else 0, size))
        )
    making.rename(target)
    return target


def _key(setting: Setting) -> str:
    """Name the tables and the certificates of this version: with others, one is made anew."""
    with setting.scratch() as scratch:
        file = scratch / "empty.db"
        Ledger(url_of(file)).close()
        with closing(sqlite3.connect(file)) as connection:
            rows = connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    return sha256(repr((VERSION, rows)).encode()).hexdigest()[:12]
