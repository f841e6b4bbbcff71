"""The log as static tiles, entry bundles and a checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from certledger.errors import EvidenceRefused, LogCorrupt, NoCheckpoint
from certledger.eventstore.head import name_log
from certledger.eventstore.merkle import leaf_hash
from certledger.eventstore.reader import read_entries
from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.eventstore.tlog.tile_folder import TileFolder
from certledger.eventstore.tlog.tile_tree import read_entries as entries_in
from certledger.eventstore.tlog.tiles import new_bundles, new_tiles
from certledger.exporters.mirror import check_mirror
from certledger.exporters.tiles import export_tiles
from certledger.testing.clock import FakeClock
from tests.support import raw
from tests.support.exported import Publisher
from tests.support.intruder import intruder
from tests.support.log import make_log
from tests.support.processes import finish, start
from tests.support.signed import OTHER_KEY, TRUST, cosigned, sign_log
from tests.support.synthetic import entry, grow_synthetic
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
    (publisher.folder / "checkpoint").unlink()
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
    before = publisher.files()
    other = make_log(f"sqlite:///{tmp_path}/other.db", publisher.clock)
    grow_synthetic(other, publisher.clock, 310)
    (tmp_path / "other").mkdir()
    sign_log(other, tmp_path / "other", publisher.clock)
    with pytest.raises(EvidenceRefused, match="another history of its first 300 entries"):
        export_tiles(other, publisher.folder)
    other.close()
    assert publisher.files() == before


def test_a_folder_of_another_log_is_left_alone(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(3)
    before = publisher.files()
    database = make_log(f"sqlite:///{tmp_path}/other.db", publisher.clock)
    database.write(lambda c, _: name_log(c, "other.example/log"))
    key = SigningKey("other.example/log", KeyKind.ED25519, b"k" * 32)
    grow_synthetic(database, publisher.clock, 5)
    sign_log(database, tmp_path, publisher.clock, key)
    with pytest.raises(EvidenceRefused, match=r"holds the log '.*test', not '.*log'"):
        export_tiles(database, publisher.folder)
    database.close()
    assert publisher.files() == before


def test_a_checkpoint_that_is_none_is_told_and_stays(publisher: Publisher) -> None:
    publisher.publish(3)
    (publisher.folder / "checkpoint").write_bytes(b"a letter")
    with pytest.raises(EvidenceRefused, match="checkpoint is no checkpoint"):
        publisher.publish(4)
    assert publisher.files()["checkpoint"] == b"a letter"


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


@pytest.mark.parametrize("seq", [0, 100, 255, 256, 299])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE log_entry SET entry = x'7b7d' WHERE seq = ?",
        "UPDATE log_entry SET entry = NULL WHERE seq = ?",
        "UPDATE log_entry SET entry = 'text' WHERE seq = ?",
        "UPDATE log_entry SET hashes = zeroblob(length(hashes)) WHERE seq = ?",
        "UPDATE log_entry SET hashes = 'text' WHERE seq = ?",
        "UPDATE log_entry SET hashes = x'00' WHERE seq = ?",
        "DELETE FROM log_entry WHERE seq = ?",
    ],
)
def test_nothing_wrong_is_written_of_a_damaged_log(
    publisher: Publisher, seq: int, change: str
) -> None:
    publisher.grow(300)
    publisher.sign()
    right = publisher.home / "right"
    export_tiles(publisher.ledger.database, right)
    with intruder(file_of(publisher), log=True) as sql:
        sql.execute(change, (seq,))
    with pytest.raises(LogCorrupt):
        publisher.export()
    assert all((right / path).read_bytes() == data for path, data in publisher.files().items())


@pytest.mark.parametrize("seq", [0, 100, 255, 256, 299])
def test_an_entry_changed_together_with_its_hash_is_not_written(
    publisher: Publisher, seq: int
) -> None:
    publisher.grow(300)
    publisher.sign()
    with intruder(file_of(publisher), log=True) as sql:
        ((hashes,),) = sql.execute("SELECT hashes FROM log_entry WHERE seq = ?", (seq,))
        values = (b"{}", leaf_hash(b"{}") + hashes[32:], seq)
        sql.execute("UPDATE log_entry SET entry = ?, hashes = ? WHERE seq = ?", values)
    with pytest.raises(LogCorrupt):
        publisher.export()
    written = publisher.files()
    assert f"tile/entries/{'000' if seq < 256 else '001.p/44'}" not in written
    assert f"tile/0/{'000' if seq < 256 else '001.p/44'}" not in written


def test_what_a_killed_export_left_is_not_in_the_way(publisher: Publisher) -> None:
    publisher.grow(3)
    publisher.sign()
    publisher.folder.mkdir()
    (publisher.folder / ".unfinished").write_bytes(b"half of a checkpo")
    assert publisher.export().files == 2
    assert sorted(publisher.files()) == ["checkpoint", "tile/0/000.p/3", "tile/entries/000.p/3"]


def test_a_checkpoint_of_the_same_tree_by_a_new_key_takes_the_place_of_the_old(
    publisher: Publisher,
) -> None:
    publisher.publish(3)
    note = sign_log(publisher.ledger.database, publisher.home, publisher.clock, OTHER_KEY)
    assert publisher.export().files == 0
    assert publisher.files()["checkpoint"] == note


def test_a_cosignature_on_the_exported_checkpoint_stays(publisher: Publisher) -> None:
    publisher.publish(3)
    path = publisher.folder / "checkpoint"
    path.write_bytes(cosigned(path.read_bytes()))
    before = publisher.files()
    publisher.export()
    assert publisher.files() == before


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 300])
def test_a_checkpoint_that_was_put_into_the_folder_by_itself_gets_its_tree(
    publisher: Publisher, size: int
) -> None:
    publisher.grow(size)
    publisher.folder.mkdir()
    (publisher.folder / "checkpoint").write_bytes(publisher.sign())
    publisher.export()
    assert check_mirror(publisher.folder, TRUST).size == size
    assert publisher.export().files == 0


def test_progress_is_told_in_entries(publisher: Publisher) -> None:
    publisher.grow(300)
    publisher.sign()
    told: list[tuple[int, int]] = []
    export_tiles(publisher.ledger.database, publisher.folder, lambda *at: told.append(at))
    assert told == [(256, 300), (300, 300)]


def test_a_log_grows_over_the_edge_of_a_tile_of_level_1(
    tmp_path: Path, url: str, clock: FakeClock
) -> None:
    database, folder = make_log(url, clock), tmp_path / "tiles"
    before = 0
    for size in (65_535, 65_536, 65_537, 65_793):
        grow_synthetic(database, clock, size)
        sign_log(database, tmp_path, clock)
        done = export_tiles(database, folder)
        assert done.files == len([*new_tiles(before, size), *new_bundles(before, size)])
        assert check_mirror(folder, TRUST).size == size
        before = size
    assert (folder / "tile/1/000").stat().st_size == 8192
    assert {path.name for path in (folder / "tile/2/000.p").iterdir()} == {"1"}
    assert {path.name for path in (folder / "tile/0/255.p").iterdir()} == {"255"}
    assert {path.name for path in (folder / "tile/0/256.p").iterdir()} == {"1"}
    found = entries_in(TileFolder(folder), 65_793)
    assert all(data == entry(seq) for seq, data in enumerate(found))
    database.close()


EXPORTER = """
import sys
from pathlib import Path
from certledger.eventstore.database import Database
from certledger.exporters.tiles import export_tiles

database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
export_tiles(database, Path(sys.argv[2]), lambda done, total: print(done, flush=True))
"""


def test_killed_exports_are_completed_by_the_next(
    tmp_path: Path, url: str, clock: FakeClock
) -> None:
    database = make_log(url, clock)
    grow_synthetic(database, clock, 20_000)
    sign_log(database, tmp_path, clock)
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    export_tiles(database, whole)
    for pages in (0, 1, 7, 30, 5):
        with start(EXPORTER, url, folder) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("\n")
            process.stdin.flush()
            for _ in range(pages):
                process.stdout.readline()
            process.kill()
        assert not (folder / "checkpoint").exists()
    export_tiles(database, folder)
    database.close()
    assert tree(folder) == tree(whole)


def test_two_exports_at_once_write_one_tree(tmp_path: Path, url: str, clock: FakeClock) -> None:
    database = make_log(url, clock)
    grow_synthetic(database, clock, 5_000)
    sign_log(database, tmp_path, clock)
    folder = tmp_path / "tiles"
    processes = [start(EXPORTER, url, folder) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    # Their input ends, so that both begin.
    for output in finish(processes):
        assert output in {"", "".join(f"{min(n * 256, 5_000)}\n" for n in range(1, 21))}
    export_tiles(database, tmp_path / "alone")
    database.close()
    assert tree(folder) == tree(tmp_path / "alone")


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
