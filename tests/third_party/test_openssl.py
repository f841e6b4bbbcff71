"""openssl, sha256sum and a shell check an evidence archive by the commands of its README."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from certledger import Ledger
from certledger.eventstore.merkle import leaf_hash
from tests.support.openssl import needs_openssl
from tests.support.populated import Populated

Unpacked = Callable[[int], Path]

NEEDED = ("openssl", "sha256sum", "base64", "cmp", "cut", "sed", "tail", "sh")
MISSING = [name for name in NEEDED if shutil.which(name) is None]

needs_the_tools = pytest.mark.skipif(bool(MISSING), reason=f"not on the path: {MISSING}")


def verify_note(folder: Path) -> bool:
    """Whether openssl accepts the signature of the checkpoint."""
    run = subprocess.run(
        [
            "openssl",
            "pkeyutl",
            "-verify",
            "-rawin",
            "-pubin",
            "-inkey",
            "log-key.pem",
            "-in",
            "checkpoint.signed",
            "-sigfile",
            "checkpoint.signature",
        ],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return run.returncode == 0 and b"Signature Verified Successfully" in run.stdout


def change(path: Path, at: int = -1) -> None:
    """Change one bit of a file's byte."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


@needs_openssl
@pytest.mark.parametrize("name", ["checkpoint.signed", "checkpoint.signature"])
def test_openssl_accepts_the_signature_and_refuses_a_changed_one(
    unpacked: Unpacked, registry: tuple[Ledger, Populated], name: str
) -> None:
    folder = unpacked(registry[1].revoked)
    assert verify_note(folder)
    change(folder / name, 5)
    assert not verify_note(folder)


def commands_of(folder: Path) -> str:
    """The commands of the README, taken out as it says."""
    readme = (folder / "README.txt").read_text(encoding="ascii")
    told = re.search(r"they are what `(sed .*?)` prints, for `sh -e`", readme)
    assert told
    run = subprocess.run(["sh", "-c", told[1]], cwd=folder, capture_output=True, check=True)
    return run.stdout.decode("ascii")


def run_readme(folder: Path) -> tuple[int, list[str]]:
    """Run the commands; return the exit code and what they print."""
    run = subprocess.run(
        ["sh", "-e"],
        input=commands_of(folder).encode("ascii"),
        cwd=folder,
        capture_output=True,
        check=False,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"},
    )
    return run.returncode, run.stdout.decode().splitlines()


@needs_the_tools
def test_the_commands_of_the_readme_check_the_whole_archive(
    unpacked: Unpacked, registry: tuple[Ledger, Populated]
) -> None:
    ledger, known = registry
    for serial in (known.valid[0], known.revoked, known.withdrawn, known.again, 7):
        folder = unpacked(serial)
        code, lines = run_readme(folder)
        assert code == 0, lines
        events = ledger.history(serial)
        # The key twice, the key line, openssl's verdict.
        assert lines[0] == lines[1]
        assert lines[2] == (folder / "log-key.vkey").read_text().rstrip("\n")
        assert lines[3] == "Signature Verified Successfully"
        hashes = [leaf_hash(event.to_entry()).hex() for event in events]
        assert [line.split()[0] for line in lines[4 : 4 + len(hashes)]] == hashes
        root = (folder / "checkpoint").read_text().splitlines()[2]
        assert lines[4 + len(hashes)] == root
        readme = (folder / "README.txt").read_text()
        assert f"This is the root in the checkpoint: {root}" in readme
        assert all(f"  {found}\n" in readme for found in hashes)
        found = [line for line in lines if line.endswith(": in the log")]
        assert sorted(found) == sorted(f"events/{event.seq}.leaf: in the log" for event in events)


@needs_the_tools
def test_the_certificate_is_the_one_whose_digest_its_entry_states(
    unpacked: Unpacked, registry: tuple[Ledger, Populated]
) -> None:
    _, known = registry
    folder = unpacked(known.again)
    *_, one, again_one, two, again_two = run_readme(folder)[1]
    assert one == again_one != two == again_two
    change(folder / "certificate.pem", 100)
    *_, one, again_one, two, again_two = run_readme(folder)[1]
    assert (one == again_one) != (two == again_two)


@needs_the_tools
@pytest.mark.parametrize(
    "name",
    [
        "checkpoint",
        "checkpoint.signed",
        "checkpoint.signature",
        "events/FIRST.leaf",
        "events/FIRST.tlog-proof",
        "events/SECOND.leaf",
        "events/SECOND.tlog-proof",
    ],
)
def test_the_commands_fail_where_a_file_was_changed(
    unpacked: Unpacked, registry: tuple[Ledger, Populated], name: str
) -> None:
    ledger, known = registry
    first, second = (event.seq for event in ledger.history(known.revoked))
    name = name.replace("FIRST", str(first)).replace("SECOND", str(second))
    folder = unpacked(known.revoked)
    change(folder / name, 30)
    code, lines = run_readme(folder)
    assert code != 0, lines


@needs_the_tools
def test_the_commands_find_a_proof_under_another_number(
    unpacked: Unpacked, registry: tuple[Ledger, Populated]
) -> None:
    ledger, known = registry
    first, second = (event.seq for event in ledger.history(known.revoked))
    folder = unpacked(known.revoked) / "events"
    for suffix in ("leaf", "tlog-proof"):
        (folder / f"{first}.{suffix}").rename(folder / f"{second + 1}.{suffix}")
    code, lines = run_readme(folder.parent)
    assert code != 0, lines
