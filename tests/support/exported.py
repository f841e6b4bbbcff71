"""Signed registries of several sizes, and the folders that they are exported into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509

from certledger import Ledger, Registration
from certledger.exporters.tiles import TileExport, export_tiles
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support.log import ORIGIN
from tests.support.signed import sign_log


@cache
def certificate(serial: int) -> x509.Certificate:
    """The certificate of a serial number, made once in a run."""
    return make_certificate(f"host-{serial}.example.org", serial=serial)


@dataclass
class Publisher:
    """A registry that signs its log and exports it."""

    ledger: Ledger
    clock: FakeClock
    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "tiles"

    def grow(self, size: int) -> None:
        """Register certificates until the log has this many entries."""
        have = self.ledger.head().size
        rest = (Registration(certificate(serial)) for serial in range(have + 1, size + 1))
        assert all(outcome.event for outcome in self.ledger.issue_many(rest))

    def sign(self) -> bytes:
        return sign_log(self.ledger.database, self.home, self.clock)

    def export(self) -> TileExport:
        return export_tiles(self.ledger.database, self.folder)

    def publish(self, size: int) -> TileExport:
        """Grow, sign, export."""
        self.grow(size)
        self.sign()
        return self.export()

    def files(self) -> dict[str, bytes]:
        """What the folder holds: path to bytes."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
        }


def publisher(home: Path, clock: FakeClock) -> Iterator[Publisher]:
    with Ledger(f"sqlite:///{home}/published.db", origin=ORIGIN, clock=clock) as ledger:
        yield Publisher(ledger, clock, home)
