"""Somebody with SQL access who goes around the registry, by raw sqlite3."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import rfc8785

from certledger.eventstore.merkle import Frontier

Change = Callable[[int, dict[str, Any]], None]


@contextmanager
def intruder(
    file: Path, *, log: bool = False, foreign_keys: bool = False
) -> Iterator[sqlite3.Connection]:
    """A connection whose changes are committed at the end.

    With `log` the triggers that guard the log are away meanwhile, and back afterwards.
    """
    with closing(sqlite3.connect(file, isolation_level=None)) as sql:
        sql.execute("PRAGMA busy_timeout=10000")
        sql.execute(f"PRAGMA foreign_keys={int(foreign_keys)}")
        sql.execute("BEGIN IMMEDIATE")
        triggers = _take_triggers(sql) if log else []
        yield sql
        for text in triggers:
            sql.execute(text)
        sql.execute("COMMIT")


def _take_triggers(sql: sqlite3.Connection) -> list[str]:
    found = sql.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in found:
        sql.execute(f'DROP TRIGGER "{name}"')
    return [text for _, text in found]


def image(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every value of the read model and its storage class, to be compared with another time."""
    with closing(sqlite3.connect(file)) as sql:
        return {table: _rows(sql, table) for table in ("certificates", "retired")}


def _rows(sql: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    sql.text_factory = bytes
    columns = [row[1].decode() for row in sql.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(f'"{name}", typeof("{name}")' for name in columns)
    return sql.execute(f"SELECT {values} FROM {table} ORDER BY 1").fetchall()


def forge(sql: sqlite3.Connection, change: Change, *, columns: bool = True) -> None:
    """Rewrite entries as one who knows the format would: hashes, tree and head fit again.

    `change` alters the JSON of an entry in place. With `columns` the copies follow the bytes.
    """
    tree = Frontier()
    rows = sql.execute("SELECT seq, entry FROM log_entry ORDER BY seq").fetchall()
    last = None
    for seq, entry in rows:
        members = json.loads(entry)
        change(seq, members)
        changed = members != json.loads(entry)
        forged = rfc8785.dumps(members) if changed else entry
        hashes = tree.append(sha256(b"\0" + forged).digest())
        sql.execute(
            "UPDATE log_entry SET entry = ?, hashes = ? WHERE seq = ?", (forged, hashes, seq)
        )
        last = _stored_time(members["recordedtime"])
        if columns and changed:
            _copy(sql, seq, members)
    sql.execute(
        "UPDATE log_head SET size = ?, root = ?, frontier = ?, recorded_at = ?",
        (tree.size, tree.root(), tree.peaks, last),
    )


def _copy(sql: sqlite3.Connection, seq: int, members: dict[str, Any]) -> None:
    issued = members["type"] == "certledger.certificate.issued.v1"
    copies = {
        "event_id": members["id"],
        "subject": members["subject"],
        "streamversion": members["streamversion"],
        "type": members["type"],
        "actor": members["authid"],
        "uuid": members["data"].get("uuid") if issued else None,
        "recorded_at": _stored_time(members["recordedtime"]),
    }
    assignments = ", ".join(f"{name} = :{name}" for name in copies)
    sql.execute(f"UPDATE log_entry SET {assignments} WHERE seq = :seq", {**copies, "seq": seq})


def _stored_time(text: str) -> str:
    return text.replace("T", " ").removesuffix("Z")
