"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.rival import VERSION as RIVAL_VERSION

_SYNCS = 50


def describe_machine(folder: Path) -> dict[str, Any]:
    """Name processor, system and disk: what other figures than these depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "filesystem": _filesystem(folder),
        "sync_microseconds": round(_sync_seconds(folder) * 1e6),
    }


def versions() -> dict[str, str]:
    """Name the versions of what was measured and of what it stands on."""
    names = ("certledger", "SQLAlchemy", "cryptography", "pydantic", "psycopg", "PyMySQL")
    return {
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        **{name: version(name) for name in names},
        "tiny_ca": RIVAL_VERSION,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _filesystem(folder: Path) -> str:
    """Return the kind of file system that a folder lies on, "" where that is unknown."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return ""
    found = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    there = folder.resolve()
    fitting = [(len(at), kind) for at, kind in found if there.is_relative_to(at)]
    return max(fitting)[1] if fitting else ""


def _sync_seconds(folder: Path) -> float:
    """Return what it takes to make 4 KiB durable, without which no commit can do."""
    path = folder / "sync.probe"
    seconds = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(bytes(4096))
            started = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - started)
    path.unlink()
    return median(seconds)
