"""Tiles: paths, and which of them a tree consists of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import InvalidValue, MalformedEvidence
from certledger.eventstore.tlog.tiles import (
    ENTRIES,
    TILE_WIDTH,
    Level,
    Tile,
    level_tiles,
    new_bundles,
    new_tiles,
    split_tile,
    tile_holding,
)
from tests.support.vectors import Case, by_case

LEVELS: st.SearchStrategy[Level] = st.integers(0, 63) | st.just(ENTRIES)
TILES = st.builds(Tile, LEVELS, st.integers(0, 2**56 - 1), st.integers(1, TILE_WIDTH))


@by_case("tile_paths_valid")
def test_a_path_names_the_vector_s_tile_and_is_written_alike(case: Case) -> None:
    tile = Tile(case["level"], case["index"], case["width"])
    assert Tile.from_path(case["path"]) == tile
    assert tile.to_path() == case["path"]


@by_case("tile_paths_invalid")
def test_any_other_path_is_refused(case: Case) -> None:
    with pytest.raises(MalformedEvidence):
        Tile.from_path(case["path"])


@by_case("leaf_location")
def test_a_leaf_is_found_where_the_vectors_have_it(case: Case) -> None:
    index, size = case["index"], case["size"]
    assert tile_holding(0, index, size).to_path() == case["tile_path"]
    assert tile_holding(ENTRIES, index, size).to_path() == case["entries_path"]
    assert index % TILE_WIDTH == case["offset_in_tile"]


@by_case("tile_plan")
def test_a_tree_consists_of_the_vector_s_tiles(case: Case) -> None:
    size = case["size"]
    full, partial = {}, []
    for level in range(8):
        count, width = level_tiles(level, size)
        full[level] = count
        if width:
            partial.append(Tile(level, count, width).to_path())
    assert full == {level: case.get(f"full_level_{level}", 0) for level in range(8)}
    assert partial == case["partial"]
    if size <= 70_000:
        tiles = list(new_tiles(0, size))
        whole = [Tile(level, at) for level, count in full.items() for at in range(count)]
        assert sorted(map(Tile.to_path, tiles)) == sorted([*map(Tile.to_path, whole), *partial])
        bundles = [tile.to_path() for tile in tiles if tile.level == 0]
        assert [bundle.to_path() for bundle in new_bundles(0, size)] == [
            path.replace("tile/0/", "tile/entries/") for path in bundles
        ]


@given(TILES)
def test_a_tile_goes_there_and_back(tile: Tile) -> None:
    assert Tile.from_path(tile.to_path()) == tile


@given(st.text() | st.text(st.sampled_from("tile/entrsxp.0123456789")))
def test_any_text_is_a_path_that_is_written_alike_or_malformed(text: str) -> None:
    for whole in (text, f"tile/0/{text}", f"tile/{text}/000", f"tile/0/000.p/{text}"):
        try:
            tile = Tile.from_path(whole)
        except MalformedEvidence:
            continue
        assert tile.to_path() == whole


@given(st.integers(0, 200_000), st.integers(0, 2_000))
def test_what_is_new_is_exactly_what_the_old_tree_lacks(old: int, more: int) -> None:
    new = old + more
    before, after = set(new_tiles(0, old)), list(new_tiles(0, new))
    assert set(new_tiles(old, new)) == set(after) - before
    assert len(after) == len(set(after))
    bundles = set(new_bundles(0, new)) - set(new_bundles(0, old))
    assert set(new_bundles(old, new)) == bundles


def test_a_tile_names_the_subtrees_whose_hashes_it_holds() -> None:
    assert Tile(0, 1, 2).subtrees() == [(0, 256), (0, 257)]
    assert Tile(2, 3, 1).subtrees() == [(16, 768)]
    with pytest.raises(InvalidValue):
        Tile(ENTRIES, 0, 1).subtrees()


@pytest.mark.parametrize(
    ("level", "place", "size"),
    [(0, 0, 0), (0, -1, 7), (0, 7, 7), (ENTRIES, 300, 300), (1, 1, 511), (8, 0, 2**60)],
)
def test_a_place_that_a_tree_does_not_have_is_in_no_tile(
    level: Level, place: int, size: int
) -> None:
    with pytest.raises(InvalidValue):
        tile_holding(level, place, size)


@pytest.mark.parametrize(
    ("level", "index", "width"), [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)]
)
def test_a_tile_that_has_no_path_is_not_made(level: int, index: int, width: int) -> None:
    with pytest.raises(MalformedEvidence):
        Tile(level, index, width)


@given(st.binary(max_size=100), st.integers(1, 3))
def test_the_bytes_of_a_tile_are_as_many_hashes_as_its_width(data: bytes, width: int) -> None:
    if len(data) == 32 * width:
        assert b"".join(split_tile(data, width)) == data
    else:
        with pytest.raises(MalformedEvidence):
            split_tile(data, width)
