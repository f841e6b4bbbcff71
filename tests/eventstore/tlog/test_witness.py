"""A witness cosigns only logs that grew, whatever their sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from certledger.errors import EvidenceRefused, InvalidValue, MalformedEvidence
from certledger.eventstore.merkle import Frontier, leaf_hash, node_hash
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.eventstore.tlog.note import Note, NoteSigner
from certledger.eventstore.tlog.proofs import HashOf
from certledger.eventstore.tlog.tile_folder import TileFolder
from certledger.eventstore.tlog.tile_tree import TileHashes
from certledger.eventstore.tlog.tiles import Tile
from certledger.eventstore.tlog.witness import check_growth, cosigned, is_cosigned
from tests.support.log import ORIGIN
from tests.support.signed import COSIGNED_AT, OTHER_KEY, WITNESS_KEY

LEAVES = [leaf_hash(b"%d" % number) for number in range(20)]


def root_of(leaves: list[bytes]) -> bytes:
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def checkpoint(size: int, leaves: list[bytes] = LEAVES) -> Checkpoint:
    return Checkpoint(ORIGIN, size, root_of(leaves[:size]))


def hashes(leaves: list[bytes] = LEAVES) -> HashOf:
    def hash_of(level: int, index: int) -> bytes:
        if level == 0:
            return leaves[index]
        return node_hash(hash_of(level - 1, 2 * index), hash_of(level - 1, 2 * index + 1))

    return hash_of


@pytest.mark.parametrize("new", range(len(LEAVES) + 1))
def test_a_log_that_grew_is_accepted_from_every_size_and_only_forwards(new: int) -> None:
    check_growth(checkpoint(new), None, hashes())
    for old in range(len(LEAVES) + 1):
        if old <= new:
            check_growth(checkpoint(new), checkpoint(old), hashes())
        else:
            with pytest.raises(EvidenceRefused, match="a witness does not go back"):
                check_growth(checkpoint(new), checkpoint(old), hashes())


@pytest.mark.parametrize("changed", range(0, 15, 2))
def test_a_log_that_was_changed_is_refused_where_the_old_one_covers_it(changed: int) -> None:
    other = [*LEAVES]
    other[changed] = leaf_hash(b"changed")
    for old in range(1, 16):
        for new in (16, 17, 20):
            if changed < old:
                with pytest.raises(EvidenceRefused, match="not the same log"):
                    check_growth(checkpoint(new, other), checkpoint(old), hashes(other))
            else:
                check_growth(checkpoint(new, other), checkpoint(old), hashes(other))


def test_tiles_of_another_tree_are_refused() -> None:
    with pytest.raises(EvidenceRefused, match="the tiles have the root"):
        check_growth(checkpoint(20), checkpoint(3), hashes(LEAVES[::-1]))


def test_whose_cosignature_a_checkpoint_bears_is_verified_and_told() -> None:
    plain = Note(checkpoint(3).to_text()).signed(NoteSigner(OTHER_KEY)).to_bytes()
    key = WITNESS_KEY.verifier_key
    assert not is_cosigned(plain, key)
    signed = cosigned(plain, WITNESS_KEY, COSIGNED_AT)
    assert is_cosigned(signed, key)
    assert not is_cosigned(
        signed, SigningKey("witness.example", KeyKind.COSIGNATURE, b"x" * 32).verifier_key
    )
    with pytest.raises(EvidenceRefused, match="does not verify"):
        is_cosigned(signed.replace(b"\n3\n", b"\n4\n"), key)
    with pytest.raises(MalformedEvidence):
        is_cosigned(b"", key)
    with pytest.raises(MalformedEvidence):
        cosigned(plain, OTHER_KEY, COSIGNED_AT)
    with pytest.raises(InvalidValue):
        cosigned(plain, WITNESS_KEY, -1)


# A folder of tiles


def test_a_partial_tile_that_is_gone_is_cut_from_the_full_one(tmp_path: Path) -> None:
    full = bytes(range(256)) * 32
    path = tmp_path / "tile" / "0" / "x001" / "000"
    path.parent.mkdir(parents=True)
    path.write_bytes(full)
    folder = TileFolder(tmp_path)
    assert folder(Tile(0, 1000)) == full
    assert folder(Tile(0, 1000, 7)) == full[: 7 * 32]


def test_a_tile_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for tile in (Tile(0, 0), Tile(0, 0, 7), Tile("entries", 0, 7)):
        with pytest.raises(EvidenceRefused, match=f"has no {tile.to_path()}"):
            TileFolder(tmp_path)(tile)
    (tmp_path / "tile").touch()
    with pytest.raises(EvidenceRefused, match="has no"):
        TileFolder(tmp_path)(Tile(0, 0))


def test_a_bundle_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "tile" / "entries" / "000.p" / "1"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\0\3abc")
    assert TileFolder(tmp_path)(Tile("entries", 0, 1)) == b"\0\3abc"


def test_no_more_than_a_tile_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tile" / "0" / "000.p" / "7"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(100_000))
    assert len(TileFolder(tmp_path)(Tile(0, 0, 7))) == 8193
    with pytest.raises(MalformedEvidence, match="a tile of 7 hashes has 224 bytes"):
        TileHashes(TileFolder(tmp_path), 7)(0, 0)
