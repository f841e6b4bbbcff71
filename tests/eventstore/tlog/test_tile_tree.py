"""A tree in tiles: made, read, and checked."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import EvidenceError, EvidenceRefused
from certledger.eventstore.merkle import HASH_SIZE, leaf_hash
from certledger.eventstore.tlog.proofs import tree_hash
from certledger.eventstore.tlog.tile_tree import TileBuilder, check_tiles, read_entries
from certledger.eventstore.tlog.tiles import Tile, new_bundles, new_tiles
from certledger.testing.rfc6962 import naive_root
from tests.support.evidence import PublishedLog, flipped
from tests.support.vectors import Case, by_case, cases

EDGES = [0, 1, 2, 255, 256, 257, 511, 512, 513, 1000]


@pytest.fixture(scope="module")
def published() -> dict[int, PublishedLog]:
    """The logs of the vectors, by size."""
    return {size: PublishedLog(size) for size in {case["size"] for case in cases("tiles")}}


@by_case("tiles")
def test_the_bytes_of_tiles_and_bundles_are_the_vectors(
    case: Case, published: dict[int, PublishedLog]
) -> None:
    log = published[case["size"]]
    if "path" in case:
        data = log.files[case["path"]]
    else:
        tiles = [tile for tile in new_tiles(0, log.size) if tile.level == case["level"]]
        assert len(tiles) == case["tiles"]
        data = b"".join(map(log.fetch, tiles))
    assert (len(data), sha256(data).hexdigest()) == (case["bytes"], case["sha256"])
    assert data.hex() == case.get("hex", data.hex())


@pytest.mark.parametrize("size", EDGES)
def test_a_builder_makes_exactly_the_tiles_that_the_plan_names(size: int) -> None:
    log = PublishedLog(size)
    planned = [*new_tiles(0, size), *new_bundles(0, size)]
    assert set(log.files) == {tile.to_path() for tile in planned}
    assert log.root == naive_root(log.entries)
    for tile in new_tiles(0, size):
        assert len(log.fetch(tile)) == tile.width * HASH_SIZE


@pytest.mark.parametrize("size", EDGES)
def test_a_whole_log_is_read_from_its_files_and_checked(size: int) -> None:
    log = PublishedLog(size)
    entries = list(read_entries(log.fetch, size))
    assert entries == log.entries
    assert check_tiles(map(leaf_hash, entries), log.root, log.fetch) == size


def test_the_hashes_of_subtrees_are_read_from_tiles_at_every_level() -> None:
    log = PublishedLog(70_000)
    for level, index in [(0, 69_999), (1, 34_999), (7, 3), (8, 272), (9, 135), (15, 1), (16, 0)]:
        leaves = log.entries[index << level : (index + 1) << level]
        assert log.hashes(level, index) == naive_root(leaves), (level, index)
    assert tree_hash(range(70_000), log.hashes) == log.root


def test_a_partial_tile_is_asked_for_at_the_width_of_the_tree() -> None:
    asked: list[Tile] = []
    log = PublishedLog(300)

    def fetch(tile: Tile) -> bytes:
        asked.append(tile)
        return log.fetch(tile)

    assert check_tiles(map(leaf_hash, log.entries), log.root, fetch) == 300
    assert asked == [Tile(0, 0), Tile(0, 1, 44), Tile(1, 0, 1)]


def check(log: PublishedLog, root: bytes) -> None:
    check_tiles(map(leaf_hash, read_entries(log.fetch, log.size)), root, log.fetch)


@given(st.data())
def test_any_flipped_bit_in_any_tile_or_bundle_is_found(data: st.DataObject) -> None:
    log = PublishedLog(data.draw(st.sampled_from(EDGES[1:])))
    path = data.draw(st.sampled_from(sorted(log.files)))
    content = log.files[path]
    log.files[path] = flipped(content, data.draw(st.integers(0, 8 * len(content) - 1)))
    with pytest.raises(EvidenceError):
        check(log, log.root)


@given(st.data())
def test_any_flipped_bit_in_the_root_is_found(data: st.DataObject) -> None:
    log = PublishedLog(data.draw(st.sampled_from(EDGES)))
    root = flipped(log.root, data.draw(st.integers(0, 8 * HASH_SIZE - 1)))
    with pytest.raises(EvidenceRefused, match=f"{log.size} entries have the root"):
        check(log, root)


def test_a_changed_tile_is_named() -> None:
    log = PublishedLog(300)
    log.files["tile/1/000.p/1"] = bytes(32)
    with pytest.raises(EvidenceRefused, match=r"tile/1/000\.p/1 is not what the entries hash to"):
        check(log, log.root)


def test_a_builder_may_be_asked_at_any_time() -> None:
    builder = TileBuilder()
    for size in range(1, 600):
        builder.append(leaf_hash(b"entry %d" % size))
        assert builder.size == size
        partial = [tile for tile in new_tiles(0, size) if tile.width < 256]
        assert [tile for tile, _ in builder.partial()] == partial
