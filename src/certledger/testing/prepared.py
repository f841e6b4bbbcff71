"""Certificates made beforehand, with what they say, for long random histories."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509

from certledger.eventstore.times import naive_utc
from certledger.testing.certificates import make_certificate, pem
from certledger.testing.model import Certificate

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
"""When the histories begin."""


@dataclass(frozen=True)
class Prepared:
    """A certificate, and what it says."""

    certificate: x509.Certificate
    said: Certificate

    def __repr__(self) -> str:
        """Name it in a falsifying example."""
        return f"<serial {self.said.serial}, {self.said.name!r}, until {self.said.end}>"


def prepare(serial: int, name: str | None, ends: timedelta, *, begins: int = 1) -> Prepared:
    """A certificate that begins so many days before `START` and ends so long after it."""
    start, end = START - timedelta(days=begins), START + ends
    certificate = make_certificate(name, serial=serial, start=start, end=end)
    text = pem(certificate).decode("ascii")
    said = Certificate(serial, name, naive_utc(start), naive_utc(end), text)
    return Prepared(certificate, said)
