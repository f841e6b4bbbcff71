"""What can be done to the end of the log, and to all of it: what only checkpoints show."""

from __future__ import annotations

from certledger.projections.verifying.outside import Outside
from tests.support.intruder import forge
from tests.support.signed import LOG_KEY
from tests.tampering.damage import Damage, Sql, Told, run
from tests.tampering.registry import SIZE, SIZES, Log


def cut(sql: Sql, log: Log, at: int) -> None:
    """Remove the end, and make the head and the tables those of the shorter log."""
    del log
    sql.execute("DELETE FROM log_entry WHERE seq >= ?", (at,))
    forge(sql, lambda _seq, _members: None)


def cut_with_checkpoints(sql: Sql, log: Log, at: int) -> None:
    cut(sql, log, at)
    sql.execute("DELETE FROM log_checkpoint WHERE size > ?", (at,))


def truncated(_log: Log, at: int) -> set[Told]:
    return {("truncated", at, None)}


def rewritten(log: Log, at: int) -> set[Told]:
    """After the largest checkpoint that the entries before the change still have."""
    del log
    return {("rewritten", max([size for size in SIZES if size <= at], default=0), None)}


def rewrite(sql: Sql, _log: Log, at: int) -> None:
    forge(sql, lambda seq, members: members.update(authid="mallory") if seq == at else None)


def rewrite_with_checkpoints(sql: Sql, log: Log, at: int) -> None:
    rewrite(sql, log, at)
    sql.execute("DELETE FROM log_checkpoint")


def with_checkpoints(log: Log, _at: int) -> Outside:
    return Outside(
        keys=(LOG_KEY.verifier_key,), checkpoints=tuple(log.held(size) for size in SIZES)
    )


def with_mark(log: Log, _at: int) -> Outside:
    return Outside(keys=(LOG_KEY.verifier_key,), mark=log.held(SIZE))


END = [
    Damage(
        "tail cut off",
        run("DELETE FROM log_entry WHERE seq >= :at"),
        truncated,
        also="drift truncated",
    ),
    Damage("tail cut off, head fitted", cut, truncated, also="drift truncated"),
    Damage(
        "tail cut off, head and checkpoints fitted, seen by a checkpoint from outside",
        cut_with_checkpoints,
        truncated,
        also="drift",
        outside=with_checkpoints,
    ),
    Damage(
        "tail cut off, head and checkpoints fitted, seen by the high-water mark",
        cut_with_checkpoints,
        truncated,
        also="drift",
        outside=with_mark,
    ),
    Damage("entry rewritten, all hashes fitted", rewrite, rewritten, also="rewritten"),
    Damage(
        "entry rewritten, no checkpoint left, seen by checkpoints from outside",
        rewrite_with_checkpoints,
        rewritten,
        also="rewritten",
        outside=with_checkpoints,
    ),
    Damage(
        "entry rewritten, no checkpoint left, seen by the high-water mark",
        rewrite_with_checkpoints,
        lambda *_: {("rewritten", 0, None)},
        outside=with_mark,
    ),
]
