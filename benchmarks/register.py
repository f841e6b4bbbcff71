"""Registering one by one: a commit, and so a wait for the disk, for each certificate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self
from uuid import uuid4

from cryptography.x509 import Certificate
from sqlalchemy.engine import make_url

from benchmarks import certificates
from benchmarks.places import Place, files_in
from benchmarks.raw import RawRegistry
from benchmarks.results import Result, at_least, at_most
from benchmarks.rival import Rival
from benchmarks.rounds import Contender, Sample, interleave, timed
from benchmarks.setting import Setting
from certledger import Ledger, SyncDBHandler

RAW = "raw sqlite3"
LEDGER = "Ledger.issue"
HANDLER = "SyncDBHandler"
RIVAL = "tiny_ca"


class Raw(Protocol):
    """A registry of two inserts."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def register(self, certificate: Certificate, uuid: str | None) -> None: ...
    def count(self) -> int: ...


class Rounds:
    """The contenders, each with a new place for each round and the same certificates."""

    def __init__(
        self, setting: Setting, place: Place, raw: Callable[[str], Raw], rival: Rival | None
    ) -> None:
        self._per_round = setting.sizes.one_by_one
        self._files = certificates.pem_files(setting.folder, setting.sizes.files)
        self._place = place
        self._raw = raw
        self._rival = rival

    def contenders(self, raw: str) -> dict[str, Contender]:
        """Return them by name; `raw` is the name of the reference."""
        found: dict[str, Contender] = {raw: self.raw, LEDGER: self.ledger, HANDLER: self.handler}
        return found if self._rival is None else {**found, RIVAL: self.rival}

    def _some_files(self, number: int) -> list[Path]:
        start = number * self._per_round % (len(self._files) - self._per_round + 1)
        return self._files[start : start + self._per_round]

    def _pairs(self, number: int) -> list[tuple[Certificate, str]]:
        """Return what to register, to be taken off one by one: nobody keeps parsed certificates
        by the thousand, which the garbage collector would go through again and again.
        """
        loaded = certificates.load(self._some_files(number))
        return [(certificate, str(uuid4())) for certificate in loaded]

    def raw(self, number: int) -> Sample:
        pairs = self._pairs(number)
        with self._place() as url, self._raw(url) as registry:
            with timed(len(pairs)) as sample:
                while pairs:
                    registry.register(*pairs.pop())
            assert registry.count() == sample.count
        return sample

    def ledger(self, number: int) -> Sample:
        pairs = self._pairs(number)
        with self._place() as url, Ledger(url) as ledger:
            with timed(len(pairs)) as sample:
                while pairs:
                    certificate, uuid = pairs.pop()
                    ledger.issue(certificate, uuid=uuid)
            assert ledger.count() == sample.count
        return sample

    def handler(self, number: int) -> Sample:
        pairs = self._pairs(number)
        with self._place() as url, SyncDBHandler(url) as handler, timed(len(pairs)) as sample:
            while pairs:
                assert handler.register_cert_in_db(*pairs.pop())
        return sample

    def rival(self, number: int) -> Sample:
        assert self._rival is not None
        files = self._some_files(number)
        with self._place() as url:
            self._rival.open(url)
            sample = self._rival.measure(
                "register",
                files=[str(file) for file in files],
                uuids=[str(uuid4()) for _ in files],
            )
            self._rival.close()
        return sample


def run(setting: Setting) -> Result:
    with setting.scratch() as scratch:
        rounds = Rounds(setting, files_in(scratch), _raw_sqlite, setting.rival)
        samples = interleave(rounds.contenders(RAW), setting.rounds)
    result = Result("register", what_is_measured(setting, "database"), samples)
    result.ratio("Ledger.issue, time / raw sqlite3", LEDGER, RAW, at_most(1.7))
    result.ratio("SyncDBHandler, time / raw sqlite3", HANDLER, RAW, at_most(1.7))
    result.ratio("tiny_ca, time / SyncDBHandler", RIVAL, HANDLER, at_least(2.5))
    result.ratio("tiny_ca, time / Ledger.issue", RIVAL, LEDGER, at_least(2.5))
    return result


def what_is_measured(setting: Setting, place: str) -> str:
    """Say what a round is."""
    return (
        f"{setting.sizes.one_by_one:,} certificates registered one by one in a new {place}, a "
        "commit each; parsed before"
    )


def _raw_sqlite(url: str) -> RawRegistry:
    return RawRegistry(Path(str(make_url(url).database)))
