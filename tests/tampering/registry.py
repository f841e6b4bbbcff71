"""The log that is tampered with: 300 entries of every type, and checkpoints of 24 sizes."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from certledger import Event, Ledger
from certledger.bulk import Registration
from certledger.eventstore.checkpoints import stored_checkpoints
from certledger.eventstore.database import Database
from certledger.eventstore.events import CertificateData, Issued
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.outside import Held, Outside
from certledger.projections.verifying.verify import verify
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support.log import ORIGIN
from tests.support.signed import LOG_KEY, sign_log

SIZE = 300
EDGES = [0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, SIZE - 2, SIZE - 1]
"""First, last, and both sides of the powers of two."""

POSITIONS = sorted({*EDGES, *random.Random(20261124).sample(range(SIZE), 6)})
SIZES = sorted({*(edge + 1 for edge in EDGES), 50, 100, 150, 200, 250})
"""Of which the registry holds checkpoints; the last is that of the whole log."""

KNOWN = Outside(keys=(LOG_KEY.verifier_key,))
"""That the log's key is known, and nothing more."""


@dataclass(frozen=True)
class Log:
    """A log that nobody has tampered with."""

    image: bytes
    """The file."""
    events: list[Event]
    notes: dict[int, bytes]
    """Size to signed checkpoint."""

    def serial(self, seq: int) -> int | None:
        data = self.events[seq].data
        return data.serial if isinstance(data, CertificateData) else None

    @property
    def issued(self) -> list[int]:
        return [event.seq for event in self.events if isinstance(event.data, Issued)]

    def of_type(self, word: str) -> list[int]:
        return [event.seq for event in self.events if f".{word}." in event.type]

    def held(self, size: int) -> Held:
        return Held(f"checkpoint-{size}", self.notes[size])


@cache
def clean_log() -> Log:
    """Make the log once."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "registry.db"
        clock = FakeClock()
        with Ledger(f"sqlite:///{file}", origin=ORIGIN, clock=clock) as ledger:
            for size in SIZES:
                _grow(ledger, clock, size)
                sign_log(ledger.database, Path(folder), clock)
            events = list(ledger.events())
            stored = ledger.database.read(lambda c: list(stored_checkpoints(c)))
        assert len(events) == SIZE
        return Log(file.read_bytes(), events, {each.size: each.note for each in stored})


def _grow(ledger: Ledger, clock: FakeClock, size: int) -> None:
    """Append until the log has so many entries: of seven, five register, two change something."""
    start = clock.now.replace(microsecond=0) - timedelta(days=1)
    while (seq := ledger.head().size) < size:
        clock.step(seconds=1)
        if seq % 7 == 3 and seq > 20:
            # The log as it has been hitherto names what is still valid.
            valid = ledger.list(status="valid", limit=None)
            ledger.revoke(int(valid[-1].serial_number), "superseded")
        elif seq % 7 == 5 and seq > 20:
            present = ledger.list(limit=None)
            ledger.delete(int(present[-1 - seq % 2].serial_number))
        else:
            certificate = make_certificate(
                f"host-{seq}.example.org", serial=1000 + seq, start=start
            )
            folder = f"folder-{seq}" if seq % 3 else None
            for outcome in ledger.issue_many([Registration(certificate, str(seq), uuid=folder)]):
                assert outcome.error is None


def run(file: Path, statement: str) -> None:
    """Run one statement, with the triggers in place."""
    with closing(sqlite3.connect(file, isolation_level=None)) as sql:
        sql.execute(statement)


def as_unchanging(file: Path) -> str:
    """The name by which SQLite takes a file for one that cannot change."""
    return f"file:{file}?immutable=1&uri=true"


def findings_of(file: Path | str, outside: Outside = KNOWN, *, jobs: int = 1) -> list[Finding]:
    database = Database(f"sqlite:///{file}")
    try:
        return list(verify(database, outside=outside, jobs=jobs))
    finally:
        database.close()
