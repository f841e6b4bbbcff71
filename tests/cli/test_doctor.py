"""The command that tells what weakens the promise of a registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from certledger.doctor import sqlite
from certledger.doctor.file_systems import Mount
from certledger.testing.certificates import make_certificate
from tests.support.cli import Commands
from tests.support.doctor import OF_THE_MACHINE


@pytest.fixture
def filled(run: Commands, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """A registry on a local disk, wherever the tests have their files."""
    monkeypatch.setattr(sqlite, "read_mount", lambda _: Mount("/", "ext4", frozenset()))
    run("init")
    run.register(make_certificate())
    return run


def on_disk(found: list[dict[str, object]]) -> list[dict[str, object]]:
    """The symptoms that are not of the machine."""
    return [each for each in found if each["kind"] not in OF_THE_MACHINE]


def test_a_registry_with_notes_only_exits_with_0(filled: Commands) -> None:
    found = filled.json("doctor")
    assert [each["kind"] for each in on_disk(found)] == ["no-checkpoint"]
    output = filled("doctor").stdout
    assert "nothing is weak, " in output
    assert "to mend no-checkpoint, shell:\n  certledger key new --name " in output


def test_something_weak_exits_with_1_and_tells_the_commands(filled: Commands) -> None:
    filled.edit("DROP TRIGGER log_entry_no_delete")
    filled.file.chmod(0o666)
    output = filled("doctor", code=1).stdout
    assert "weak   trigger-missing" in output
    assert (
        f"\nto mend trigger-missing, shell:\n  certledger --db {filled.url} db upgrade\n" in output
    )
    assert f"\nto mend permissions, shell:\n  chmod go-w {filled.file}\n" in output or (
        f"\nto mend permissions, shell:\n  chmod o-w {filled.file}\n" in output
    )
    assert "2 weak symptoms, " in output


def test_commands_are_whole_lines_however_narrow_the_terminal_is(
    filled: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    filled.edit("DROP TRIGGER log_entry_no_delete")
    output = filled("doctor", code=1).stdout
    assert f"\n  certledger --db {filled.url} db upgrade\n" in output


def test_json_has_the_steps_one_by_one(filled: Commands) -> None:
    filled.edit("DROP TRIGGER log_entry_no_delete")
    found = filled.json("doctor", code=1)
    assert on_disk(found)[0] == {
        "level": "weak",
        "kind": "trigger-missing",
        "message": "the log is open to changes: the trigger log_entry_no_delete is missing",
        "mending": [{"language": "shell", "command": f"certledger --db {filled.url} db upgrade"}],
    }


def test_csv_has_a_row_for_each_step(filled: Commands) -> None:
    rows = [row for row in filled.csv("doctor") if row["kind"] == "no-checkpoint"]
    assert [row["language"] for row in rows] == ["shell", "shell"]
    assert rows[0]["command"].startswith("certledger key new")
    assert rows[1]["command"].startswith(f"certledger --db {filled.url} checkpoint")
    assert rows[0]["message"] == rows[1]["message"]


def test_what_is_no_registry_exits_with_2_and_is_not_made(run: Commands) -> None:
    assert "there is no registry" in run.fails("doctor", code=2)
    assert not run.file.exists()


def test_a_server_that_does_not_answer_exits_with_2(run: Commands) -> None:
    url = "postgresql://app:secret@127.0.0.1:1/pki"
    message = run.fails("--db", url, "doctor", code=2)
    assert "secret" not in message


def test_names_in_messages_are_harmless_on_a_terminal(filled: Commands) -> None:
    filled.edit('CREATE TRIGGER "\x1b[31mred" AFTER INSERT ON log_entry BEGIN SELECT 1; END')
    output = filled("doctor").stdout
    assert "\x1b[31m" not in output
    assert r"\x1b[31mred" in output


def test_nothing_is_said_of_durability_twice(filled: Commands, tmp_path: Path) -> None:
    """What status warns of and what the doctor finds are the same words."""
    filled.edit("PRAGMA journal_mode = DELETE")
    (weak,) = [each for each in filled.json("doctor", code=1) if each["level"] == "weak"]
    url = f"{filled.url}?mode=ro"
    (warning,) = filled.json("--db", url, "status")["warnings"]
    assert warning.startswith(f"{weak['message']}; mend it with ")
