"""Each check is needed: without it, the damage that it is for is not told.

A check is taken away by letting it yield nothing. What other checks still see is stated, so that
an empty `left` says: this check alone stands between the damage and everybody's trust in the log.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from certledger.projections.verifying import (
    checkpoints,
    entry,
    head,
    verify,
)
from certledger.projections.verifying.agreement import Agreement
from certledger.projections.verifying.certificate import CertificateCheck
from certledger.projections.verifying.checkpoints import CheckpointCheck
from certledger.projections.verifying.head import HeadCheck
from certledger.projections.verifying.order import OrderCheck
from certledger.projections.verifying.streams import StreamCheck
from certledger.projections.verifying.tables import TablesCheck
from certledger.projections.verifying.tree import TreeCheck
from tests.support.intruder import intruder
from tests.tampering.damage import ENTRIES
from tests.tampering.damaged_end import END
from tests.tampering.damaged_rest import REST
from tests.tampering.registry import Log, as_unchanging, findings_of, run

DAMAGES = {damage.name: damage for damage in [*ENTRIES, *END, *REST]}


@dataclass(frozen=True)
class Mutation:
    """A damage, the check that is for it, and what is told of the damage without the check."""

    damage: str
    kind: str
    owner: Any
    check: str
    left: str = ""
    instead: Callable[[Any], Any] | None = None
    """What stands in for the check; by default what yields nothing."""
    at: int = -1

    def __str__(self) -> str:
        return f"{self.damage} without {self.check}"

    def take_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        check = getattr(self.owner, self.check)
        silent = self.instead(check) if self.instead else lambda *_args, **_options: iter(())
        monkeypatch.setattr(self.owner, self.check, silent)


def telling_nothing(check: Any) -> Any:
    """Of an entry: read it, and keep what is wrong to oneself."""
    return lambda *args: check(*args)._replace(findings=[])


def never(_check: Any) -> Any:
    return lambda *_args: False


MUTATIONS = [
    Mutation(
        "entry bytes removed", "entry-missing", entry, "_unreadable", "drift", telling_nothing
    ),
    Mutation(
        "entry bytes made unreadable",
        "entry-malformed",
        entry,
        "_unreadable",
        "leaf-hash drift head-root head-frontier rewritten",
        telling_nothing,
    ),
    Mutation("column copy edited", "column", entry, "_check_copies", at=4),
    Mutation("position in an entry rewritten", "sequence", entry, "_check_place", "drift"),
    Mutation("unknown type", "unknown-type", entry, "_notes", "drift"),
    Mutation("certificate misstated", "certificate", CertificateCheck, "check"),
    Mutation("origin of an entry rewritten", "source", OrderCheck, "_check_origin"),
    Mutation(
        "head's origin edited", "head-origin", OrderCheck, "_check_origin", "checkpoint-origin"
    ),
    Mutation("recorded time that goes back", "order", OrderCheck, "_check_time"),
    Mutation(
        "entry bytes edited",
        "leaf-hash",
        TreeCheck,
        "_compare",
        "source drift head-root head-frontier rewritten",
        at=16,
    ),
    Mutation(
        "row replaced by one with its own hash",
        "tree-hash",
        TreeCheck,
        "_compare",
        "head-root head-frontier rewritten",
    ),
    Mutation("hash of a subtree edited", "hash-column", TreeCheck, "_compare"),
    Mutation(
        "row deleted in the middle",
        "gap",
        TreeCheck,
        "_skip_to",
        "drift streamversion hash-column head-root head-frontier rewritten",
    ),
    Mutation("tail cut off", "truncated", HeadCheck, "finish", "truncated drift"),
    Mutation("row inserted", "past-head", HeadCheck, "finish", "lifecycle", at=300),
    Mutation("head's size edited", "head-size", HeadCheck, "finish", "drift"),
    Mutation("head's recorded_at edited", "head-time", HeadCheck, "finish"),
    Mutation("head's root edited", "head-root", head, "_check_hash"),
    Mutation("head's frontier edited", "head-frontier", head, "_check_hash"),
    Mutation("head's format edited", "head-format", verify, "check_values"),
    Mutation("head's created edited", "head-time", verify, "check_values"),
    Mutation(
        "gap in a stream", "streamversion", StreamCheck, "_check_version", "lifecycle", at=299
    ),
    Mutation("illegal transition", "lifecycle", StreamCheck, "_evolve", "drift"),
    Mutation("tail cut off, head fitted", "truncated", Agreement, "compare", "drift"),
    Mutation("entry rewritten, all hashes fitted", "rewritten", Agreement, "compare"),
    Mutation(
        "tail cut off, head and checkpoints fitted, seen by a checkpoint from outside",
        "truncated",
        CheckpointCheck,
        "_check_held",
        "drift",
    ),
    Mutation(
        "entry rewritten, no checkpoint left, seen by the high-water mark",
        "rewritten",
        CheckpointCheck,
        "_check_held",
    ),
    Mutation("checkpoint forged", "checkpoint-signature", CheckpointCheck, "_check_signature"),
    Mutation(
        "checkpoint forged with another key",
        "checkpoint-forged",
        Agreement,
        "contradicts",
        "checkpoint-unchecked",
        never,
    ),
    Mutation("checkpoint of another log", "checkpoint-origin", CheckpointCheck, "_check_meaning"),
    Mutation("checkpoint made unreadable", "checkpoint-malformed", checkpoints, "_malformed"),
    Mutation("checkpoint's size column edited", "checkpoint-column", checkpoints, "_check_columns"),
    Mutation("checkpoint's key column edited", "checkpoint-column", checkpoints, "_check_columns"),
    Mutation("checkpoint removed", "checkpoint-gap", CheckpointCheck, "_check_number"),
    *(
        Mutation(damage, "drift", TablesCheck, "differences")
        for damage in (
            "row of certificates edited",
            "row of certificates removed",
            "row added to certificates",
            "row of retired edited",
            "row of retired removed",
            "row added to retired",
        )
    ),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_without_its_check_a_damage_is_missed(
    mutation: Mutation, log: Log, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage = DAMAGES[mutation.damage]
    positions = damage.positions(log)
    at = mutation.at if mutation.at in positions else positions[len(positions) // 2]
    file.write_bytes(log.image)
    with intruder(file, log=True) as sql:
        damage.apply(sql, log, at)
    told = damage.told(log, at)
    outside = damage.outside(log, at)
    assert mutation.kind in {kind for kind, _, _ in told}
    assert told <= {(each.kind, each.seq, each.serial) for each in findings_of(file, outside)}

    mutation.take_away(monkeypatch)

    found = findings_of(file, outside)
    left = {each.kind for each in found}
    assert left == set(mutation.left.split()), found


def test_without_the_look_at_the_triggers_a_missing_one_is_missed(
    log: Log, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_bytes(log.image)
    run(file, "DROP TRIGGER log_entry_no_update")
    assert [found.kind for found in findings_of(file)] == ["trigger-missing"]
    monkeypatch.setattr(verify, "check_triggers", lambda *_: iter(()))
    assert findings_of(file) == []


def test_without_the_look_at_its_settings_a_weakened_file_is_missed(
    log: Log, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_bytes(log.image)
    run(file, "PRAGMA journal_mode=DELETE")
    assert [found.kind for found in findings_of(as_unchanging(file))] == ["durability"]
    monkeypatch.setattr(verify, "check_durability", lambda *_: iter(()))
    assert findings_of(as_unchanging(file)) == []


def test_every_kind_of_damage_has_a_test_here(log: Log) -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for path in Path(str(verify.__file__)).parent.glob("*.py")
    )
    kinds = set(re.findall(r'Finding\(\s*"finding",\s*"([a-z-]+)"', source))
    elsewhere = {
        *("head-missing", "structure", "trigger-missing", "durability"),
        # Of a registry that a copy fills, and of rules and policies, which SQLite has not.
        *("copy-unfinished", "interference"),
    }
    tested = {
        kind
        for damage in DAMAGES.values()
        for kind, _, _ in damage.told(log, damage.positions(log)[-1])
    }
    assert kinds - elsewhere <= tested
    assert {mutation.kind for mutation in MUTATIONS} >= kinds - elsewhere
