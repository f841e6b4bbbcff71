"""Entry bundles: the entries of a tile of level 0, each after its length (C2SP tlog-tiles)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from certledger.errors import EntryTooLarge, MalformedEvidence

MAX_ENTRY: Final = 2**16 - 1

_PREFIX: Final = 2


def pack_bundle(entries: Iterable[bytes]) -> bytes:
    """Write entries as a bundle.

    Raises `EntryTooLarge`: an entry must be refused before it gets its place in the log.
    """
    bundle = bytearray()
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise EntryTooLarge(len(entry), MAX_ENTRY)
        bundle += len(entry).to_bytes(_PREFIX, "big") + entry
    return bytes(bundle)


def unpack_bundle(bundle: bytes, width: int) -> list[bytes]:
    """Read exactly as many entries as the bundle's path says, with nothing after them.

    Raises `MalformedEvidence`.
    """
    entries: list[bytes] = []
    start = 0
    while start < len(bundle) and len(entries) < width:
        content = start + _PREFIX
        start = content + int.from_bytes(bundle[start:content], "big")
        entries.append(bundle[content:start])
    # Where the last entry or its length is cut off, `start` lies beyond the end.
    if start != len(bundle) or len(entries) != width:
        message = (
            f"the bundle does not hold {width} whole entries and nothing else: "
            f"entry {len(entries)} ends at byte {start}, the bundle at {len(bundle)}"
        )
        raise MalformedEvidence(message)
    return entries
