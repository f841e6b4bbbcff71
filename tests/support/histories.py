"""Certificates made beforehand, for tests with long random histories."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509

from certledger.eventstore.times import naive_utc
from tests.support.certificates import make_certificate, pem
from tests.support.model import Certificate

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


_LONG = 2**159 - 1

CERTIFICATES = [
    prepare(1, "alpha", timedelta(days=90)),
    prepare(1, "alpha", timedelta(days=200), begins=2),
    prepare(2, "alpha", timedelta(days=90), begins=3),
    prepare(2, "beta", timedelta(minutes=10)),
    prepare(3, "alpha", timedelta(hours=1)),
    prepare(3, "beta", timedelta(days=2)),
    prepare(4, "alpha", timedelta(days=-1), begins=100),
    prepare(4, "beta", timedelta(minutes=1)),
    prepare(5, "beta", timedelta(days=365)),
    prepare(5, None, timedelta(days=1)),
    prepare(_LONG, "beta", timedelta(seconds=0)),
    prepare(_LONG, "alpha", timedelta(days=30)),
]
"""Two for each serial number; common names and ends are shared between them."""

SERIALS = sorted({prepared.said.serial for prepared in CERTIFICATES})
NAMES = sorted({prepared.said.name for prepared in CERTIFICATES if prepared.said.name})
