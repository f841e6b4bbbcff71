"""The command line as a process of its own: streams, terminals, pipes, exit codes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from cryptography import x509

from certledger.testing.certificates import make_ca, make_certificate, pem
from tests.support.ca_files import PASSPHRASE, ca_options
from tests.support.cli import Commands

COMMAND = [sys.executable, "-m", "certledger"]
ROOT = Path(__file__).resolve().parents[2]
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def environment(**changes: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM"}
        and not name.startswith("CERTLEDGER")
    }
    return kept | {"TERM": "xterm-256color"} | changes


def on_terminal(
    url: str, *arguments: str, columns: int = 80, typed: str = "", **changes: str
) -> tuple[int, str]:
    """Run a command on a terminal of its own; return its exit code and what one would see."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, "--db", url, *arguments],
        stdin=terminal, stdout=terminal, stderr=terminal, env=environment(**changes),
        start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    seen = b""
    while chunk := _read(controller):
        seen += chunk
        if typed and b"Passphrase" in seen:
            os.write(controller, f"{typed}\n".encode())
            typed = ""
    os.close(controller)
    return process.wait(), seen.decode().replace("\r\n", "\n")


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 65_536)
    except OSError:  # the other end is closed
        return b""


@pytest.fixture
def filled(run: Commands) -> Commands:
    run.register(
        make_certificate("device.example.org", serial=2**159 - 1),
        make_certificate("\x1b[31mred", serial=2**159 - 2),
    )
    return run


def without_privileges(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command for which the permissions of files count even where root runs the tests."""
    script = (
        "from tests.support import privileges; privileges.drop(); "
        "from certledger.cli.main import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True, check=False, text=True, env=environment(PYTHONPATH=str(ROOT)),
    )  # fmt: skip


def test_the_module_runs_as_the_installed_command_does(run: Commands) -> None:
    script = Path(sys.executable).with_name("certledger")
    for command in (COMMAND, [str(script)]):
        result = subprocess.run(
            [*command, "--db", run.url, "list"],
            capture_output=True, check=False, text=True, env=environment(),
        )  # fmt: skip
        assert result.returncode == 1
        assert result.stdout == ""
        assert result.stderr.startswith("error: ")
    usage = subprocess.run(
        [*COMMAND, "list", "--nonsense"], capture_output=True, check=False, text=True
    )
    assert usage.returncode == 2
    assert "see `certledger list --help`" in usage.stderr


def test_results_go_to_stdout_and_all_else_to_stderr(run: Commands, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.pem", tmp_path / "bad.pem"
    good.write_bytes(pem(make_certificate()))
    bad.write_bytes(pem(make_certificate())[:99])
    result = subprocess.run(
        [*COMMAND, "--db", run.url, "register", str(good), str(bad)],
        capture_output=True, check=False, text=True, env=environment(),
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "read 2: 1 registered, 0 already there, 1 refused"
    assert result.stderr.startswith(f"refused: {bad}:1: ")
    assert "\x1b" not in result.stdout + result.stderr


def test_a_table_fits_the_terminal_and_loses_nothing(filled: Commands) -> None:
    for columns in (120, 80, 60, 40, 20):
        code, output = on_terminal(filled.url, "list", columns=columns)
        lines = ESCAPE.sub("", output).splitlines()
        assert code == 0
        assert max(len(line) for line in lines) <= columns
        first_column = "".join(line.partition("  ")[0].strip() for line in lines)
        for serial in (2**159 - 1, 2**159 - 2):
            assert str(serial) in first_column, columns


def test_off_a_terminal_a_table_is_as_wide_as_it_needs(filled: Commands) -> None:
    output = filled("list").stdout
    assert str(2**159 - 1) in output
    assert hex(2**159 - 1) in output


def test_colour_is_for_terminals_and_not_where_no_color_is_set(filled: Commands) -> None:
    _, coloured = on_terminal(filled.url, "list")
    assert "\x1b[32mvalid" in coloured
    assert r"\x1b[31mred" in coloured
    _, plain = on_terminal(filled.url, "list", NO_COLOR="1")
    assert "\x1b" not in plain
    _, dumb = on_terminal(filled.url, "list", TERM="dumb")
    assert "\x1b" not in dumb
    forced = subprocess.run(
        [*COMMAND, "--db", filled.url, "list"],
        capture_output=True, check=True, text=True, env=environment(FORCE_COLOR="1"),
    )  # fmt: skip
    assert "\x1b" not in forced.stdout


def test_errors_are_one_line_on_a_narrow_terminal_too(run: Commands) -> None:
    code, output = on_terminal(run.url, "list", columns=20, NO_COLOR="1")
    assert code == 1
    assert output.count("\n") == 1


def test_the_passphrase_of_a_key_is_asked_for_and_not_shown(
    filled: Commands, tmp_path: Path
) -> None:
    target = tmp_path / "ca.crl"
    options = [*ca_options(tmp_path, PASSPHRASE), "-o", str(target)]
    code, output = on_terminal(filled.url, "crl", *options, typed=PASSPHRASE)
    assert code == 0, output
    assert PASSPHRASE not in output
    assert x509.load_pem_x509_crl(target.read_bytes()).issuer == make_ca().certificate.subject

    code, output = on_terminal(filled.url, "crl", *options, typed="wrong")
    assert code == 1
    assert "the passphrase is wrong" in output


def test_der_is_not_written_to_a_terminal(filled: Commands, tmp_path: Path) -> None:
    code, output = on_terminal(filled.url, "crl", *ca_options(tmp_path), "--der")
    assert code == 2
    assert "give a file with -o" in ESCAPE.sub("", output)


def test_a_bar_is_shown_on_a_terminal_where_the_work_is_long(
    filled: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = (
        "import certledger.cli.terminal as t; t._DELAY = 0.0; "
        "from certledger.cli.main import main; main()"
    )
    monkeypatch.setattr(sys.modules[__name__], "COMMAND", [sys.executable, "-c", hasty])
    bundle = filled.file.parent / "bundle.pem"
    folder = filled.file.parent / "folder"
    folder.mkdir()
    for name in ("a.pem", "b.pem"):
        (folder / name).write_bytes(bundle.read_bytes())
    for command, words in (
        (["drift"], "comparing"),
        (["verify"], "verifying"),
        (["register", str(bundle)], "registering"),
        (["register", str(folder)], "registering"),
    ):
        code, output = on_terminal(filled.url, *command)
        assert code == 0
        assert words in output
    piped = subprocess.run(
        [*COMMAND, "--db", filled.url, "drift"],
        capture_output=True, check=True, text=True, env=environment(),
    )  # fmt: skip
    assert piped.stderr == ""


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_reader_that_has_seen_enough_gets_no_complaint(run: Commands, form: str) -> None:
    run.register(*(make_certificate(serial=serial) for serial in range(1, 40)))
    process = subprocess.Popen(
        [*COMMAND, "--db", run.url, "log", "--format", form],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1
    assert errors == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_cannot_be_written_is_an_error(filled: Commands) -> None:
    for form in ("table", "json"):
        with Path("/dev/full").open("wb") as full:
            result = subprocess.run(
                [*COMMAND, "--db", filled.url, "list", "--format", form],
                stdout=full, stderr=subprocess.PIPE, check=False, text=True, env=environment(),
            )  # fmt: skip
        assert result.returncode == 1
        assert "No space left on device" in result.stderr
        assert "Traceback" not in result.stderr


def test_an_interrupt_keeps_what_was_recorded(run: Commands, tmp_path: Path) -> None:
    run.register(make_certificate(serial=1))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [*COMMAND, "--db", run.url, "register", str(pipe)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    # Opening returns when the other side has opened too: then it is waiting for a certificate.
    with pipe.open("wb") as stream:
        stream.write(pem(make_certificate(serial=2))[:50])
        stream.flush()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors == "error: interrupted; what was recorded before stays recorded\n"
    assert [record["serial_number"] for record in run.json("list")] == ["1"]


def test_names_that_the_encoding_lacks_do_not_stop_a_listing(run: Commands) -> None:
    run.register(make_certificate("東京.example", serial=1))
    for form in ("table", "json", "csv"):
        result = subprocess.run(
            [*COMMAND, "--db", run.url, "list", "--format", form],
            capture_output=True, check=False, env=environment(PYTHONIOENCODING="ascii"),
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert b"\\u6771\\u4eac.example" in result.stdout
        if form == "json":
            assert json.loads(result.stdout)[0]["common_name"] == "東京.example"


def test_on_a_read_only_file_in_a_read_only_folder_reading_works_and_writing_is_refused(
    run: Commands, tmp_path: Path
) -> None:
    folder = tmp_path / "shelf"
    folder.mkdir()
    shelved = Commands(folder / "registry.db")
    shelved.register(make_certificate(serial=1))
    (folder / "bundle.pem").unlink()
    (tmp_path / "new.pem").write_bytes(pem(make_certificate(serial=2)))
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    reading = ("list", "show 1", "expiring", "history 1", "log", "status", "drift", "verify")
    for command in reading:
        result = without_privileges("--db", shelved.url, *command.split())
        assert result.returncode == 0, (command, result.stderr)
    for command in ("revoke 1", "delete --serial 1", f"register {tmp_path / 'new.pem'}"):
        result = without_privileges("--db", shelved.url, *command.split())
        assert result.returncode == 1, command
        assert "cannot be written" in result.stderr
        assert result.stderr.count("\n") == 1
    folder.chmod(0o755)


def test_a_file_or_folder_that_must_not_be_read_is_refused(run: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    (folder / "closed.pem").touch(mode=0)
    (folder / "hidden").mkdir(mode=0)
    (folder / "open.pem").write_bytes(pem(make_certificate()))
    result = without_privileges("--db", run.url, "register", str(folder))
    assert result.returncode == 1
    assert "read 3: 1 registered, 0 already there, 2 refused" in result.stdout
    assert f"refused: {folder / 'closed.pem'}: Permission denied" in result.stderr
    assert f"refused: {folder / 'hidden'}: " in result.stderr


def test_the_shell_can_complete(run: Commands) -> None:
    def completed(words: str) -> list[str]:
        result = subprocess.run(
            COMMAND, capture_output=True, check=True, text=True,
            env=environment(
                _CERTLEDGER_COMPLETE="bash_complete",
                COMP_WORDS=words,
                COMP_CWORD=str(len(words.split(" ")) - 1),
            ),
        )  # fmt: skip
        return [line.partition(",")[2] for line in result.stdout.splitlines()]

    assert "register" in completed("certledger re")
    assert completed("certledger revoke 1 --reason key") == ["keyCompromise"]
    assert "--since" in completed("certledger log --")
    del run
