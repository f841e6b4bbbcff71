"""`update_status_expired`: with many due, and with none."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks import certificates
from benchmarks.registries import small_registry, url_of
from benchmarks.results import Result, at_least, at_most
from benchmarks.rival import Rival
from benchmarks.rounds import Contender, Sample, interleave, timed
from benchmarks.setting import Setting
from certledger import SyncDBHandler

OURS_DUE = "all due, certledger"
OURS_NONE = "none due, certledger"
RIVAL_DUE = "all due, tiny_ca"
RIVAL_NONE = "none due, tiny_ca"
QUIET_NONE = "none due, tiny_ca, logger silenced"
REPEATS = 20


def run(setting: Setting) -> Result:
    count = setting.sizes.rows
    due = certificates.pem_files(setting.folder, count, past=True)
    valid = certificates.pem_files(setting.folder, setting.sizes.files)[:count]
    with setting.scratch() as scratch:
        small_registry(scratch / "due.db", due)
        small_registry(scratch / "valid.db", valid)
        with SyncDBHandler(url_of(scratch / "valid.db")) as handler:
            contenders: dict[str, Contender] = {
                OURS_DUE: lambda number: _sweep(scratch / "due.db", number, count),
                OURS_NONE: lambda _number: _look(handler),
            }
            if setting.rival is not None:
                contenders |= _rivals(setting.rival, scratch, due, valid)
            samples = interleave(contenders, setting.rounds)
    result = Result(
        "sweep",
        f"update_status_expired on {count:,} certificates, all of them due or none; tiny_ca "
        "writes no events, so with all due it has less to do",
        samples,
    )
    result.time_of_round(f"{count:,} due", OURS_DUE, 1, "s", at_most(1))
    result.ratio("none due, time of tiny_ca / ours", RIVAL_NONE, OURS_NONE, at_least(1))
    result.ratio("none due, time of tiny_ca, logger silenced / ours", QUIET_NONE, OURS_NONE)
    return result


def _sweep(template: Path, number: int, count: int) -> Sample:
    file = template.with_name(f"due-{number}.db")
    shutil.copyfile(template, file)
    with SyncDBHandler(url_of(file)) as handler, timed(1) as sample:
        assert handler.update_status_expired() == count
    return sample


def _look(handler: SyncDBHandler) -> Sample:
    with timed(REPEATS) as sample:
        for _ in range(REPEATS):
            assert handler.update_status_expired() == 0
    return sample


def _rivals(
    rival: Rival, scratch: Path, due: list[Path], valid: list[Path]
) -> dict[str, Contender]:
    for name, files in (("due", due), ("valid", valid)):
        rival.open(url_of(scratch / f"rival-{name}.db"))
        rival.fill(files)
        rival.close()

    def sweep(number: int) -> Sample:
        file = scratch / f"rival-due-{number}.db"
        shutil.copyfile(scratch / "rival-due.db", file)
        rival.open(url_of(file))
        sample = rival.measure("sweep", expected=len(due), times=1)
        rival.close()
        return sample

    def look(*, quiet: bool) -> Sample:
        rival.open(url_of(scratch / "rival-valid.db"), quiet=quiet)
        rival.measure("sweep", expected=0, times=1)
        sample = rival.measure("sweep", expected=0, times=REPEATS)
        rival.close()
        return sample

    return {
        RIVAL_DUE: sweep,
        RIVAL_NONE: lambda _number: look(quiet=False),
        QUIET_NONE: lambda _number: look(quiet=True),
    }
