"""The commands for evidence: prove, evidence, check."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from certledger import Ledger, acting_as
from certledger.cli.check import check
from certledger.cli.evidence import evidence
from certledger.cli.main import cli
from certledger.cli.prove import prove
from certledger.exporters.stored_zip import LARGEST, pack, unpack
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support import raw
from tests.support.cli import Commands
from tests.support.evidence import KEY, PublishedLog
from tests.support.evidence import ORIGIN as OTHER_ORIGIN
from tests.support.evidence_texts import signed_proofs
from tests.support.given import event, issued
from tests.support.log import ORIGIN
from tests.support.signed import (
    LOG_KEY,
    OTHER_KEY,
    VKEY,
    WITNESS_KEY,
    cosigned,
    sign_log,
    stored_note,
)

EVIL = "because\nwho           mallory\x1b[2J"


@pytest.fixture
def commands(run: Commands, monkeypatch: pytest.MonkeyPatch) -> Commands:
    for command in (prove, evidence, check):
        monkeypatch.setitem(cli.commands, str(command.name), command)
    return run


@pytest.fixture
def signed(commands: Commands, clock: FakeClock, tmp_path: Path) -> Commands:
    """A registry of three entries with a checkpoint: 7 issued, 8 issued, 7 revoked."""
    with Ledger(commands.url, clock=clock, origin=ORIGIN) as ledger:
        with acting_as("alice"):
            ledger.issue(make_certificate("web.example.org", serial=7))
            ledger.issue(make_certificate(serial=8))
        with acting_as("bob", comment=EVIL):
            ledger.revoke(7, "keyCompromise")
        sign_log(ledger.database, tmp_path, clock)
    return commands


def grow(commands: Commands, clock: FakeClock, folder: Path, *, sign: bool = True) -> None:
    """Append an entry for serial 8."""
    with Ledger(commands.url, clock=clock) as ledger:
        ledger.revoke(8)
        if sign:
            sign_log(ledger.database, folder, clock)


def note_of(commands: Commands) -> bytes:
    with Ledger(commands.url) as ledger:
        return stored_note(ledger.database)


@pytest.fixture
def proof(signed: Commands, tmp_path: Path) -> Path:
    """The proof of the last event of serial 7."""
    path = tmp_path / "seven.tlog-proof"
    signed("prove", 7, "-o", path)
    return path


@pytest.fixture
def archive(signed: Commands, tmp_path: Path) -> Path:
    path = tmp_path / "seven.zip"
    signed("evidence", 7, "-o", path)
    return path


# prove


def test_prove_writes_the_proof_and_beside_it_the_entry(signed: Commands, tmp_path: Path) -> None:
    path = tmp_path / "a.b.tlog-proof"
    result = signed("prove", 7, "-o", path)
    assert result.stdout == ""
    assert f"{path} proves that entry 2 is among the first 3 entries" in result.stderr
    assert path.read_bytes().startswith(b"c2sp.org/tlog-proof@v1\nindex 2\n")
    (row,) = raw.rows(signed.file, "SELECT entry FROM log_entry WHERE seq = 2")
    assert (tmp_path / "a.b.leaf").read_bytes() == row["entry"]


def test_a_name_of_another_kind_keeps_its_ending(signed: Commands, tmp_path: Path) -> None:
    path = tmp_path / "proof.txt"
    signed("prove", "--seq", 0, "-o", path)
    assert (tmp_path / "proof.txt.leaf").exists()
    assert "entry 0" in signed("check", path, "--vkey", VKEY).stdout


def test_every_entry_can_be_proved_by_its_place(signed: Commands, tmp_path: Path) -> None:
    for seq in range(3):
        path = tmp_path / f"{seq}.tlog-proof"
        signed("prove", "--seq", seq, "-o", path)
        assert f"entry {seq} of the log" in signed("check", path, "--vkey", VKEY).stdout


def test_what_is_to_be_proved_is_said_once(signed: Commands, tmp_path: Path) -> None:
    path = tmp_path / "x.tlog-proof"
    for arguments in ((), (7, "--seq", 1), ("--seq", 1, "--consistency", 1, 3)):
        assert "name one of" in signed.fails("prove", *arguments, "-o", path, code=2)
    assert "-o FILE is needed" in signed.fails("prove", 7, code=2)
    assert "-o FILE is needed" in signed.fails("prove", 7, "-o", "-", code=2)
    assert not path.exists()


def test_prove_and_evidence_say_to_sign_a_checkpoint_first(
    commands: Commands, clock: FakeClock, tmp_path: Path
) -> None:
    with Ledger(commands.url, clock=clock, origin=ORIGIN) as ledger:
        ledger.issue(make_certificate(serial=8))
    for arguments in (("prove", 8), ("prove", "--seq", 0), ("evidence", 8)):
        error = commands.fails(*arguments, "-o", tmp_path / "x")
        assert "sign one first, with `certledger checkpoint`" in error
    with Ledger(commands.url, clock=clock) as ledger:
        sign_log(ledger.database, tmp_path, clock)
    grow(commands, clock, tmp_path, sign=False)
    for arguments in (("prove", 8), ("prove", "--seq", 1), ("evidence", 8)):
        error = commands.fails(*arguments, "-o", tmp_path / "x")
        assert "entry 1 is newer than the last checkpoint" in error
    assert not (tmp_path / "x").exists()


def test_what_is_not_there_is_not_proved(signed: Commands, tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert "serial 9 (0x9) is not in the registry" in signed.fails("prove", 9, "-o", path)
    assert "serial -9 (-0x9)" in signed.fails("prove", "-9", "-o", path)
    assert "serial 9 (0x9) is not in the registry" in signed.fails("evidence", 9, "-o", path)
    assert "no entry 3" in signed.fails("prove", "--seq", 3, "-o", path, code=2)
    signed.fails("prove", "--seq", -1, "-o", path, code=2)
    signed.fails("prove", "--seq", 2**63, "-o", path, code=2)
    assert list(tmp_path.glob("x*")) == []


def test_prove_makes_no_registry(commands: Commands, tmp_path: Path) -> None:
    commands.fails("prove", 7, "-o", tmp_path / "x")
    commands.fails("evidence", 7, "-o", tmp_path / "x")
    assert not commands.file.exists()


def test_nothing_is_proved_of_a_log_that_was_edited(signed: Commands, tmp_path: Path) -> None:
    raw.edit(signed.file, "UPDATE log_entry SET entry = x'7b7d' WHERE seq = 2")
    for command in ("prove", "evidence"):
        error = signed.fails(command, 7, "-o", tmp_path / "x")
        assert "entry 2: its bytes are not those that were hashed" in error
        assert "certledger verify" in error
    assert list(tmp_path.glob("x*")) == []


def test_consistency_is_proved_to_a_file_or_stdout(
    signed: Commands, clock: FakeClock, tmp_path: Path
) -> None:
    grow(signed, clock, tmp_path)
    path = tmp_path / "grown"
    result = signed("prove", "--consistency", 3, 4, "-o", path)
    assert "the log of 4 entries begins with that of 3" in result.stderr
    assert path.read_bytes().startswith(b"old 3\n")
    assert signed("prove", "--consistency", 3, 4).stdout_bytes == path.read_bytes()
    assert "no checkpoint of size 2 is stored" in signed.fails("prove", "--consistency", 2, 4)
    assert "0 < old <= new" in signed.fails("prove", "--consistency", 4, 3, code=2)


# check: a proof


def test_check_says_what_a_proof_proves(signed: Commands, proof: Path) -> None:
    lines = signed("check", proof, "--vkey", VKEY).stdout.splitlines()
    assert lines[0] == f"proved: these bytes are entry 2 of the log {ORIGIN}"
    told = {line[:14].strip(): line[14:] for line in reversed(lines[1:])}
    assert told["about"] == "certificate/7"
    assert told["what"].startswith("revoked: keyCompromise")
    assert told["who"] == "bob (user), as the registry asserts"
    assert told["when"].endswith("Z, by the registry's clock")
    assert told["why"] == "because"
    assert told["log"] == "3 entries"
    assert told["signed by"] == f"{ORIGIN}+{LOG_KEY.verifier_key.id}"
    assert "asserted" in told["not shown"]
    assert [line for line in lines if line.startswith("who")] == [f"who           {told['who']}"]
    assert "              | who           mallory\\x1b[2J" in lines


def test_check_needs_no_registry(signed: Commands, proof: Path) -> None:
    signed.file.unlink()
    signed("check", proof, "--vkey", VKEY)
    assert not signed.file.exists()


def test_the_key_may_lie_in_a_file(signed: Commands, proof: Path, tmp_path: Path) -> None:
    for text in (VKEY, f"{VKEY}\n"):
        (tmp_path / "vkey").write_text(text)
        signed("check", proof, "--vkey", tmp_path / "vkey")


def test_the_entry_may_lie_elsewhere(signed: Commands, proof: Path, tmp_path: Path) -> None:
    leaf = proof.with_name("seven.leaf").rename(tmp_path / "elsewhere")
    signed("check", proof, "--vkey", VKEY, "--entry", leaf)
    error = signed.fails("check", proof, "--vkey", VKEY, code=2)
    assert "name the file with the entry's exact bytes with --entry" in error


def test_a_proof_of_another_entry_or_key_or_log_is_refused(
    signed: Commands, proof: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.tlog-proof"
    signed("prove", "--seq", 1, "-o", other)
    leaf = other.with_name("other.leaf")
    error = signed.fails("check", proof, "--vkey", VKEY, "--entry", leaf)
    assert error.startswith(f"{proof} does not hold: leaf 2 with its inclusion proof leads to")
    other_key = OTHER_KEY.verifier_key.to_text()
    assert "no known key signed this" in signed.fails("check", proof, "--vkey", other_key)
    error = signed.fails("check", proof, "--vkey", VKEY, "--origin", "other.example")
    assert "not of 'other.example'" in error


def test_a_damaged_proof_or_entry_is_refused(signed: Commands, proof: Path) -> None:
    for path in (proof, proof.with_name("seven.leaf")):
        before = path.read_bytes()
        for changed in (before + b"\n", before[:-2], before.replace(b"2", b"1")):
            path.write_bytes(changed)
            assert "does not hold" in signed.fails("check", proof, "--vkey", VKEY)
        path.write_bytes(before)
    signed("check", proof, "--vkey", VKEY)


def test_a_proof_of_a_log_that_is_not_certledger_s_can_be_checked(
    commands: Commands, tmp_path: Path
) -> None:
    log = PublishedLog(5)
    (tmp_path / "p.tlog-proof").write_bytes(log.proof(3).to_bytes())
    (tmp_path / "p.leaf").write_bytes(log.entries[3])
    vkey = KEY.verifier_key.to_text()
    shown = commands("check", tmp_path / "p.tlog-proof", "--vkey", vkey).stdout
    assert f"entry 3 of the log {OTHER_ORIGIN}" in shown
    assert "that are no event of certledger" in shown


def test_an_entry_that_says_to_stand_elsewhere_is_refused(
    commands: Commands, tmp_path: Path
) -> None:
    """A log may hold any bytes, but certledger numbers and names its own."""
    path = tmp_path / "p.tlog-proof"
    one = event(issued(), seq=7)
    for seq, entry in (
        (8, one.to_entry()),
        (7, one.model_copy(update={"source": "other.example"}).to_entry()),
    ):
        _, (made,) = signed_proofs({seq: entry})
        path.write_bytes(made.proof.to_bytes())
        path.with_name("p.leaf").write_bytes(entry)
        error = commands.fails("check", path, "--vkey", VKEY)
        assert f"holds this at {seq}, but it says of itself that it is entry 7 of" in error


# check: whom to trust


def test_whom_to_trust_must_be_said_once(signed: Commands, proof: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.write_text(f"log {VKEY}\nquorum none\n")
    assert "say whom to trust" in signed.fails("check", proof, code=2)
    both = ("--vkey", VKEY, "--policy", policy)
    assert "say whom to trust" in signed.fails("check", proof, *both, code=2)


@pytest.mark.parametrize("key", ["", "nonsense", VKEY[:-1], WITNESS_KEY.verifier_key.to_text()])
def test_a_bad_key_is_wrong_usage(signed: Commands, proof: Path, key: str) -> None:
    assert "'--vkey'" in signed.fails("check", proof, "--vkey", key, code=2)


def test_a_private_key_given_by_mistake_is_not_repeated(
    signed: Commands, proof: Path, tmp_path: Path
) -> None:
    secret = LOG_KEY.to_text()
    (tmp_path / "key").write_text(secret)
    for given in (secret, tmp_path / "key"):
        error = signed.fails("check", proof, "--vkey", given, code=2)
        assert secret.rpartition("+")[2] not in error


def test_a_policy_may_want_a_witness(signed: Commands, tmp_path: Path) -> None:
    policy, checkpoint = tmp_path / "policy", tmp_path / "checkpoint"
    witness = WITNESS_KEY.verifier_key.to_text()
    policy.write_text(f"log {VKEY}\nwitness w {witness}\nquorum w\n")
    checkpoint.write_bytes(note_of(signed))
    error = signed.fails("check", checkpoint, "--policy", policy)
    assert "the quorum w is not met" in error
    checkpoint.write_bytes(cosigned(note_of(signed)))
    shown = signed("check", checkpoint, "--policy", policy).stdout
    assert "cosigned by   witness.example+" in shown
    assert "at 2027-01-15 08:00:00Z" in shown
    checkpoint.write_bytes(cosigned(note_of(signed), at=2**63 - 1))
    shown = signed("check", checkpoint, "--policy", policy).stdout
    assert f", {2**63 - 1} seconds after 1970" in shown
    error = signed.fails("check", checkpoint, "--policy", policy, "--origin", "other.example")
    assert "not of 'other.example'" in error
    signed("check", checkpoint, "--policy", policy, "--origin", ORIGIN)
    policy.write_text("quorum\n")
    error = signed.fails("check", checkpoint, "--policy", policy, code=2)
    assert "'--policy'" in error
    assert "line 1 of the policy" in error


# check: a checkpoint, and that a log grew


def test_check_says_what_a_checkpoint_commits_to(signed: Commands, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(note_of(signed))
    shown = signed("check", path, "--vkey", VKEY).stdout
    assert shown.startswith(
        f"proved: whoever holds the key signed that the log {ORIGIN} has 3 entries\n"
    )
    assert f"root          {path.read_text().splitlines()[2]}\n" in shown
    path.write_bytes(path.read_bytes().replace(b"\n3\n", b"\n4\n"))
    assert "does not verify" in signed.fails("check", path, "--vkey", VKEY)


def test_what_is_no_evidence_is_refused(signed: Commands, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"", b"hello\n", b"PK\x03\x04", b"old 3\n", b"c2sp.org/tlog-proof@v2\n", b"\xff"):
        path.write_bytes(data)
        (tmp_path / "file.leaf").write_bytes(b"")
        options = ("--since", path) if data.startswith(b"old") else ()
        assert "does not hold" in signed.fails("check", path, "--vkey", VKEY, *options)
    with path.open("wb") as stream:
        stream.truncate(LARGEST + 1)
    assert "larger than any evidence" in signed.fails("check", path, "--vkey", VKEY)
    path.unlink()
    signed.fails("check", path, "--vkey", VKEY, code=2)


def test_check_says_that_a_log_only_grew(
    signed: Commands, clock: FakeClock, tmp_path: Path
) -> None:
    old, grown = tmp_path / "old", tmp_path / "grown"
    old.write_bytes(note_of(signed))
    grow(signed, clock, tmp_path)
    signed("prove", "--consistency", 3, 4, "-o", grown)
    shown = signed("check", grown, "--since", old, "--vkey", VKEY).stdout
    assert "of 4 entries begins with all that the checkpoint of 3 covers" in shown
    error = signed.fails("check", grown, "--since", grown, "--vkey", VKEY)
    assert f"the older checkpoint in {grown}: " in error
    (tmp_path / "new").write_bytes(note_of(signed))
    error = signed.fails("check", grown, "--since", tmp_path / "new", "--vkey", VKEY)
    assert "does not hold" in error
    grown.write_bytes(grown.read_bytes().replace(b"old 3", b"old 2"))
    assert "from 2 entries" in signed.fails("check", grown, "--since", old, "--vkey", VKEY)


def test_an_option_that_does_not_fit_the_file_is_wrong_usage(
    signed: Commands, proof: Path, archive: Path, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_bytes(note_of(signed))
    grown = tmp_path / "grown"
    signed("prove", "--consistency", 3, 3, "-o", grown)
    for path in (archive, checkpoint, grown):
        options = ("--vkey", VKEY, "--entry", checkpoint)
        assert "--entry goes with" in signed.fails("check", path, *options, code=2)
    for path in (proof, archive, checkpoint):
        options = ("--vkey", VKEY, "--since", checkpoint)
        assert "--since" in signed.fails("check", path, *options, code=2)
    assert "--since" in signed.fails("check", grown, "--vkey", VKEY, code=2)


# evidence


def test_evidence_is_written_and_checked(signed: Commands, archive: Path) -> None:
    signed.file.unlink()
    result = signed("check", archive, "--vkey", VKEY)
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == f"proved: the log {ORIGIN} holds these 2 events of certificate 7 (0x7)"
    assert "alice: registered device web.example.org" in lines[1]
    assert lines[1].startswith("entry 0 ")
    assert "bob: revoked: keyCompromise" in lines[2]
    assert "not shown" in lines[-1]


def test_evidence_says_what_it_wrote_and_goes_to_stdout_too(
    signed: Commands, archive: Path, tmp_path: Path
) -> None:
    result = signed("evidence", "0x7", "-o", "-")
    assert result.stdout_bytes == archive.read_bytes()
    assert "the archive holds what the log has on 7 (0x7)" in result.stderr


def test_an_archive_that_was_changed_is_refused(signed: Commands, archive: Path) -> None:
    before = archive.read_bytes()
    members = unpack(before)
    for changed in (
        before[:-1],
        before + b"\0",
        pack(members | {"summary.txt": b"revoked by mallory\n"}),
        pack({"x": b""} | members),
    ):
        archive.write_bytes(changed)
        assert "does not hold" in signed.fails("check", archive, "--vkey", VKEY)


def test_texts_of_another_version_are_warned_of(signed: Commands, archive: Path) -> None:
    members = unpack(archive.read_bytes())
    archive.write_bytes(pack(members | {"README.txt": b"other\n", "summary.txt": b"lies\n"}))
    result = signed("check", archive, "--vkey", VKEY)
    assert "warning: README.txt and the summaries in it" in result.stderr
    assert "rely on the entries" in result.stderr


def test_a_file_is_replaced_and_keeps_its_mode(signed: Commands, archive: Path) -> None:
    before = archive.read_bytes()
    archive.chmod(0o640)
    signed("evidence", 8, "-o", archive)
    assert archive.read_bytes() != before
    assert archive.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in archive.parent.glob(".*")] == []


SCRIPT = """
from certledger.cli.check import check
from certledger.cli.main import cli
cli.add_command(check)
cli(prog_name="certledger")
"""


@pytest.mark.skipif(shutil.which("unzip") is None, reason="there is no unzip on the path")
def test_what_unzip_makes_of_an_archive_can_be_checked_file_by_file(
    signed: Commands, archive: Path, tmp_path: Path
) -> None:
    subprocess.run(["unzip", "-q", archive, "-d", tmp_path / "out"], check=True)
    signed.file.unlink()
    for name in ("checkpoint", "events/0.tlog-proof", "events/2.tlog-proof"):
        command = [sys.executable, "-c", SCRIPT, "check", name, "--vkey", "log-key.vkey"]
        run = subprocess.run(
            command, cwd=tmp_path / "out", capture_output=True, text=True, check=True
        )
        assert run.stdout.startswith("proved: ")
    assert list(tmp_path.glob("**/*.db")) == []
