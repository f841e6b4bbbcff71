"""Errors: one line, the exit code, no traceback, no password; help and completion."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import certledger
from certledger import Ledger
from certledger.cli.failures import describe, failure, hide_passwords
from certledger.cli.main import cli
from certledger.errors import EntryTooLarge, InvalidValue, StorageUnavailable
from certledger.testing.certificates import make_certificate, pem
from certledger.testing.clock import FakeClock
from tests.support.ca_files import ca_options
from tests.support.cli import Commands

READING = [
    ("list",),
    ("show", "1"),
    ("expiring",),
    ("history", "1"),
    ("log",),
    ("status",),
]
CHANGING = [("revoke", "1"), ("expire",), ("delete", "--serial", "1"), ("rebuild",)]


@pytest.mark.parametrize("command", READING + CHANGING, ids=lambda command: command[0])
def test_every_other_command_on_a_missing_file_fails_and_creates_nothing(
    run: Commands, command: tuple[str, ...]
) -> None:
    error = run.fails(*command)
    assert error.endswith("there is no registry; make one with `certledger init`")
    assert list(run.file.parent.iterdir()) == []


def test_crl_on_a_missing_file_creates_nothing(run: Commands, tmp_path: Path) -> None:
    assert "there is no registry" in run.fails("crl", *ca_options(tmp_path))
    assert not run.file.exists()


def test_a_database_of_something_else_is_left_alone(run: Commands, tmp_path: Path) -> None:
    connection = sqlite3.connect(run.file)
    connection.execute("CREATE TABLE recipes (id INTEGER PRIMARY KEY)")
    connection.close()
    before = run.file.read_bytes()
    file = tmp_path / "one.pem"
    file.write_bytes(pem(make_certificate()))
    for command in (("init",), ("register", file), ("list",)):
        assert "recipes" in run.fails(*command)
    assert run.file.read_bytes() == before


def test_a_database_of_tiny_ca_is_told_apart(run: Commands) -> None:
    connection = sqlite3.connect(run.file)
    connection.execute("CREATE TABLE certificates (id INTEGER PRIMARY KEY)")
    connection.close()
    assert "tiny_ca" in run.fails("list")


def test_a_file_that_is_no_database_is_told_apart(run: Commands) -> None:
    run.file.write_text("hello " * 1000)
    assert "is not an SQLite database" in run.fails("list")


def test_a_registry_of_a_newer_format_names_what_to_do(run: Commands) -> None:
    run("init")
    run.edit("UPDATE alembic_version SET version_num = '9999'")
    assert "upgrade certledger" in run.fails("list")


def test_a_clock_far_behind_the_log_is_refused(run: Commands) -> None:
    clock = FakeClock(datetime.now(UTC) + timedelta(days=2))
    with Ledger(run.url, clock=clock) as ledger:
        ledger.issue(make_certificate(serial=1))
    assert "--allow-clock-behind" in run.fails("revoke", 1)
    run("--allow-clock-behind", "revoke", 1)


@pytest.mark.parametrize("url", ["registry.db", "nonsense://x", "sqlite:///x?mode=%zz&y", "://"])
def test_what_is_no_database_url_is_refused_on_one_line(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["--db", url, "list"])
    assert result.exit_code in {1, 2}
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_path_instead_of_a_url_gets_advice() -> None:
    result = CliRunner().invoke(cli, ["--db", "dir/x.db", "list"])
    assert result.exit_code == 2
    assert "for a file write sqlite:///dir/x.db" in result.stderr


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://alice:s3cret@127.0.0.1:1/x",
        "postgresql+nodriver://alice:s3cret@127.0.0.1/x",
        "mysql://alice:s3cret@127.0.0.1:1/x",
        "nonsense://alice:s3cret@host/x",
        "postgresql:/alice:s3cret@host/x",
        "postgresql://alice:s3cret@host:port/x",
        "postgresql://host:1/x?user=alice&password=s3cret",
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_the_password_of_a_database_is_never_printed(url: str, debug: bool) -> None:
    arguments = ["--debug"] if debug else []
    result = CliRunner().invoke(cli, [*arguments, "--db", url, "list"])
    assert result.exit_code in {1, 2}
    assert "error: " in result.output
    assert "s3cret" not in result.output


def test_passwords_are_blotted_out_wherever_they_stand() -> None:
    text = "cannot open postgresql://u:p%40w@h/x and mysql://u:pw@h/?password=pw2&x=1 here"
    assert hide_passwords(text) == (
        "cannot open postgresql://u:***@h/x and mysql://u:***@h/?password=***&x=1 here"
    )


# Unexpected errors


@click.command()
@click.argument("kind")
def breaks(kind: str) -> None:
    """Break in some way."""
    if kind == "interrupt":
        raise KeyboardInterrupt
    if kind == "full":
        raise OSError(28, "No space left on device")
    message = "what\nnobody\x1b foresaw, sqlite://u:s3cret@h"
    raise RuntimeError(message)


@pytest.fixture
def breakable() -> click.Group:
    group = type(cli)("certledger", params=cli.params, callback=cli.callback)
    group.add_command(breaks)
    return group


def test_an_unexpected_error_is_one_line_too(breakable: click.Group) -> None:
    result = CliRunner().invoke(breakable, ["breaks", "bug"])
    assert result.exit_code == 1
    assert result.stderr == (
        "error: unexpected RuntimeError: what\\nnobody\\x1b foresaw, sqlite://u:***@h; "
        "run `certledger --debug ...` to see where\n"
    )


def test_debug_shows_the_traceback_before_the_line(breakable: click.Group) -> None:
    result = CliRunner().invoke(breakable, ["--debug", "breaks", "bug"])
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "s3cret" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: unexpected RuntimeError")


def test_an_interrupt_says_that_nothing_is_lost(breakable: click.Group) -> None:
    result = CliRunner().invoke(breakable, ["breaks", "interrupt"])
    assert result.exit_code == 1
    assert result.stderr == "error: interrupted; what was recorded before stays recorded\n"


def test_an_error_of_the_system_is_told_in_its_words(breakable: click.Group) -> None:
    result = CliRunner().invoke(breakable, ["breaks", "full"])
    assert (result.exit_code, result.stderr) == (1, "error: No space left on device\n")


@pytest.mark.parametrize(
    ("error", "checking", "code"),
    [
        (InvalidValue("x"), False, 2),
        (EntryTooLarge(70_000, 65_535), False, 1),
        (StorageUnavailable("x"), False, 1),
        (StorageUnavailable("x"), True, 2),
        (KeyboardInterrupt(), True, 2),
        (RuntimeError("x"), True, 2),
        (PermissionError(13, "Permission denied", "f"), True, 2),
    ],
)
def test_each_kind_of_error_has_its_exit_code(
    error: BaseException, checking: bool, code: int
) -> None:
    assert failure(error, checking=checking).exit_code == code


def test_the_text_of_an_error_is_harmless() -> None:
    assert describe(StorageUnavailable("a\nb\x1b[31m")) == r"a\nb\x1b[31m"


# Usage, help, version


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["frobnicate"], "No such command 'frobnicate'; see `certledger --help`"),
        (["--nonsense"], "No such option '--nonsense'"),
        (["revoke"], "Missing argument 'SERIAL'; see `certledger revoke --help`"),
        (["list", "extra"], "Got unexpected extra argument (extra); see `certledger list --help`"),
        (["list", "--limit"], "requires an argument"),
    ],
)
def test_wrong_usage_is_one_line_and_2(arguments: list[str], text: str) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert text in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_command_at_all_shows_the_help_and_is_2() -> None:
    result = CliRunner().invoke(cli, [])
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


def test_help_lists_the_commands_of_the_design_in_the_order_of_work() -> None:
    output = CliRunner().invoke(cli, ["--help"]).stdout
    listed = [
        line.split()[0]
        for line in output.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    ]
    wanted = [
        "init", "register", "revoke", "expire", "delete", "list", "show", "expiring", "history",
        "log", "crl", "checkpoint", "prove", "evidence", "check", "export", "restore", "copy",
        "mirror", "cosign", "key", "rebuild", "drift", "verify", "db", "status", "doctor",
    ]  # fmt: skip
    assert [name for name in listed if name in wanted] == wanted
    assert "..." not in output.partition("Commands:")[2]
    assert "Exit codes: 0" in output
    assert "_CERTLEDGER_COMPLETE=bash_source" in output


@pytest.mark.parametrize("name", list(cli.commands))
def test_every_command_and_option_has_a_help_text(name: str) -> None:
    command = cli.commands[name]
    assert command.help
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert all(option.help for option in options)
    assert CliRunner().invoke(cli, [name, "-h"]).exit_code == 0


def test_version_is_the_library_s() -> None:
    result = CliRunner().invoke(cli, ["--version"])
    assert result.stdout == f"certledger, version {certledger.__version__}\n"


def test_another_program_may_call_the_group_and_get_the_exception(run: Commands) -> None:
    with pytest.raises(click.ClickException):
        cli.main(["--db", run.url, "list"], prog_name="x", standalone_mode=False)


def test_debug_shows_what_the_library_logs(run: Commands) -> None:
    assert run("--debug", "init").exit_code == 0
