"""The log's Merkle tree (RFC 6962 §2.1, RFC 9162 §2.1.1; SHA-256).

Only the peaks of the tree, its perfect subtrees from left to right, are needed to append.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from certledger.errors import InvalidValue

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf: the prefix 0x00 keeps leaves and nodes apart."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root of a perfect tree over 2^n hashes."""
    nodes = list(hashes)
    while len(nodes) > 1:
        nodes = [node_hash(*nodes[at : at + 2]) for at in range(0, len(nodes), 2)]
    return nodes[0]


class Frontier:
    """The peaks of a tree that grows at its right end."""

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: bytes = b"") -> None:
        """Continue a tree of `size` leaves whose peaks, largest first, are joined in `peaks`.

        Raises `InvalidValue` where the number of peaks is not what the size demands.
        """
        if size < 0 or len(peaks) != HASH_SIZE * size.bit_count():
            message = f"{len(peaks)} bytes of peaks do not fit a tree of {size} leaves"
            raise InvalidValue(message)
        self.size = size
        self._peaks = [peaks[at : at + HASH_SIZE] for at in range(0, len(peaks), HASH_SIZE)]

    @property
    def peaks(self) -> bytes:
        """The peaks joined, largest first."""
        return b"".join(self._peaks)

    def append(self, leaf: bytes) -> bytes:
        """Add a leaf's hash; return it, followed by the hashes of the subtrees that it completes,
        smallest first.
        """
        completed = [leaf]
        node = leaf
        # Each trailing one bit of the size is a perfect subtree that waits for this sibling.
        pending = self.size
        while pending & 1:
            node = node_hash(self._peaks.pop(), node)
            completed.append(node)
            pending >>= 1
        self._peaks.append(node)
        self.size += 1
        return b"".join(completed)

    def root(self) -> bytes:
        """Return the root of the tree as it stands."""
        if not self._peaks:
            return EMPTY_ROOT
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = node_hash(peak, node)
        return node
