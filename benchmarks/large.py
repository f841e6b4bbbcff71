"""Questions to a registry that has grown: one certificate's history, and the status."""

from __future__ import annotations

import random
import shutil

from cryptography import x509

from benchmarks import certificates
from benchmarks.registries import large_registry, url_of
from benchmarks.results import Result, at_most
from benchmarks.rounds import Sample, interleave, timed
from benchmarks.setting import Setting
from certledger import Ledger, acting_as

HISTORY = "Ledger.history"
STATUS = "Ledger.status"
STREAMS = 50
REPEATS = 5


def run(setting: Setting) -> Result:
    size = setting.sizes.logs[-1]
    chosen = random.Random(1).sample(range(size), min(size, STREAMS))
    serials = [_serial(at) for at in chosen]
    with setting.scratch() as scratch:
        file = scratch / "large.db"
        shutil.copyfile(large_registry(setting, size), file)
        with acting_as("benchmark"), Ledger(url_of(file), create=False) as ledger:
            for serial in serials:
                ledger.revoke(serial, "superseded")
                ledger.delete(serial)
            contenders = {
                HISTORY: lambda _number: _histories(ledger, serials),
                STATUS: lambda _number: _status(ledger),
            }
            samples = interleave(contenders, setting.rounds)
    result = Result(
        "large",
        f"in a log of {size:,} entries: the histories of {len(serials)} certificates, three "
        "events each; counts, head and settings together",
        samples,
    )
    result.time_of_one("history of one certificate", HISTORY, 1e3, "ms", at_most(2))
    result.time_of_one("status", STATUS, 1e3, "ms", at_most(50))
    return result


def _serial(at: int) -> int:
    (der,) = certificates.copies(at, at + 1)
    return x509.load_der_x509_certificate(der).serial_number


def _histories(ledger: Ledger, serials: list[int]) -> Sample:
    with timed(len(serials)) as sample:
        for serial in serials:
            assert len(ledger.history(serial)) == 3
    return sample


def _status(ledger: Ledger) -> Sample:
    with timed(REPEATS) as sample:
        for _ in range(REPEATS):
            assert ledger.status().head.size
    return sample
