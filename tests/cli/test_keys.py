"""The commands for keys: key new, key show."""

from __future__ import annotations

import logging
import os
import pty
import stat
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from certledger.cli.keys import PASSPHRASE_VARIABLE, read_key
from certledger.eventstore.tlog.keys import KeyKind, VerifierKey
from certledger.eventstore.tlog.note import Note, NoteSigner, NoteVerifier
from tests.support.cli import Commands

ORIGIN = "ca.example.org/registry"
PASSPHRASE = "correct horse"


@pytest.fixture
def keys(run: Commands, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)
    return run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.key"


def secret_parts(path: Path) -> list[str]:
    """What of an unencrypted file must never be shown."""
    line = path.read_text().rstrip("\n")
    return [line, line.split("+", 4)[4], "PRIVATE"]


def test_new_makes_a_file_for_its_owner_and_prints_the_verifier_key_alone(
    keys: Commands, path: Path
) -> None:
    result = keys("key", "new", "--name", ORIGIN, "-o", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (line,) = result.stdout.splitlines()
    verifier_key = VerifierKey.from_text(line)
    assert (verifier_key.name, verifier_key.kind) == (ORIGIN, KeyKind.ED25519)
    assert f"{path} holds the private key, not encrypted" in result.stderr
    for secret in secret_parts(path):
        assert secret not in result.output


def test_show_prints_the_same_line_and_nothing_else(keys: Commands, path: Path) -> None:
    made = keys("key", "new", "--name", ORIGIN, "-o", path)
    shown = keys("key", "show", path)
    assert (shown.stdout, shown.stderr) == (made.stdout, "")


def test_what_the_key_signs_verifies_with_the_line(keys: Commands, path: Path) -> None:
    line = keys("key", "new", "--name", ORIGIN, "-o", path).stdout.rstrip("\n")
    signed = Note("text\n").signed(NoteSigner(read_key(path)))
    assert signed.open([NoteVerifier(VerifierKey.from_text(line))]).text == "text\n"


def test_a_witness_s_key_is_of_its_own_type_and_may_have_any_name(
    keys: Commands, path: Path
) -> None:
    line = keys("key", "new", "--name", "zeuge.example/ä日", "--witness", "-o", path).stdout
    verifier_key = VerifierKey.from_text(line.rstrip("\n"))
    assert (verifier_key.name, verifier_key.kind) == ("zeuge.example/ä日", KeyKind.COSIGNATURE)
    assert keys("key", "show", path).stdout == line


def test_no_registry_is_needed_or_made(keys: Commands, path: Path) -> None:
    keys("key", "new", "--name", ORIGIN, "-o", path)
    keys("key", "show", path)
    assert not keys.file.exists()


def test_a_file_is_never_written_over(keys: Commands, path: Path) -> None:
    keys("key", "new", "--name", ORIGIN, "-o", path)
    before = path.read_bytes()
    assert "never written over" in keys.fails("key", "new", "--name", ORIGIN, "-o", path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "ä.example", "x" * 201])
def test_a_log_s_key_bears_a_name_that_can_be_an_origin(
    keys: Commands, path: Path, name: str
) -> None:
    assert "'--name'" in keys.fails("key", "new", "--name", name, "-o", path, code=2)
    assert not path.exists()


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\x9bb", "a\N{RIGHT-TO-LEFT MARK}b"])
def test_a_witness_s_name_fits_into_a_line_that_can_be_shown(
    keys: Commands, path: Path, name: str
) -> None:
    error = keys.fails("key", "new", "--name", name, "--witness", "-o", path, code=2)
    assert "'--name'" in error
    assert not path.exists()


def test_a_private_key_is_not_written_to_a_stream(keys: Commands) -> None:
    assert "stream" in keys.fails("key", "new", "--name", ORIGIN, "-o", "-", code=2)


def test_a_file_that_others_can_read_is_refused(keys: Commands, path: Path) -> None:
    keys("key", "new", "--name", ORIGIN, "-o", path)
    path.chmod(0o640)
    error = keys.fails("key", "show", path)
    assert f"chmod 600 {path}" in error
    for secret in secret_parts(path):
        assert secret not in error


def test_what_is_no_key_is_named_and_not_repeated(keys: Commands, path: Path) -> None:
    path.write_text("PRIVATE+KEY+secret")
    path.chmod(0o600)
    error = keys.fails("key", "show", path)
    assert error.startswith(f"{path}: not a private key")
    assert "secret" not in error
    assert "No such file" in keys.fails("key", "show", path.with_name("missing"))


def test_debug_shows_no_secret_either(
    keys: Commands, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    keys("--debug", "key", "new", "--name", ORIGIN, "-o", path)
    line = path.read_text()
    damaged = path.with_name("damaged.key")
    damaged.write_text(line.replace("+KEY+", "+KEY+x"))
    damaged.chmod(0o600)
    result = keys("--debug", "key", "show", damaged, code=1)
    assert "Traceback" in result.stderr
    for secret in secret_parts(path)[:2]:
        assert secret not in result.output + caplog.text


# Passphrases


def test_a_passphrase_from_the_environment_encrypts_and_opens(
    keys: Commands, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)
    made = keys("key", "new", "--name", ORIGIN, "-o", path)
    assert path.read_bytes().startswith(b"{")
    assert ", encrypted" in made.stderr
    shown = keys("key", "show", path)
    assert shown.stdout == made.stdout
    assert PASSPHRASE not in made.output + shown.output

    monkeypatch.setenv(PASSPHRASE_VARIABLE, "wrong")
    assert "the passphrase is wrong" in keys.fails("key", "show", path)
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    assert f"set {PASSPHRASE_VARIABLE}" in keys.fails("key", "show", path)


def test_the_environment_can_be_passed_over(
    keys: Commands, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)
    keys("key", "new", "--name", ORIGIN, "-o", path, "--no-passphrase")
    assert path.read_bytes().startswith(b"PRIVATE+KEY+")
    keys("key", "show", path)


def test_a_wanted_passphrase_that_nobody_can_give_makes_no_file(
    keys: Commands, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("key", "new", "--name", ORIGIN, "-o", path, "--passphrase")
    assert f"set {PASSPHRASE_VARIABLE}" in keys.fails(*command)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "")
    assert "empty passphrase" in keys.fails(*command, code=2)
    assert not path.exists()


def test_bytes_that_are_no_text_can_be_a_passphrase(
    keys: Commands, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, os.fsdecode(b"\xff\xfe"))
    line = keys("key", "new", "--name", ORIGIN, "-o", path).stdout
    assert keys("key", "show", path).stdout == line


SCRIPT = """
from certledger.cli.main import cli
cli(prog_name="certledger")
"""


def on_terminal(arguments: list[str], answers: list[str]) -> tuple[int, str]:
    """Run a command on a terminal, answer each question; return exit code and what is seen."""
    controller, terminal = pty.openpty()
    variables = {name: os.environ[name] for name in os.environ if name != PASSPHRASE_VARIABLE}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdin=terminal, stdout=terminal, stderr=terminal, env=variables, start_new_session=True,
    )  # fmt: skip
    seen, questions = b"", 0
    os.close(terminal)
    while chunk := _read(controller):
        seen += chunk
        if answers and seen.count(b": ") > questions and not _echoes(controller):
            questions = seen.count(b": ")
            os.write(controller, f"{answers.pop(0)}\n".encode())
    os.close(controller)
    return process.wait(), seen.decode()


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 65_536)
    except OSError:  # the other end is closed
        return b""


def _echoes(terminal: int) -> bool:
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def test_on_a_terminal_a_new_passphrase_is_asked_for_twice_and_not_shown(path: Path) -> None:
    new = ["key", "new", "--name", ORIGIN, "-o", str(path), "--passphrase"]
    code, seen = on_terminal(new, [PASSPHRASE, PASSPHRASE])
    assert code == 0, seen
    assert f"{ORIGIN}+" in seen
    code, shown = on_terminal(["key", "show", str(path)], [PASSPHRASE])
    assert code == 0, shown
    assert f"Passphrase of {path}" in shown
    assert PASSPHRASE not in seen + shown
