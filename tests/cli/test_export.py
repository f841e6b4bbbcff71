"""The commands export, restore and mirror check."""

from __future__ import annotations

from pathlib import Path

import pytest

from certledger import Ledger
from tests.support import raw
from tests.support.certificates import make_certificate
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
