"""Registering one by one: a commit, and so a wait for the disk, for each certificate."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from cryptography.x509 import Certificate

from benchmarks import certificates
from benchmarks.raw import RawRegistry
from benchmarks.registries import url_of
from benchmarks.results import Result, at_least, at_most
from benchmarks.rounds import Contender, Sample, interleave, timed
from benchmarks.setting import Setting
from certledger import Ledger, SyncDBHandler

RAW = "raw sqlite3"
LEDGER = "Ledger.issue"
HANDLER = "SyncDBHandler"
RIVAL = "tiny_ca"


class _Rounds:
    """The contenders, each with a new database for each round and the same certificates."""

    def __init__(self, setting: Setting, scratch: Path) -> None:
        self._per_round = setting.sizes.one_by_one
        self._files = certificates.pem_files(setting.folder, setting.sizes.files)
        self._rival = setting.rival
        self._scratch = scratch

    def _fresh(self, number: int, name: str) -> tuple[Path, list[Path], list[str]]:
        start = number * self._per_round % (len(self._files) - self._per_round + 1)
        files = self._files[start : start + self._per_round]
        return self._scratch / f"{name}-{number}.db", files, [str(uuid4()) for _ in files]

    @staticmethod
    def _pairs(files: list[Path], uuids: list[str]) -> list[tuple[Certificate, str]]:
        """Return what to register, to be taken off one by one: nobody keeps parsed certificates
        by the thousand, which the garbage collector would go through again and again.
        """
        return list(zip(certificates.load(files), uuids, strict=True))

    def raw(self, number: int) -> Sample:
        path, files, uuids = self._fresh(number, "raw")
        pairs = self._pairs(files, uuids)
        with RawRegistry(path) as registry:
            with timed(len(pairs)) as sample:
                while pairs:
                    registry.register(*pairs.pop())
            assert registry.count() == sample.count
        return sample

    def ledger(self, number: int) -> Sample:
        path, files, uuids = self._fresh(number, "ledger")
        pairs = self._pairs(files, uuids)
        with Ledger(url_of(path)) as ledger:
            with timed(len(pairs)) as sample:
                while pairs:
                    certificate, uuid = pairs.pop()
                    ledger.issue(certificate, uuid=uuid)
            assert ledger.count() == sample.count
        return sample

    def handler(self, number: int) -> Sample:
        path, files, uuids = self._fresh(number, "handler")
        pairs = self._pairs(files, uuids)
        with SyncDBHandler(url_of(path)) as handler, timed(len(pairs)) as sample:
            while pairs:
                assert handler.register_cert_in_db(*pairs.pop())
        return sample

    def rival(self, number: int) -> Sample:
        assert self._rival is not None
        path, files, uuids = self._fresh(number, "rival")
        self._rival.open(path)
        sample = self._rival.measure("register", files=[str(file) for file in files], uuids=uuids)
        self._rival.close()
        return sample


def run(setting: Setting) -> Result:
    with setting.scratch() as scratch:
        rounds = _Rounds(setting, scratch)
        contenders: dict[str, Contender] = {
            RAW: rounds.raw,
            LEDGER: rounds.ledger,
            HANDLER: rounds.handler,
        }
        if setting.rival is not None:
            contenders[RIVAL] = rounds.rival
        samples = interleave(contenders, setting.rounds)
    result = Result(
        "register",
        f"{setting.sizes.one_by_one:,} certificates registered one by one in a new database, a "
        "commit each; parsed before",
        samples,
    )
    result.ratio("Ledger.issue, time / raw sqlite3", LEDGER, RAW, at_most(1.7))
    result.ratio("SyncDBHandler, time / raw sqlite3", HANDLER, RAW, at_most(1.7))
    result.ratio("tiny_ca, time / SyncDBHandler", RIVAL, HANDLER, at_least(2.5))
    result.ratio("tiny_ca, time / Ledger.issue", RIVAL, LEDGER, at_least(2.5))
    return result
