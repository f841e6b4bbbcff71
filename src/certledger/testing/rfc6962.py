"""The Merkle tree hash as RFC 6962 §2.1 defines it: recursive, slow, and easy to believe."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def naive_root(entries: Sequence[bytes]) -> bytes:
    """Return MTH(D[n]) of the entries' bytes."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    split = largest_power_of_two_below(len(entries))
    return sha256(b"\x01" + naive_root(entries[:split]) + naive_root(entries[split:])).digest()


def largest_power_of_two_below(number: int) -> int:
    """Return k with k < number <= 2k."""
    power = 1
    while power * 2 < number:
        power *= 2
    return power
