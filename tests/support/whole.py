"""That a registry is whole: the log against its definition, the tables against the log."""

from __future__ import annotations

from pathlib import Path

from certledger import Event, Ledger
from tests.support.model import Model
from tests.support.raw_file import RawFile, stored


def check_whole(file: Path) -> list[Event]:
    """Check everything that can be checked without knowing what was done; return the events."""
    raw = RawFile(file)
    try:
        size = raw.check_log()
    finally:
        raw.close()
    with Ledger(f"sqlite:///{file}", create=False) as ledger:
        assert [finding for finding in ledger.verify() if finding.level == "finding"] == []
        assert list(ledger.drift()) == []
        events = list(ledger.events())
    assert len(events) == size
    return events


def check_tables(file: Path, model: Model) -> None:
    """The tables hold exactly what the model has."""
    raw = RawFile(file)
    try:
        rows = {row.id: stored(row.columns()) for row in model.rows.values()}
        assert raw.table() == rows
        gone = {gone.seq: stored(gone.columns()) for gone in model.retired}
        assert raw.retired() == gone
    finally:
        raw.close()
