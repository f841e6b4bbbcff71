"""The commands export, restore and mirror check."""

from __future__ import annotations

from pathlib import Path

import pytest

from certledger import Ledger
from certledger.testing.certificates import make_certificate
from tests.support import raw
from tests.support.cli import Commands
from tests.support.exported import certificate
from tests.support.log import ORIGIN


@pytest.fixture
def signed(run: Commands, tmp_path: Path) -> Commands:
    """A registry of three entries with a checkpoint, and its key."""
    run("init", "--origin", ORIGIN)
    run.register(*(certificate(serial) for serial in (1, 2, 3)))
    run("key", "new", "--name", ORIGIN, "-o", tmp_path / "log.key", "--no-passphrase")
    (tmp_path / "log.vkey").write_text(run("key", "show", tmp_path / "log.key").stdout)
    run("checkpoint", "--key", tmp_path / "log.key", "-o", tmp_path / "checkpoint")
    return run


def test_tiles_are_exported_checked_and_compared(signed: Commands, tmp_path: Path) -> None:
    assert "3 entries; 2 new files" in signed("export", "tiles", tmp_path / "tiles").stdout
    assert "0 new files" in signed("export", "tiles", tmp_path / "tiles").stdout
    shown = signed("mirror", "check", tmp_path / "tiles", "--vkey", tmp_path / "log.vkey").stdout
    assert "every file is what the signed checkpoint says" in shown
    assert "3 entries, with the same beginning" in shown


def test_without_a_checkpoint_tiles_say_what_to_do(run: Commands, tmp_path: Path) -> None:
    run.register(make_certificate(serial=1))
    assert "certledger checkpoint" in run.fails("export", "tiles", tmp_path / "tiles")
    assert not (tmp_path / "tiles").exists()


def test_a_changed_tile_is_told_with_exit_code_1(signed: Commands, tmp_path: Path) -> None:
    signed("export", "tiles", tmp_path / "tiles")
    (tmp_path / "tiles/tile/0/000.p/3").write_bytes(b"x" * 96)
    error = signed.fails("mirror", "check", tmp_path / "tiles", "--vkey", tmp_path / "log.vkey")
    assert "tile/0/000.p/3: hash 0 is not what lies below it" in error


def test_a_mirror_that_cannot_be_checked_has_exit_code_2(signed: Commands, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = tmp_path / "empty"
    signed.fails("mirror", "check", empty, "--vkey", tmp_path / "log.vkey", code=2)
    signed.fails("mirror", "check", tmp_path, code=2)


def test_events_are_exported_and_restored_to_the_same_root(
    signed: Commands, tmp_path: Path
) -> None:
    events = tmp_path / "events.jsonl"
    assert "wrote 3 entries" in signed("export", "events", events).stderr
    other = Commands(tmp_path / "other.db")
    key = ("--checkpoint", tmp_path / "checkpoint", "--vkey", tmp_path / "log.vkey")
    shown = other("restore", events, *key).stdout
    root = signed.json("status")["root_hash"]
    assert f"restored 3 entries of {ORIGIN}, root hash {root}" in shown
    assert other("verify").stdout.endswith("no findings\n")
    assert other.json("list") == signed.json("list")


def test_events_go_to_standard_output(signed: Commands) -> None:
    entries = raw.rows(signed.file, "SELECT entry FROM log_entry ORDER BY seq")
    shown = signed("export", "events", "-").stdout_bytes
    assert shown == b"".join(row["entry"] + b"\n" for row in entries)


def test_a_refused_file_is_named_with_its_line(signed: Commands, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    signed("export", "events", events)
    lines = events.read_bytes().splitlines(keepends=True)
    events.write_bytes(lines[0] + lines[2])
    other = Commands(tmp_path / "other.db")
    assert f"{events}, line 2: it has the sequence 2 where 1 is due" in other.fails(
        "restore", events
    )
    with Ledger(other.url, create=False) as ledger:
        assert ledger.head().size == 0


def test_a_registry_with_entries_is_not_restored_into(signed: Commands, tmp_path: Path) -> None:
    signed("export", "events", tmp_path / "events.jsonl")
    error = signed.fails("restore", tmp_path / "events.jsonl", code=2)
    assert "3 entries: restore into one that has none" in error


def test_a_checkpoint_needs_a_key(signed: Commands, tmp_path: Path) -> None:
    signed("export", "events", tmp_path / "events.jsonl")
    error = Commands(tmp_path / "other.db").fails(
        "restore", tmp_path / "events.jsonl", "--checkpoint", tmp_path / "checkpoint", code=2
    )
    assert "--checkpoint and --vkey go together" in error
    assert not (tmp_path / "other.db").exists()


def test_a_damaged_log_leaves_the_older_export_in_place(signed: Commands, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    signed("export", "events", events)
    before = events.read_bytes()
    raw.edit(signed.file, "UPDATE log_entry SET entry = NULL WHERE seq = 2")
    assert "entry 2: its bytes are missing" in signed.fails("export", "events", events)
    assert events.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if "events" in path.name) == [
        "events.jsonl"
    ]


def test_a_folder_that_holds_something_else_is_refused(signed: Commands, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/dear.txt").write_text("dear")
    error = signed.fails("export", "tiles", tmp_path / "letters")
    assert "holds something else than tiles" in error
    assert not (tmp_path / "letters/tile").exists()


def test_a_checkpoint_by_another_key_proves_nothing(signed: Commands, tmp_path: Path) -> None:
    signed("export", "events", tmp_path / "events.jsonl")
    signed("key", "new", "--name", ORIGIN, "-o", tmp_path / "other.key", "--no-passphrase")
    (tmp_path / "other.vkey").write_text(signed("key", "show", tmp_path / "other.key").stdout)
    key = ("--checkpoint", tmp_path / "checkpoint", "--vkey", tmp_path / "other.vkey")
    other = Commands(tmp_path / "other.db")
    assert "no known key signed this" in other.fails("restore", tmp_path / "events.jsonl", *key)
    assert not other.file.exists()


def test_a_mirror_is_checked_by_a_policy_too(signed: Commands, tmp_path: Path) -> None:
    signed("export", "tiles", tmp_path / "tiles")
    key = (tmp_path / "log.vkey").read_text()
    (tmp_path / "policy").write_text(f"log {key}quorum none\n")
    signed("mirror", "check", tmp_path / "tiles", "--policy", tmp_path / "policy")


def test_a_mirror_of_a_registry_that_was_rewritten_has_exit_code_1(
    signed: Commands, tmp_path: Path
) -> None:
    signed("export", "tiles", tmp_path / "tiles")
    other = Commands(tmp_path / "other.db")
    other("init", "--origin", ORIGIN)
    other.register(certificate(4))
    error = other.fails("mirror", "check", tmp_path / "tiles", "--vkey", tmp_path / "log.vkey")
    assert "differ within their first 1 entries" in error


def test_a_mirror_is_compared_with_no_missing_registry(signed: Commands, tmp_path: Path) -> None:
    signed("export", "tiles", tmp_path / "tiles")
    other = Commands(tmp_path / "other.db")
    other.fails("mirror", "check", tmp_path / "tiles", "--vkey", tmp_path / "log.vkey", code=2)
    assert not other.file.exists()
