"""That a registry is whole: the log against its definition, the tables against the log."""

from __future__ import annotations

from certledger.eventstore.event import Event
from certledger.ledger import Ledger
from certledger.testing.model import Model
from certledger.testing.raw import Raw


def check_whole(url: str) -> list[Event]:
    """Check everything that can be checked without knowing what was done; return the events.

    Nobody may be writing meanwhile.
    """
    with Raw(url) as raw:
        size = raw.check_log()
    with Ledger(url, create=False) as ledger:
        assert [finding for finding in ledger.verify() if finding.level == "finding"] == []
        assert list(ledger.drift()) == []
        events = list(ledger.events())
    assert len(events) == size
    return events


def check_tables(url: str, model: Model) -> None:
    """The tables hold exactly what the model has."""
    with Raw(url) as raw:
        assert raw.certificates() == {row.id: row.columns() for row in model.rows.values()}
        assert raw.retired() == {gone.seq: gone.columns() for gone in model.retired}
