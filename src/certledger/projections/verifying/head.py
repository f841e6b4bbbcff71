"""Holding the head of the log against the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Dialect

from certledger.errors import LedgerError
from certledger.eventstore.event import check_origin
from certledger.eventstore.tables import FORMAT, log_head
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.stored import Extent, StoredHead, shown


def check_values(extent: Extent, dialect: Dialect) -> Iterator[Finding]:
    """See that there is one head, and that it can be read."""
    if len(extent.heads) != 1:
        message = f"log_head has {len(extent.heads) or 'no'} rows instead of one"
        yield Finding("finding", "head-missing", None, message)
        return
    head = extent.heads[0]
    if head.format != FORMAT or isinstance(head.format, bool):
        message = f"the head states the format {shown(head.format)} instead of {FORMAT}"
        yield Finding("finding", "head-format", None, message)
    try:
        check_origin(head.origin)
    except (LedgerError, TypeError):
        message = f"the head states the origin {shown(head.origin)}, which is none"
        yield Finding("finding", "head-origin", None, message)
    if not _is_instant(head.created, dialect):
        message = f"the head says that it was made at {shown(head.created)}, which is no time"
        yield Finding("finding", "head-time", None, message)


def _is_instant(value: Any, dialect: Dialect) -> bool:
    """Tell whether a value in a column of times is one, as the database stores it."""
    reader = log_head.c.created.type.dialect_impl(dialect).result_processor(dialect, None)
    try:
        return isinstance(reader(value) if reader else value, datetime)
    except (ValueError, TypeError):
        return False


class HeadCheck:
    """Holds size, root, frontier and time of the head against what follows from the entries."""

    def __init__(self, extent: Extent) -> None:
        self._extent = extent
        self._size = extent.stop if extent.size is None else extent.size
        self.sizes = {self._size, extent.stop}
        """The sizes at which `step` is to be called."""
        self._peaks: dict[int, bytes] = {0: b""}
        self._last: dict[int, Any] = {}

    def step(self, size: int, peaks: bytes, stored_time: Any) -> None:
        """Take the tree's peaks at a size, and when the last entry was recorded."""
        self._peaks[size] = peaks
        self._last[size] = stored_time

    def finish(self, head: StoredHead, roots: Mapping[int, bytes]) -> Iterator[Finding]:
        """Compare with the roots at `sizes`, where they are known."""
        size, stop = self._size, self._extent.stop
        told = f"the head states the size {shown(head.size)}, the log ends at {stop}"
        if self._extent.size is None or (size != stop and head.root == roots.get(stop)):
            # All but the size is that of the whole log.
            yield Finding("finding", "head-size", None, told)
            size = stop
        elif size > stop:
            gone = f"entries {stop} to {size - 1} were cut off" if size - stop > 1 else ""
            message = f"{told}: {gone or f'entry {stop} was cut off'}"
            yield Finding("finding", "truncated", stop, message)
            return
        elif size < stop:
            message = f"{told}: what follows was not appended by the registry"
            yield Finding("finding", "past-head", size, message)
        if size in roots:
            yield from _check_hash("root", head.root, roots[size])
            yield from _check_hash("frontier", head.frontier, self._peaks[size])
        if head.recorded_at != self._last.get(size):
            message = (
                f"the head says that the last entry was recorded at {shown(head.recorded_at)}, "
                f"its bytes say {shown(self._last.get(size))}"
            )
            yield Finding("finding", "head-time", None, message)


def _check_hash(name: str, stored: Any, wanted: bytes) -> Iterator[Finding]:
    if stored == wanted:
        return
    found = stored.hex() if isinstance(stored, bytes) else shown(stored)
    message = f"the head states the {name} {found}, the entries give {wanted.hex()}"
    yield Finding("finding", f"head-{name}", None, message)
