"""What SQLite's settings mean for what was acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from certledger.eventstore.symptom import Symptom, shell, sql

DURABLE: Final = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
"""What `PRAGMA` must read back on every connection to a file; synchronous 2 is FULL."""

_MENDS: Final = {
    "journal_mode": "PRAGMA journal_mode = WAL",
    "synchronous": "PRAGMA synchronous = FULL",
    "foreign_keys": "PRAGMA foreign_keys = ON",
}


def symptoms_of_settings(found: Mapping[str, object]) -> Iterator[Symptom]:
    """Judge the settings that `DURABLE` names, as a connection has them."""
    if found["journal_mode"] == "memory":
        message = "the registry lives in memory and ends with the process: give a file"
        yield Symptom(
            "weak", "durability", message, shell("certledger --db sqlite:///ca_repository.db init")
        )
        return
    for name, wanted in DURABLE.items():
        if found[name] != wanted:
            message = f"{name} is {found[name]!r} instead of {wanted!r}"
            yield Symptom("weak", "durability", message, sql(_MENDS[name]))
