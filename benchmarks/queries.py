"""Looking up and listing, beside tiny_ca."""

from __future__ import annotations

import random
from pathlib import Path

from benchmarks import certificates
from benchmarks.registries import small_registry, url_of
from benchmarks.results import Result, at_least
from benchmarks.rival import Rival
from benchmarks.rounds import Contender, Sample, interleave, timed
from benchmarks.setting import Setting
from certledger import SyncDBHandler
from certledger.eventstore.certificates import common_name

OURS = "certledger"
RIVAL = "tiny_ca"
QUIET = "tiny_ca, logger silenced"
PAGE = 100


class _Rounds:
    """The same calls for every contender, in an order that differs from round to round."""

    def __init__(self, setting: Setting, files: list[Path]) -> None:
        chosen = random.Random(1).sample(certificates.load(files), min(len(files), 1_000))
        self.serials = [certificate.serial_number for certificate in chosen]
        self.names = [common_name(certificate) or "" for certificate in chosen]
        self.calls = setting.sizes.calls
        self.few = max(1, setting.sizes.calls // 20)

    def some_serials(self, number: int) -> list[int]:
        return random.Random(number).choices(self.serials, k=self.calls)

    def some_names(self, number: int) -> list[str]:
        return random.Random(number).choices(self.names, k=self.few)

    def ours(self, handler: SyncDBHandler) -> dict[str, Contender]:
        def by_serial(number: int) -> Sample:
            serials = self.some_serials(number)
            with timed(len(serials)) as sample:
                for serial in serials:
                    assert handler.get_by_serial(serial) is not None
            return sample

        def by_name(number: int) -> Sample:
            names = self.some_names(number) * 10
            with timed(len(names)) as sample:
                for name in names:
                    assert handler.get_by_name(name) is not None
            return sample

        def list_all(_number: int) -> Sample:
            with timed(self.few) as sample:
                for _ in range(self.few):
                    assert handler.list_all(limit=PAGE)
            return sample

        return {"get_by_serial": by_serial, "get_by_name": by_name, "list_all": list_all}

    def rival(self, rival: Rival, file: Path, *, quiet: bool) -> dict[str, Contender]:
        def measure(do: str, **arguments: object) -> Sample:
            rival.open(url_of(file), quiet=quiet)
            rival.measure("list_all", times=1, limit=1)  # opens the connection and reads the file
            sample = rival.measure(do, **arguments)
            rival.close()
            return sample

        def by_serial(number: int) -> Sample:
            return measure(
                "get_by_serial", serials=[str(each) for each in self.some_serials(number)]
            )

        return {
            "get_by_serial": by_serial,
            "get_by_name": lambda number: measure("get_by_name", names=self.some_names(number)),
            "list_all": lambda _number: measure("list_all", times=self.few, limit=PAGE),
        }


def run(setting: Setting) -> Result:
    files = certificates.pem_files(setting.folder, setting.sizes.files)[: setting.sizes.rows]
    rounds = _Rounds(setting, files)
    with setting.scratch() as scratch:
        small_registry(scratch / "ours.db", files)
        with SyncDBHandler(url_of(scratch / "ours.db")) as handler:
            by_contender = {OURS: rounds.ours(handler)}
            if setting.rival is not None:
                setting.rival.open(url_of(scratch / "rival.db"))
                setting.rival.fill(files)
                setting.rival.close()
                for name, quiet in ((RIVAL, False), (QUIET, True)):
                    by_contender[name] = rounds.rival(
                        setting.rival, scratch / "rival.db", quiet=quiet
                    )
            contenders = {
                f"{call}, {name}": contender
                for name, calls in by_contender.items()
                for call, contender in calls.items()
            }
            samples = interleave(contenders, setting.rounds)
    result = Result(
        "queries",
        f"calls of SyncDBHandler on {len(files):,} certificates, tiny_ca's as shipped: with the "
        "logger that it sets up, whose lines go nowhere here; and with that one silenced",
        dict(sorted(samples.items())),
    )
    for call, shown, factor in (
        ("get_by_serial", "get_by_serial", 1.5),
        ("list_all", f"list_all({PAGE})", 1),
        ("get_by_name", "get_by_name", 10),
    ):
        for name in (RIVAL, QUIET):
            goal = at_least(factor) if name == RIVAL else None
            result.ratio(
                f"{shown}, time of {name} / ours", f"{call}, {name}", f"{call}, {OURS}", goal
            )
    return result
