"""Verifying a log that has grown: its hashes alone, everything, and everything by two processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable

from benchmarks.registries import large_registry, url_of
from benchmarks.results import Result, at_least
from benchmarks.rounds import Contender, Sample, interleave, timed
from benchmarks.setting import Setting
from certledger import Ledger
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.hashes import verify_hashes

HASHES = "hashes alone"
EVERYTHING = "everything"
TWO_JOBS = "everything, --jobs 2"


def run(setting: Setting) -> Result:
    size = setting.sizes.logs[0]
    with setting.scratch() as scratch:
        file = scratch / "verified.db"
        shutil.copyfile(large_registry(setting, size), file)
        with Ledger(url_of(file), create=False) as ledger:

            def contender(verify: Callable[[], Iterable[Finding]]) -> Contender:
                return lambda _number: _verified(size, verify)

            samples = interleave(
                {
                    HASHES: contender(lambda: verify_hashes(ledger.database)),
                    EVERYTHING: contender(ledger.verify),
                    TWO_JOBS: contender(lambda: ledger.verify(jobs=2)),
                },
                setting.rounds,
            )
    result = Result(
        "verifying",
        f"a log of {size:,} entries that nobody touched: the tree recomputed from the bytes; and "
        "strict parsing, columns, certificates, lifecycle, order, tree and tables as well",
        samples,
    )
    result.rate("verify, hashes alone", HASHES, "/s", at_least(80_000))
    result.rate("verify, everything", EVERYTHING, "/s", at_least(12_000))
    result.ratio("verify, time of one job / two", EVERYTHING, TWO_JOBS, at_least(1.6), cpu=False)
    return result


def _verified(size: int, verify: Callable[[], Iterable[Finding]]) -> Sample:
    with timed(size) as sample:
        found = [finding for finding in verify() if finding.level == "finding"]
    assert found == []
    return sample
