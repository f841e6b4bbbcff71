"""Evidence from a registry that has grown: proofs, checkpoints, and tiles for a mirror."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from benchmarks import certificates
from benchmarks.registries import large_registry, url_of
from benchmarks.results import Result, at_most
from benchmarks.rounds import Sample, interleave, timed
from benchmarks.setting import Setting
from certledger import Ledger, acting_as
from certledger.eventstore.proving import EntryProof, prove_entry
from certledger.eventstore.signing import sign_checkpoint
from certledger.eventstore.tlog.checkpoint import TrustedLog
from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.eventstore.tlog.tlog_proof import TlogProof
from certledger.exporters.tiles import export_tiles

PROOFS = 100
SIGNATURES = 5
EXPORT = "tile export, one entry new"
CHECKPOINT = "checkpoint, one entry new"


class _Signed:
    """A registry that signs its log, and a folder with its tiles."""

    def __init__(self, file: Path, scratch: Path, spare: list[Path]) -> None:
        self.ledger = Ledger(url_of(file), create=False)
        self._key = SigningKey.generate(self.ledger.head().origin, KeyKind.ED25519)
        self._state = scratch / f"{file.name}.state"
        self._tiles = scratch / f"{file.name}.tiles"
        self._spare = spare
        self.trust = TrustedLog(self._key.verifier_key.name, [self._key.verifier_key])
        self._sign()
        size = self.ledger.head().size
        self._seqs = random.Random(1).sample(range(size), min(size, PROOFS))
        self._proofs = [self._prove(seq) for seq in self._seqs]

    def _sign(self) -> None:
        sign_checkpoint(self.ledger.database, self._key, self._state, self.ledger.now)

    def _grow(self) -> None:
        with acting_as("benchmark"):
            self.ledger.issue(self._spare.pop().read_bytes())

    def _prove(self, seq: int) -> EntryProof:
        return self.ledger.database.read(lambda connection: prove_entry(connection, seq))

    def make(self, _number: int) -> Sample:
        with timed(len(self._seqs)) as sample:
            for seq in self._seqs:
                assert self._prove(seq).proof.index == seq
        return sample

    def check(self, _number: int) -> Sample:
        files = [(proof.proof.to_bytes(), proof.entry) for proof in self._proofs]
        with timed(len(files)) as sample:
            for data, entry in files:
                TlogProof.from_bytes(data).verify(entry, self.trust)
        return sample

    def sign(self, _number: int) -> Sample:
        samples = []
        for _ in range(SIGNATURES):
            self._grow()
            with timed(1) as sample:
                self._sign()
            samples.append(sample)
        return Sample(
            SIGNATURES, sum(each.wall for each in samples), sum(each.cpu for each in samples)
        )

    def export(self, _number: int) -> Sample:
        export_tiles(self.ledger.database, self._tiles)
        self._grow()
        self._sign()
        with timed(1) as sample:
            assert export_tiles(self.ledger.database, self._tiles).files
        return sample


def run(setting: Setting) -> Result:
    sizes = (setting.sizes.logs[0], setting.sizes.logs[-1])
    files = certificates.pem_files(setting.folder, setting.sizes.files)
    with setting.scratch() as scratch:
        signed = []
        for at, size in enumerate(sizes):
            file = scratch / f"{size}.db"
            shutil.copyfile(large_registry(setting, size), file)
            signed.append(_Signed(file, scratch, files[at :: len(sizes)]))
        small, large = signed
        contenders = {
            _made(sizes[0]): small.make,
            _made(sizes[1]): large.make,
            _checked(sizes[0]): small.check,
            _checked(sizes[1]): large.check,
            CHECKPOINT: large.sign,
            EXPORT: large.export,
        }
        samples = interleave(contenders, setting.rounds)
        for each in signed:
            each.ledger.close()
    result = Result(
        "evidence",
        f"in logs of {sizes[0]:,} and {sizes[1]:,} entries: inclusion proofs of {PROOFS} entries "
        "made from the database and checked as files; a checkpoint signed and stored; tiles "
        "exported after one entry more",
        samples,
    )
    for size in sizes:
        result.time_of_one(f"proof made, {size:,} entries", _made(size), 1e3, "ms", at_most(1))
        result.time_of_one(
            f"proof checked, {size:,} entries", _checked(size), 1e3, "ms", at_most(0.3)
        )
    result.time_of_one("checkpoint", CHECKPOINT, 1e3, "ms", at_most(5))
    result.time_of_one("incremental tile export", EXPORT, 1e3, "ms", at_most(50))
    return result


def _made(size: int) -> str:
    return f"proofs made, {size:,} entries"


def _checked(size: int) -> str:
    return f"proofs checked, {size:,} entries"
