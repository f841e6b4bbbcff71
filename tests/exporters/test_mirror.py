"""Checking an exported tree without the registry, and against it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from certledger import Ledger
from certledger.errors import EvidenceRefused, MalformedEvidence
from certledger.eventstore.merkle import leaf_hash
from certledger.eventstore.reader import Entry, read_entries
from certledger.eventstore.tlog.bundles import pack_bundle
from certledger.eventstore.tlog.checkpoint import TrustedLog
from certledger.eventstore.tlog.tile_tree import TileBuilder
from certledger.eventstore.tlog.tiles import Tile
from certledger.exporters.mirror import check_mirror, compare_with_registry
from tests.support.exported import Publisher, certificate
from tests.support.log import ORIGIN
from tests.support.signed import OTHER_KEY, TRUST


def rows(publisher: Publisher, start: int, stop: int) -> list[Entry]:
    return publisher.ledger.database.read(lambda c: read_entries(c, start, stop))


def rewrite(folder: Path, entries: list[bytes]) -> None:
    """Write all tiles and bundles of other entries, as one who knows the format would."""
    builder = TileBuilder()
    tiles = [tile for entry in entries for tile in builder.append(leaf_hash(entry))]
    for tile, data in [*tiles, *builder.partial()]:
        (folder / tile.to_path()).write_bytes(data)
    for start in range(0, len(entries), 256):
        bundle = entries[start : start + 256]
        path = Tile("entries", start // 256, len(bundle)).to_path()
        (folder / path).write_bytes(pack_bundle(bundle))


def test_an_export_is_right(publisher: Publisher) -> None:
    publisher.publish(300)
    assert check_mirror(publisher.folder, TRUST).size == 300


def test_a_checkpoint_by_another_key_is_refused(publisher: Publisher) -> None:
    publisher.publish(3)
    with pytest.raises(EvidenceRefused):
        check_mirror(publisher.folder, TrustedLog(ORIGIN, [OTHER_KEY.verifier_key]))


PATHS = ("tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000")
PLACES = {
    "tile/0/000": ("hash 0", "hash 128", "hash 255"),
    "tile/0/001.p/44": ("hash 0", "hash 22", "hash 43"),
    "tile/1/000.p/1": ("hash 0", "hash 0", "hash 0"),
}


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_flipped_bit_in_a_tile_is_named_with_its_place(
    publisher: Publisher, path: str, which: int
) -> None:
    publisher.publish(300)
    file = publisher.folder / path
    data = bytearray(file.read_bytes())
    data[(0, len(data) // 2, -1)[which]] ^= 1
    file.write_bytes(data)
    place = re.escape(f"{path}: {PLACES[path][which]} is not what lies below it")
    with pytest.raises(EvidenceRefused, match=f"^{place}"):
        check_mirror(publisher.folder, TRUST)


@pytest.mark.parametrize(
    ("path", "seq"), [("000", 0), ("000", 17), ("000", 255), ("001.p/44", 299)]
)
def test_a_changed_entry_is_named_with_its_bundle(
    publisher: Publisher, path: str, seq: int
) -> None:
    publisher.publish(300)
    file = publisher.folder / "tile/entries" / path
    entries = [row.entry or b"" for row in rows(publisher, 0, 300)]
    data = file.read_bytes()
    file.write_bytes(data.replace(entries[seq], entries[seq].replace(b"issued", b"Issued")))
    place = re.escape(f"tile/entries/{path}: entry {seq} is not")
    with pytest.raises(EvidenceRefused, match=f"^{place}"):
        check_mirror(publisher.folder, TRUST)


def test_two_entries_swapped_are_found(publisher: Publisher) -> None:
    publisher.publish(300)
    first, second, *rest = [row.entry or b"" for row in rows(publisher, 0, 256)]
    file = publisher.folder / "tile/entries/000"
    file.write_bytes(pack_bundle([second, first, *rest]))
    with pytest.raises(EvidenceRefused, match=r"^tile/entries/000: entry 0 is not"):
        check_mirror(publisher.folder, TRUST)


def test_entries_and_hashes_changed_together_are_found(publisher: Publisher) -> None:
    publisher.publish(300)
    entries = [row.entry or b"" for row in rows(publisher, 0, 300)]
    entries[5] = b"{}"
    rewrite(publisher.folder, entries)
    with pytest.raises(EvidenceRefused, match=r"tile/0/001\.p/44, tile/1/000\.p/1: the root"):
        check_mirror(publisher.folder, TRUST)


def test_a_lowest_tile_that_fits_its_entries_but_not_the_tree_is_named(
    publisher: Publisher,
) -> None:
    publisher.publish(300)
    entries = [row.entry or b"" for row in rows(publisher, 0, 256)]
    entries[5] = b"{}"
    (publisher.folder / "tile/entries/000").write_bytes(pack_bundle(entries))
    (publisher.folder / "tile/0/000").write_bytes(b"".join(map(leaf_hash, entries)))
    with pytest.raises(EvidenceRefused, match=r"^tile/0/000: its hashes do not add up to hash 0"):
        check_mirror(publisher.folder, TRUST)


def test_an_older_checkpoint_of_the_log_is_right_too(publisher: Publisher) -> None:
    publisher.publish(255)
    note = publisher.files()["checkpoint"]
    publisher.publish(600)
    (publisher.folder / "checkpoint").write_bytes(note)
    assert check_mirror(publisher.folder, TRUST).size == 255


def test_a_checkpoint_of_another_size_than_the_tiles_is_found(publisher: Publisher) -> None:
    publisher.publish(255)
    publisher.grow(600)
    (publisher.folder / "checkpoint").write_bytes(publisher.sign())
    with pytest.raises(EvidenceRefused, match="has no tile/"):
        check_mirror(publisher.folder, TRUST)


def test_a_folder_without_a_checkpoint_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_mirror(tmp_path, TRUST)


def test_an_empty_log_is_right(publisher: Publisher) -> None:
    publisher.publish(0)
    assert check_mirror(publisher.folder, TRUST).size == 0


@pytest.mark.parametrize("path", PATHS)
def test_a_missing_file_is_named(publisher: Publisher, path: str) -> None:
    publisher.publish(300)
    (publisher.folder / path).unlink()
    with pytest.raises(EvidenceRefused, match=path.replace(".", r"\.")):
        check_mirror(publisher.folder, TRUST)


@pytest.mark.parametrize("path", PATHS)
def test_a_cut_off_file_is_found(publisher: Publisher, path: str) -> None:
    publisher.publish(300)
    file = publisher.folder / path
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(MalformedEvidence, match=f"^{re.escape(path)}: "):
        check_mirror(publisher.folder, TRUST)


def test_a_registry_that_went_on_has_the_same_beginning(publisher: Publisher) -> None:
    publisher.publish(300)
    publisher.grow(310)
    checkpoint = check_mirror(publisher.folder, TRUST)
    assert compare_with_registry(publisher.folder, checkpoint, publisher.ledger.database) == 310


def test_a_registry_of_another_history_is_told(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(3)
    checkpoint = check_mirror(publisher.folder, TRUST)
    with Ledger(f"sqlite:///{tmp_path}/other.db", origin=ORIGIN) as other:
        other.issue(certificate(1))
        with pytest.raises(EvidenceRefused, match="differ within their first 1 entries"):
            compare_with_registry(publisher.folder, checkpoint, other.database)


def test_a_registry_of_another_name_is_told(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(1)
    checkpoint = check_mirror(publisher.folder, TRUST)
    with (
        Ledger(f"sqlite:///{tmp_path}/other.db", origin="other.example/log") as other,
        pytest.raises(EvidenceRefused, match="other"),
    ):
        compare_with_registry(publisher.folder, checkpoint, other.database)
