"""The log as static tiles, entry bundles and a checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from certledger.errors import EvidenceRefused, LogCorrupt, NoCheckpoint
from certledger.eventstore.merkle import leaf_hash
from certledger.eventstore.reader import read_entries
from certledger.eventstore.tlog.tile_tree import read_entries as entries_in
from certledger.exporters.mirror import check_mirror
from certledger.exporters.tiles import export_tiles
from tests.support import raw
from tests.support.exported import Publisher
from tests.support.signed import TRUST
from tests.support.tiles import write_tiles


def file_of(publisher: Publisher) -> Path:
    assert publisher.ledger.file is not None
    return publisher.ledger.file


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 300, 512, 513])
def test_the_folder_holds_exactly_the_files_of_the_tree(publisher: Publisher, size: int) -> None:
    done = publisher.publish(size)
    expected = write_tiles(publisher.ledger.database, publisher.home / "expected")
    tiles = {
        path.relative_to(expected).as_posix(): path.read_bytes()
        for path in expected.rglob("*")
        if path.is_file()
    }
    files = publisher.files()
    bundles = {path for path in files if path.startswith("tile/entries/")}
    assert {path: files[path] for path in files if path not in {*bundles, "checkpoint"}} == tiles
    assert len(bundles) == -(-size // 256)
    assert done.size == size
    assert done.files == len(files) - 1


def test_the_bundles_hold_the_entries_byte_for_byte(publisher: Publisher) -> None:
    publisher.publish(300)
    rows = publisher.ledger.database.read(lambda c: read_entries(c, 0, 300))
    files = publisher.files()
    found = list(entries_in(lambda tile: files[tile.to_path()], 300))
    assert found == [row.entry for row in rows]
    assert [leaf_hash(entry) for entry in found] == [row.hashes[:32] for row in rows]


def test_without_a_checkpoint_nothing_is_exported(publisher: Publisher) -> None:
    publisher.grow(3)
    with pytest.raises(NoCheckpoint, match="sign one first"):
        publisher.export()
    assert not publisher.folder.exists()


def test_only_the_tree_of_the_checkpoint_is_exported(publisher: Publisher) -> None:
    publisher.grow(3)
    note = publisher.sign()
    publisher.grow(7)
    assert publisher.export().size == 3
    assert publisher.files()["checkpoint"] == note


@pytest.mark.parametrize(("first", "second"), [(1, 2), (255, 256), (256, 257), (200, 600)])
def test_a_second_run_writes_only_what_is_new(
    publisher: Publisher, first: int, second: int
) -> None:
    publisher.publish(first)
    before = publisher.files()
    done = publisher.publish(second)
    after = publisher.files()
    kept = {path: data for path, data in before.items() if path != "checkpoint"}
    assert {path: after[path] for path in kept} == kept, "no file changed or went away"
    assert done.files == len(after) - len(before)
    assert check_mirror(publisher.folder, TRUST).size == second


def test_a_run_with_nothing_new_writes_nothing(publisher: Publisher) -> None:
    publisher.publish(300)
    before = publisher.files()
    assert publisher.export().files == 0
    assert publisher.files() == before


def test_an_interrupted_export_is_completed_by_the_next(publisher: Publisher) -> None:
    publisher.publish(600)
    whole = publisher.files()
    for path in ("checkpoint", "tile/0/001", "tile/entries/002.p/88", "tile/1/000.p/2"):
        (publisher.folder / path).unlink()
    assert publisher.export().files == 3
    assert publisher.files() == whole


def test_a_file_with_other_bytes_is_an_error_and_stays(publisher: Publisher) -> None:
    publisher.publish(300)
    path = publisher.folder / "tile/entries/001.p/44"
    path.write_bytes(b"other")
    with pytest.raises(EvidenceRefused, match=r"tile/entries/001\.p/44 is not what the log has"):
        publisher.export()
    assert path.read_bytes() == b"other"


def test_a_folder_of_something_else_is_left_alone(publisher: Publisher) -> None:
    publisher.grow(2)
    publisher.sign()
    publisher.folder.mkdir()
    (publisher.folder / "letter.txt").write_text("dear")
    with pytest.raises(EvidenceRefused, match="something else than tiles"):
        publisher.export()
    assert publisher.files() == {"letter.txt": b"dear"}


def test_a_folder_of_another_history_is_left_alone(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(300)
    file = file_of(publisher)
    shutil.copytree(publisher.folder, tmp_path / "kept")
    raw.edit(
        file,
        "UPDATE log_entry SET hashes = zeroblob(length(hashes)) WHERE seq IN (0, 255)",
    )
    before = publisher.files()
    with pytest.raises(LogCorrupt):
        publisher.export()
    assert publisher.files() == before


def test_a_folder_that_is_ahead_of_the_registry_is_left_alone(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.publish(5)
    other = tmp_path / "ahead"
    publisher.grow(9)
    publisher.sign()
    export_tiles(publisher.ledger.database, other)
    shutil.rmtree(publisher.folder)
    shutil.copytree(other, publisher.folder)
    raw.edit(file_of(publisher), "DELETE FROM log_checkpoint WHERE number = 1")
    with pytest.raises(EvidenceRefused, match="restored from an old backup"):
        publisher.export()


def test_a_damaged_entry_stops_the_export_before_the_checkpoint(publisher: Publisher) -> None:
    publisher.grow(3)
    publisher.sign()
    raw.edit(file_of(publisher), "UPDATE log_entry SET entry = x'7b7d' WHERE seq = 1")
    with pytest.raises(LogCorrupt, match="entry 1"):
        publisher.export()
    assert "checkpoint" not in publisher.files()
