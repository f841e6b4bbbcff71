"""Certificates in relation to a clock, and a log's lines, for the tests of the facade."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from tests.support.certificates import make_certificate
from tests.support.clock import FakeClock


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


def lines(log: pytest.LogCaptureFixture, level: int) -> list[str]:
    """The messages of one level."""
    return [record.getMessage() for record in log.records if record.levelno == level]


def worst(log: pytest.LogCaptureFixture) -> logging.LogRecord:
    """The record of the highest level."""
    return max(log.records, key=lambda record: record.levelno)
