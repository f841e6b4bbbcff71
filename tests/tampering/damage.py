"""What somebody with SQL access can do to a registry, and what must be found then."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import rfc8785

from certledger.eventstore.merkle import Frontier
from certledger.projections.verifying.outside import Outside
from tests.support.intruder import forge
from tests.tampering.registry import KNOWN, POSITIONS, SIZE, Log

Sql = sqlite3.Connection
Told = tuple[str, int | None, int | None]
"""Kind, seq and serial number of a finding."""

Members = dict[str, Any]


@dataclass(frozen=True)
class Damage:
    """A way of tampering, at any of some positions."""

    name: str
    apply: Callable[[Sql, Log, int], None]
    told: Callable[[Log, int], set[Told]]
    """What must be found."""
    also: str = ""
    """Kinds that come with it, at places that are not looked at."""
    positions: Callable[[Log], list[int]] = lambda _: POSITIONS
    outside: Callable[[Log, int], Outside] = lambda *_: KNOWN
    level: str = "finding"

    def __str__(self) -> str:
        return self.name


def at_entry(kind: str) -> Callable[[Log, int], set[Told]]:
    """A finding of the kind at the entry itself, with its serial number."""
    return lambda log, seq: {(kind, seq, log.serial(seq))}


def nowhere(kind: str) -> Callable[[Log, int], set[Told]]:
    """A finding of the kind that is about no entry."""
    return lambda _log, _seq: {(kind, None, None)}


def run(statement: str) -> Callable[[Sql, Log, int], None]:
    """A statement with the position as `:at`."""
    return lambda sql, _log, at: _run(sql, statement, at)


def _run(sql: Sql, statement: str, at: int) -> None:
    assert sql.execute(statement, {"at": at}).rowcount, statement


def rewriting(change: Callable[[Log, int, Members], None]) -> Callable[[Sql, Log, int], None]:
    """Change the JSON of one entry so that all hashes, columns and the head fit again.

    No checkpoint is left: it would show that the log was rewritten, whatever was changed.
    """

    def apply(sql: Sql, log: Log, at: int) -> None:
        forge(sql, lambda seq, members: change(log, at, members) if seq == at else None)
        sql.execute("DELETE FROM log_checkpoint")

    return apply


def attribute(name: str, value: Any) -> Callable[[Sql, Log, int], None]:
    return rewriting(lambda _log, _at, members: members.update({name: value}))


# Entries


def flip_a_bit(sql: Sql, log: Log, at: int) -> None:
    (entry,) = sql.execute("SELECT entry FROM log_entry WHERE seq = ?", (at,)).fetchone()
    place = (at * 7919 + len(log.events)) % len(entry)
    changed = entry[:place] + bytes([entry[place] ^ 1]) + entry[place + 1 :]
    sql.execute("UPDATE log_entry SET entry = ? WHERE seq = ?", (changed, at))


def swap(sql: Sql, _log: Log, at: int) -> None:
    for old, new in ((at, -9), (at + 1, at), (-9, at + 1)):
        sql.execute("UPDATE log_entry SET seq = ? WHERE seq = ?", (new, old))


def foreign_entry(log: Log, at: int) -> bytes:
    """A well-formed entry for a place, of another time."""
    members = json.loads(log.events[at].to_entry())
    members |= {"id": f"00000000-0000-0000-0000-{at:012d}", "authid": "mallory"}
    return rfc8785.dumps(members)


def replace(sql: Sql, log: Log, at: int) -> None:
    """Put another entry into its place, with its own leaf hash and its own copies."""
    entry = foreign_entry(log, at)
    (hashes,) = sql.execute("SELECT hashes FROM log_entry WHERE seq = ?", (at,)).fetchone()
    fitted = sha256(b"\0" + entry).digest() + hashes[32:]
    sql.execute(
        "UPDATE log_entry SET entry = ?, hashes = ?, actor = 'mallory', event_id = ? WHERE seq = ?",
        (entry, fitted, json.loads(entry)["id"], at),
    )


def insert(sql: Sql, log: Log, at: int) -> None:
    """Put a further entry before another one, which moves up with all that follow."""
    last = SIZE
    sql.execute("UPDATE log_entry SET seq = -seq - 2 WHERE seq >= ?", (at,))
    sql.execute("UPDATE log_entry SET seq = -seq - 1 WHERE seq < 0")
    members = json.loads(log.events[min(at, last - 1)].to_entry())
    members |= {
        "id": "00000000-0000-0000-0000-00000000f0f0",
        "sequence": f"{at:020d}",
        "type": "certledger.certificate.deleted.v1",
        "subject": "certificate/424242",
        "streamversion": 0,
        "data": {"serial_number": "424242"},
    }
    entry = rfc8785.dumps(members)
    tree = Frontier()
    for event in log.events[:at]:
        tree.append(sha256(b"\0" + event.to_entry()).digest())
    row = {
        "seq": at,
        "hashes": tree.append(sha256(b"\0" + entry).digest()),
        "event_id": members["id"],
        "subject": members["subject"],
        "streamversion": 0,
        "type": members["type"],
        "actor": members["authid"],
        "recorded_at": members["recordedtime"].replace("T", " ").removesuffix("Z"),
        "entry": entry,
    }
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    sql.execute(f"INSERT INTO log_entry ({names}) VALUES ({values})", row)


def inserted(log: Log, at: int) -> set[Told]:
    moved = {("sequence", at + 1, log.serial(at))} if at < SIZE else set()
    return {("past-head", SIZE, None), *moved}


def flip_hash(first: int) -> Callable[[Sql, Log, int], None]:
    """Flip a bit in the column `hashes`: of the leaf hash, or of a subtree's."""

    def apply(sql: Sql, _log: Log, at: int) -> None:
        (hashes,) = sql.execute("SELECT hashes FROM log_entry WHERE seq = ?", (at,)).fetchone()
        place = first % len(hashes)
        changed = hashes[:place] + bytes([hashes[place] ^ 1]) + hashes[place + 1 :]
        sql.execute("UPDATE log_entry SET hashes = ? WHERE seq = ?", (changed, at))

    return apply


def become_illegal(log: Log, at: int, members: Members) -> None:
    """Delete a certificate that never was."""
    del log
    members |= {
        "type": "certledger.certificate.deleted.v1",
        "subject": f"certificate/{900_000 + at}",
        "streamversion": 0,
        "data": {"serial_number": str(900_000 + at)},
    }


def skip_a_version(_log: Log, _at: int, members: Members) -> None:
    members["streamversion"] += 5


def misstate(_log: Log, at: int, members: Members) -> None:
    """State another value in one of the fields that the certificate decides."""
    name = list(FIELDS)[at % len(FIELDS)]
    assert members["data"][name] != FIELDS[name]
    members["data"][name] = FIELDS[name]


def edit_a_copy(sql: Sql, _log: Log, at: int) -> None:
    name = list(COPIES)[at % len(COPIES)]
    _run(sql, f"UPDATE log_entry SET {name} = {COPIES[name]} WHERE seq = :at", at)


FIELDS = {
    "common_name": "evil.example.org",
    "not_valid_before": "2001-01-01T00:00:00.000000Z",
    "not_valid_after": "2099-01-01T00:00:00.000000Z",
    "issuer": "CN=Another CA",
    "authority_key_identifier": "00ff",
    "sha256": "0" * 64,
}
COPIES = {
    "event_id": "'11111111-2222-3333-4444-555555555555'",
    "subject": "'certificate/5'",
    "streamversion": "99",
    "type": "'certledger.certificate.renamed.v1'",
    "actor": "'mallory'",
    "uuid": "'folder-x'",
    "recorded_at": "'2001-01-01 00:00:00.000000'",
}

ENTRIES = [
    Damage(
        "entry bytes edited",
        flip_a_bit,
        at_entry("leaf-hash"),
        also="entry-malformed column certificate sequence source order head-origin streamversion "
        "lifecycle drift head-root head-frontier head-time rewritten unknown-type clock",
    ),
    Damage(
        "entry bytes removed",
        run("UPDATE log_entry SET entry = NULL WHERE seq = :at"),
        at_entry("entry-missing"),
        also="drift",
    ),
    Damage(
        "entry bytes made unreadable",
        run("UPDATE log_entry SET entry = x'7b7d' WHERE seq = :at"),
        at_entry("entry-malformed"),
        also="leaf-hash drift head-root head-frontier rewritten",
    ),
    Damage("column copy edited", edit_a_copy, at_entry("column"), also="drift"),
    Damage(
        "row deleted in the middle",
        run("DELETE FROM log_entry WHERE seq = :at"),
        lambda _, seq: {("gap", seq, None)},
        also="drift streamversion lifecycle",
        positions=lambda _: POSITIONS[:-1],
    ),
    Damage(
        "rows reordered",
        swap,
        lambda log, seq: {
            ("sequence", seq, log.serial(seq + 1)),
            ("sequence", seq + 1, log.serial(seq)),
        },
        also="order drift head-root head-frontier head-time rewritten",
        positions=lambda _: POSITIONS[:-1],
    ),
    Damage(
        "row inserted",
        insert,
        inserted,
        also="sequence lifecycle drift order head-root head-frontier head-time rewritten tree-hash "
        "hash-column",
        positions=lambda _: [*POSITIONS, SIZE],
    ),
    Damage(
        "row replaced by one with its own hash",
        replace,
        lambda log, seq: {("tree-hash", seq | 1, log.serial(seq | 1))},
        also="head-root head-frontier rewritten",
    ),
    Damage("leaf hash edited", flip_hash(5), at_entry("hash-column"), also="drift"),
    Damage(
        "hash of a subtree edited",
        flip_hash(37),
        at_entry("hash-column"),
        positions=lambda _: sorted({at | 1 for at in POSITIONS} | {11, 13, 77, 201, 203, 205}),
    ),
    Damage(
        "origin of an entry rewritten",
        attribute("source", "elsewhere.example.org"),
        at_entry("source"),
    ),
    Damage(
        "position in an entry rewritten",
        attribute("sequence", f"{SIZE + 7:020d}"),
        at_entry("sequence"),
        also="drift",
    ),
    Damage(
        "illegal transition",
        rewriting(become_illegal),
        lambda _, seq: {("lifecycle", seq, 900_000 + seq)},
        also="lifecycle streamversion drift",
    ),
    Damage(
        "gap in a stream",
        rewriting(skip_a_version),
        at_entry("streamversion"),
        also="streamversion lifecycle drift",
    ),
    Damage(
        "recorded time that goes back",
        attribute("recordedtime", "2001-01-01T00:00:00.000000Z"),
        at_entry("order"),
        positions=lambda _: POSITIONS[1:],
    ),
    Damage(
        "unknown type",
        attribute("type", "certledger.certificate.renamed.v2"),
        at_entry("unknown-type"),
        also="lifecycle drift",
        level="note",
    ),
    Damage(
        "certificate misstated",
        rewriting(misstate),
        at_entry("certificate"),
        also="drift",
        positions=lambda log: [log.issued[0], *log.issued[1:-1:7], log.issued[-1]],
    ),
]
