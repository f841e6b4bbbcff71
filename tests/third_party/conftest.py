"""What others are given to check: an archive, unpacked as its reader would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certledger import Ledger, acting_as
from certledger.exporters.evidence import export_evidence
from certledger.exporters.stored_zip import unpack
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support.log import ORIGIN
from tests.support.populated import Populated, populate
from tests.support.signed import sign_log


@pytest.fixture
def registry(url: str, clock: FakeClock, tmp_path: Path) -> Iterator[tuple[Ledger, Populated]]:
    """A signed registry with 20 events; the last is of a certificate with an evil name."""
    with Ledger(url, clock=clock, origin=ORIGIN) as ledger:
        known = populate(ledger, clock)
        with acting_as("$(reboot)", comment='`id` "sha256":"aa"\n    exit 1'):
            ledger.issue(make_certificate("$(id)\n    exit 1", serial=7), uuid="'; exit 1")
        sign_log(ledger.database, tmp_path, clock)
        yield ledger, known


@pytest.fixture
def unpacked(registry: tuple[Ledger, Populated], tmp_path: Path) -> Callable[[int], Path]:
    """Unpacks the evidence of a serial number."""
    ledger, _ = registry

    def folder_of(serial: int) -> Path:
        folder = tmp_path / f"evidence-{serial}"
        for name, content in unpack(export_evidence(ledger.database, serial)).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder

    return folder_of
