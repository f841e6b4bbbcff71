"""Certificates in relation to a clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock


@dataclass(frozen=True)
class Issue:
    """Makes a certificate whose validity is given in days from the clock's now."""

    clock: FakeClock

    def __call__(
        self,
        common_name: str | None = "device.example.org",
        *,
        starts: float = -1,
        ends: float = 90,
        serial: int | None = None,
        subject: x509.Name | None = None,
    ) -> x509.Certificate:
        return make_certificate(
            common_name,
            serial=serial,
            subject=subject,
            start=self.day(starts),
            end=self.day(ends),
        )

    def day(self, days: float) -> datetime:
        """The instant so many days from now, to the second, as certificates have it."""
        return self.clock.now.replace(microsecond=0) + timedelta(days=days)
