"""Certificates made beforehand, for tests with long random histories."""

from __future__ import annotations

from datetime import timedelta

from certledger.testing.prepared import prepare

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
