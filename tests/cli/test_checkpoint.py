"""The command that signs checkpoints of the log."""

from __future__ import annotations

import re
import shutil
import stat
from pathlib import Path

import pytest

from certledger.cli.keys import PASSPHRASE_VARIABLE, read_key
from certledger.eventstore.tlog.checkpoint import OpenedCheckpoint, TrustedLog
from certledger.eventstore.tlog.keys import VerifierKey
from certledger.testing.certificates import make_certificate
from tests.support import raw
from tests.support.cli import Commands

ORIGIN = "ca.example.org/registry"
PASSPHRASE = "correct horse"


@pytest.fixture
def signer(run: Commands, monkeypatch: pytest.MonkeyPatch, key: Path) -> Commands:
    """A registry with a certificate, and a key of its origin."""
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)
    run("init", "--origin", ORIGIN)
    run.register(make_certificate(serial=1))
    run("key", "new", "--name", ORIGIN, "-o", key)
    return run


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "log.key"


def opened(data: bytes, key: Path) -> OpenedCheckpoint:
    verifier_key = read_key(key).verifier_key
    return TrustedLog(ORIGIN, [verifier_key]).open(data)


def test_a_checkpoint_goes_to_standard_output_and_what_it_says_to_standard_error(
    signer: Commands, key: Path
) -> None:
    result = signer("checkpoint", "--key", key)
    assert opened(result.stdout_bytes, key).checkpoint.size == 1
    root = result.stdout.split("\n")[2]
    assert result.stderr == f"checkpoint of 1 entry signed; root {root}\n"


def test_a_dash_is_standard_output_too(signer: Commands, key: Path) -> None:
    result = signer("checkpoint", "--key", key, "-o", "-")
    assert opened(result.stdout_bytes, key).checkpoint.size == 1


def test_with_o_it_goes_into_a_file_that_others_can_read(
    signer: Commands, key: Path, tmp_path: Path
) -> None:
    target = tmp_path / "checkpoint"
    result = signer("checkpoint", "--key", key, "-o", target)
    assert opened(target.read_bytes(), key).checkpoint.size == 1
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert result.stdout == ""
    assert f"signed, written to {target}" in result.stderr
    signer.register(make_certificate(serial=2))
    signer("checkpoint", "--key", key, "-o", target)
    assert opened(target.read_bytes(), key).checkpoint.size == 2


def test_it_is_stored_in_the_registry_and_marked_beside_the_key(
    signer: Commands, key: Path
) -> None:
    data = signer("checkpoint", "--key", key).stdout_bytes
    signer("checkpoint", "--key", key)
    assert [row["note"] for row in raw.rows(signer.file, "SELECT * FROM log_checkpoint")] == [data]
    assert key.with_name("log.key.state").read_bytes() == data


def test_the_mark_can_lie_elsewhere(signer: Commands, key: Path, tmp_path: Path) -> None:
    data = signer("checkpoint", "--key", key, "--state", tmp_path / "mark").stdout_bytes
    assert (tmp_path / "mark").read_bytes() == data
    assert not key.with_name("log.key.state").exists()


def test_a_restored_backup_is_refused_in_one_line_and_nothing_is_written(
    signer: Commands, key: Path, tmp_path: Path
) -> None:
    backup = shutil.copy(signer.file, tmp_path / "backup.db")
    signer.register(make_certificate(serial=2))
    signer("checkpoint", "--key", key)
    for path in tmp_path.glob(f"{signer.file.name}*"):
        path.unlink()
    shutil.copy(backup, signer.file)
    target = tmp_path / "checkpoint"
    error = signer.fails("checkpoint", "--key", key, "-o", target)
    assert error.startswith("the log has 1 entries, but this key has signed that it had 2")
    assert not target.exists()
    assert raw.rows(signer.file, "SELECT * FROM log_checkpoint") == []


def test_a_lost_mark_is_begun_anew_only_when_asked(signer: Commands, key: Path) -> None:
    signer("checkpoint", "--key", key)
    key.with_name("log.key.state").unlink()
    error = signer.fails("checkpoint", "--key", key)
    assert "run `certledger checkpoint --begin-state`" in error
    data = signer("checkpoint", "--key", key, "--begin-state").stdout_bytes
    assert key.with_name("log.key.state").read_bytes() == data


def test_the_key_of_another_log_and_a_witness_s_are_refused(
    signer: Commands, tmp_path: Path
) -> None:
    signer("key", "new", "--name", "other.example", "-o", tmp_path / "other.key")
    error = signer.fails("checkpoint", "--key", tmp_path / "other.key")
    assert f"named 'other.example' but the registry's origin is '{ORIGIN}'" in error
    signer("key", "new", "--name", ORIGIN, "--witness", "-o", tmp_path / "witness.key")
    error = signer.fails("checkpoint", "--key", tmp_path / "witness.key")
    assert "has the type 0x04; 0x01 is needed here" in error
    assert not list(tmp_path.glob("*.state"))


def test_an_encrypted_key_takes_its_passphrase_from_the_environment(
    signer: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = tmp_path / "sealed.key"
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)
    line = signer("key", "new", "--name", ORIGIN, "-o", sealed).stdout.strip()
    data = signer("checkpoint", "--key", sealed).stdout_bytes
    trust = TrustedLog(ORIGIN, [VerifierKey.from_text(line)])
    assert trust.open(data).checkpoint.size == 1
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "wrong")
    assert "passphrase" in signer.fails("checkpoint", "--key", sealed)
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    assert PASSPHRASE_VARIABLE in signer.fails("checkpoint", "--key", sealed)


@pytest.mark.parametrize("name", ["log.key", "log.key.state", "./log.key"])
def test_neither_key_nor_mark_is_written_over(
    signer: Commands, key: Path, tmp_path: Path, name: str
) -> None:
    signer("checkpoint", "--key", key)
    before = {path: path.read_bytes() for path in (key, key.with_name("log.key.state"))}
    signer.register(make_certificate(serial=2))
    error = signer.fails("checkpoint", "--key", key, "-o", f"{tmp_path}/{name}", code=2)
    assert "is needed as it is" in error
    assert {path: path.read_bytes() for path in before} == before


def test_no_registry_is_made_to_be_signed(run: Commands, key: Path) -> None:
    run("key", "new", "--name", ORIGIN, "-o", key)
    run.fails("checkpoint", "--key", key)
    assert not run.file.exists()
    assert not key.with_name("log.key.state").exists()


def test_a_missing_key_file_is_named(signer: Commands, tmp_path: Path) -> None:
    assert "No such file" in signer.fails("checkpoint", "--key", tmp_path / "none.key")
    assert re.search("Missing option", signer.fails("checkpoint", code=2))


def test_an_empty_registry_can_be_signed(run: Commands, key: Path) -> None:
    run("init", "--origin", ORIGIN)
    run("key", "new", "--name", ORIGIN, "-o", key)
    result = run("checkpoint", "--key", key)
    assert opened(result.stdout_bytes, key).checkpoint.size == 0
    assert result.stderr.startswith("checkpoint of 0 entries signed")


def test_help_says_what_the_mark_is_for(run: Commands) -> None:
    text = run("checkpoint", "--help").stdout
    assert "outside of the database" in " ".join(text.split())
