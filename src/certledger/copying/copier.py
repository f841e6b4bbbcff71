"""Copying a registry: what is done in which order."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

from sqlalchemy.engine import URL

from certledger.copying.agreement import COMPARED, Agreement, TableAgreement
from certledger.copying.ahead import ahead
from certledger.copying.proof import prove_log
from certledger.copying.report import CopyReport
from certledger.copying.source import Extent, Source
from certledger.copying.target import Target
from certledger.errors import BrokenTable, InvalidValue
from certledger.eventstore.continuation import Continuation
from certledger.eventstore.database import Database
from certledger.eventstore.times import Clock, utc_now
from certledger.projections.progress import Progress, share
from certledger.projections.rebuild import rebuild
from certledger.projections.structure import check_structure

logger = logging.getLogger("certledger")

_ROUNDS: Final = 10
"""How often the copy runs after a source that grows; each time there is less left to copy."""

_COPIED: Final = 0.5
_PROVED: Final = 0.6
"""The shares of the time after which each part ends; the tables take the rest."""


def copy(
    source: str | URL | Database,
    target: str | URL | Database,
    *,
    progress: Progress | None = None,
    clock: Clock = utc_now,
) -> CopyReport:
    """Copy a whole registry into another database, and prove that the copy is one.

    Entries, checkpoints and the head go over as they are, the tables follow from the log. The
    target must be empty, or hold a part of this very copy: then it goes on from there, also after
    it was killed. Until it is whole the target cannot be used (`IncompleteCopy`). The source is
    never changed, and may be written to meanwhile: `CopyReport.behind` tells whether it has more
    when the copy ends. `clock` is for the mark of the copy.

    Raises `CopyRefused` for a target that holds something else, `InvalidValue` where both are one,
    `LogCorrupt` or `UnknownEventType`, which name the entry, for a source that cannot be copied,
    or another `StorageError`.
    """
    started = time.monotonic()
    with _lent(source) as here, _lent(target) as there:
        _require_two(here, there)
        report = _Copy(Source(here), Target(there), clock, progress).run(started)
    logger.info("copied a registry: %s", report)
    return report


@contextmanager
def _lent(database: str | URL | Database) -> Iterator[Database]:
    if isinstance(database, Database):
        yield database
        return
    opened = Database(database)
    try:
        yield opened
    finally:
        opened.close()


def _require_two(source: Database, target: Database) -> None:
    one = source is target or (source.url == target.url and not source.in_memory)
    if source.file is not None and target.file is not None and target.file.exists():
        one = one or (source.file.exists() and source.file.samefile(target.file))
    if one:
        message = f"{source} is source and target at once: give another database as the target"
        raise InvalidValue(message)


class _Copy:
    """One run."""

    def __init__(
        self, source: Source, target: Target, clock: Clock, progress: Progress | None
    ) -> None:
        self._source = source
        self._target = target
        self._clock = clock
        self._progress = progress

    def run(self, started: float) -> CopyReport:
        """Copy, prove, finish."""
        extent = self._source.open()
        not_copied = self._source.others()
        log = self._target.open(self._source, extent, self._clock())
        before = log.size
        extent = self._catch_up(extent, log)
        root = self._prove(extent)
        fault = self._fault_of_source()
        certificates, deletions = self._compare(log.size, with_source=fault is None)
        self._target.finish(extent, self._clock())
        return CopyReport(
            source=str(self._source.database),
            target=str(self._target.database),
            origin=extent.head.origin,
            size=extent.head.size,
            root=root,
            copied=log.size - before,
            checkpoints=extent.checkpoints,
            certificates=certificates.rows,
            retired=deletions.rows,
            source_size=self._source.look().head.size,
            source_drift=certificates.drifted + deletions.drifted,
            source_fault=fault,
            not_copied=not_copied,
            seconds=time.monotonic() - started,
        )

    def _prove(self, extent: Extent) -> bytes:
        """Prove that the log is the source's, and make the tables what that log demands."""
        database = self._target.database
        root = prove_log(self._source, database, extent, share(self._progress, _COPIED, _PROVED))
        # It compares each row with what the log demands, mends it, and compares it again.
        rebuild(database, share(self._progress, _PROVED, 1.0))
        return root

    def _compare(self, size: int, *, with_source: bool) -> list[Agreement]:
        """Compare the tables of both sides."""
        databases = (self._source.database, self._target.database)
        return [
            TableAgreement(table, *databases, size).compare(with_source=with_source)
            for table in COMPARED
        ]

    def _catch_up(self, extent: Extent, log: Continuation) -> Extent:
        """Copy until a look at the source finds nothing new; return what was copied."""
        for _ in range(_ROUNDS):
            self._copy_to(extent, log)
            copied, extent = extent, self._source.look()
            if extent == copied:
                break
        return copied

    def _copy_to(self, extent: Extent, log: Continuation) -> None:
        source, target = self._source, self._target
        source.check_checkpoints(target.checkpoints, extent)
        target.expect(extent, log, self._clock())
        report = share(self._progress, 0.0, _COPIED)
        with closing(ahead(source.batches(log, extent.head))) as batches:
            for batch in batches:
                target.append(batch)
                report(batch.after.size, extent.head.size)
        for page in source.checkpoints(target.checkpoints, extent.checkpoints):
            target.add_checkpoints(page)

    def _fault_of_source(self) -> str | None:
        """Say why the tables of the source cannot be compared, None where they can."""
        try:
            self._source.database.read(lambda c: check_structure(c, COMPARED))
        except BrokenTable as error:
            return str(error)
        return None
