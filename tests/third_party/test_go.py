"""The libraries of Go's checksum database accept what is exported here, and refuse changes to it.

Needs the Debian packages golang-go and golang-golang-x-mod-dev, or others with the same files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from certledger import Ledger
from certledger.eventstore.proving import prove_consistency
from certledger.exporters.tiles import export_tiles
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support.evidence import KEY, PublishedLog
from tests.support.log import fill, make_log
from tests.support.populated import Populated
from tests.support.signed import VKEY, sign_log, stored_note

GOPATH = Path("/usr/share/gocode")
SUMDB = GOPATH / "src" / "golang.org" / "x" / "mod" / "sumdb"
SOURCE = Path(__file__).with_name("verify.go")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("go") is None, reason="there is no go on the path"),
    pytest.mark.skipif(not SUMDB.is_dir(), reason=f"there is no golang.org/x/mod in {GOPATH}"),
]

Verify = Callable[..., str]


@pytest.fixture(scope="module")
def verify(tmp_path_factory: pytest.TempPathFactory) -> Verify:
    """Runs the program; gives the line that it prints, "" where it refuses."""
    folder = tmp_path_factory.mktemp("go")
    program = folder / "verify"
    settings = {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOFLAGS": "", "GOPROXY": "off"}
    subprocess.run(
        ["go", "build", "-o", str(program), str(SOURCE)],
        env={**os.environ, **settings, "GOCACHE": str(folder / "cache")},
        check=True,
    )

    def run(*arguments: object) -> str:
        command = [str(program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr[:8]) in {(0, ""), (1, "refused:")}, done.stderr
        return done.stdout

    return run


def change(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_it_accepts_every_proof_of_an_archive_and_refuses_changed_ones(
    verify: Verify,
    unpacked: Callable[[int], Path],
    registry: tuple[Ledger, Populated],
) -> None:
    ledger, known = registry
    folder = unpacked(known.again) / "events"
    for event in ledger.history(known.again):
        files = (folder / f"{event.seq}.tlog-proof", folder / f"{event.seq}.leaf")
        assert verify("proof", VKEY, *files) == f"ok: entry {event.seq} of 20\n"
        for file in files:
            before = file.read_bytes()
            for at in range(30, len(before), 60):
                change(file, at)
                assert verify("proof", VKEY, *files) == "", (file, at)
                file.write_bytes(before)


def test_it_accepts_a_consistency_proof_and_refuses_a_changed_one(
    verify: Verify, registry: tuple[Ledger, Populated], tmp_path: Path, clock: FakeClock
) -> None:
    ledger, _ = registry
    old, proof = tmp_path / "old", tmp_path / "proof"
    old.write_bytes(stored_note(ledger.database))
    for serial in range(50, 57):
        ledger.issue(make_certificate(serial=serial))
    sign_log(ledger.database, tmp_path, clock)
    made = ledger.database.read(lambda c: prove_consistency(c, 20, 27))
    proof.write_bytes(made.to_bytes())
    assert verify("consistency", VKEY, old, proof) == "ok: 27 begins with 20\n"
    change(proof, 20)
    assert verify("consistency", VKEY, old, proof) == ""


def test_it_accepts_an_export_of_a_registry_as_it_grows(
    verify: Verify, url: str, tmp_path: Path, clock: FakeClock
) -> None:
    database, folder = make_log(url, clock), tmp_path / "tiles"
    size = 0
    for grown in (1, 255, 256, 257, 600):
        fill(database, clock, grown - size, first=size)
        size = grown
        sign_log(database, tmp_path, clock)
        export_tiles(database, folder)
        assert verify("tiles", VKEY, folder) == f"ok: {size} entries\n"
    change(folder / "tile" / "entries" / "001", 1_000)
    assert verify("tiles", VKEY, folder) == ""
    database.close()


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700, 66_000])
def test_it_accepts_tiles_and_refuses_changed_ones(
    verify: Verify, tmp_path: Path, size: int
) -> None:
    log = PublishedLog(size)
    for name, content in {**log.files, "checkpoint": log.signed()}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    vkey = KEY.verifier_key.to_text()
    assert verify("tiles", vkey, tmp_path) == f"ok: {size} entries\n"
    for name in (max(log.files), min(log.files), "checkpoint"):
        before = (tmp_path / name).read_bytes()
        change(tmp_path / name, len(before) // 2)
        assert verify("tiles", vkey, tmp_path) == "", name
        (tmp_path / name).write_bytes(before)
