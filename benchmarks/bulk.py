"""Registering many: PEM files on disk, 1,000 certificates in a transaction."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks import certificates
from benchmarks.raw import RawRegistry
from benchmarks.registries import large_registry, read_files, register_all, url_of
from benchmarks.results import Result, at_least
from benchmarks.rounds import Sample, interleave, timed
from benchmarks.setting import Setting
from certledger import Ledger
from certledger.bulk import BATCH

RAW = "raw sqlite3, same parsing"
BARE = "raw sqlite3, columns only"
NEW = "Ledger.issue_many"
GROWN = "issue_many, large registry"


def run(setting: Setting) -> Result:
    files = certificates.pem_files(setting.folder, setting.sizes.files)
    size = setting.sizes.logs[-1]
    template = large_registry(setting, size)
    with setting.scratch() as scratch:
        large = scratch / "large.db"
        shutil.copyfile(template, large)
        share = len(files) // setting.rounds
        contenders = {
            RAW: lambda number: _raw(scratch / f"raw-{number}.db", files, thoroughly=True),
            BARE: lambda number: _raw(scratch / f"bare-{number}.db", files, thoroughly=False),
            NEW: lambda number: _ours(scratch / f"new-{number}.db", files),
            GROWN: lambda number: _ours(large, files[number * share :][:share]),
        }
        samples = interleave(contenders, setting.rounds)
    result = Result(
        "bulk",
        f"{len(files):,} PEM files read, parsed and registered in a new database, "
        f"{BATCH:,} in a transaction, half P-256 and half RSA-2048; the same files, "
        f"{share:,} in a round, into a registry of {size:,}",
        samples,
    )
    result.rate("issue_many, certificates", NEW, "/s", at_least(6_000))
    result.ratio("issue_many, rate / raw sqlite3, same parsing", RAW, NEW, at_least(0.7))
    result.ratio("issue_many, rate / raw sqlite3, columns only", BARE, NEW)
    result.rate(f"issue_many, certificates, {size:,} there", GROWN, "/s", at_least(4_000))
    return result


def _raw(path: Path, files: list[Path], *, thoroughly: bool) -> Sample:
    with RawRegistry(path) as registry:
        with timed(len(files)) as sample:
            for start in range(0, len(files), BATCH):
                registry.register_files(files[start : start + BATCH], thoroughly=thoroughly)
        assert registry.count() == len(files)
    return sample


def _ours(path: Path, files: list[Path]) -> Sample:
    with Ledger(url_of(path)) as ledger, timed(len(files)) as sample:
        assert register_all(ledger, read_files(files)) == len(files)
    return sample
