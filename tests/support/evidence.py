"""A small log of evidence: entries, their tree in tiles, and what log and witnesses sign of it."""

from __future__ import annotations

from collections.abc import Sequence

from certledger.eventstore.merkle import leaf_hash
from certledger.eventstore.tlog.bundles import pack_bundle
from certledger.eventstore.tlog.checkpoint import Checkpoint, TrustedLog
from certledger.eventstore.tlog.note import Note, NoteSigner
from certledger.eventstore.tlog.proofs import HashOf, inclusion_proof
from certledger.eventstore.tlog.tile_tree import TileBuilder, TileHashes
from certledger.eventstore.tlog.tiles import TILE_WIDTH, Tile, new_bundles
from certledger.eventstore.tlog.tlog_proof import TlogProof
from tests.support.vectors import leaf, signing_key

KEY = signing_key("log")
ORIGIN = KEY.verifier_key.name
TRUST = TrustedLog(ORIGIN, [KEY.verifier_key])


def build(entries: Sequence[bytes]) -> TileBuilder:
    builder = TileBuilder()
    for entry in entries:
        builder.append(leaf_hash(entry))
    return builder


class PublishedLog:
    """A log whose files are a dictionary: path -> bytes."""

    def __init__(self, size: int) -> None:
        self.entries = [leaf(index) for index in range(size)]
        self.size = size
        self.files: dict[str, bytes] = {}
        builder = TileBuilder()
        for entry in self.entries:
            self._store(builder.append(leaf_hash(entry)))
        self._store(builder.partial())
        for bundle in new_bundles(0, size):
            first = bundle.index * TILE_WIDTH
            content = pack_bundle(self.entries[first : first + bundle.width])
            self.files[bundle.to_path()] = content
        self.root = builder.root()

    def fetch(self, tile: Tile) -> bytes:
        return self.files[tile.to_path()]

    @property
    def hashes(self) -> HashOf:
        return TileHashes(self.fetch, self.size)

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(ORIGIN, self.size, self.root)

    def signed(self) -> bytes:
        return Note(self.checkpoint.to_text()).signed(NoteSigner(KEY)).to_bytes()

    def proof(self, index: int, extra: bytes = b"") -> TlogProof:
        path = inclusion_proof(index, self.size, self.hashes)
        return TlogProof(index, tuple(path), self.signed(), extra)

    def _store(self, tiles: list[tuple[Tile, bytes]]) -> None:
        self.files.update((tile.to_path(), data) for tile, data in tiles)


def flipped(data: bytes, bit: int) -> bytes:
    """The same bytes but for one bit."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
