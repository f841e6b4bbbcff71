"""A registry in which every kind of event has happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from certledger.ledger import Ledger
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock

FIRST = 1_000


@dataclass(frozen=True)
class Populated:
    """The serial numbers, by what happened to them last."""

    valid: list[int]
    revoked: int
    expired: int
    late: int
    """Revoked after it had expired."""
    deleted: int
    """Deleted while valid."""
    withdrawn: int
    """Deleted while revoked."""
    again: int
    """Deleted, then registered again."""


def populate(ledger: Ledger, clock: FakeClock) -> Populated:
    """Give a registry 19 events, of ten serial numbers."""
    start = clock.now.replace(microsecond=0) - timedelta(days=1)
    serials = list(range(FIRST, FIRST + 10))
    for serial in serials:
        ends = timedelta(days=2 if serial in serials[5:7] else 90)
        certificate = make_certificate(
            f"host-{serial}.example.org", serial=serial, start=start, end=start + ends
        )
        ledger.issue(certificate, uuid=f"folder-{serial}" if serial % 3 else None)
        clock.step(seconds=1)
    ledger.revoke(serials[4], "keyCompromise")
    ledger.revoke(serials[8], "superseded")
    ledger.delete(serials[7])
    ledger.delete(serials[8])
    ledger.delete(serials[9])
    again = make_certificate("again.example.org", serial=serials[9], start=start)
    ledger.issue(again, uuid="folder-again")
    clock.step(days=3)
    ledger.expire_due()
    ledger.revoke(serials[6], "affiliationChanged", after_expiry=True)
    clock.step(seconds=1)
    return Populated(
        serials[:4], serials[4], serials[5], serials[6], serials[7], serials[8], serials[9]
    )
