"""Writing the file that the user named, or to standard output."""

from __future__ import annotations

import sys

from certledger.eventstore.files import replacing

__all__ = ["replacing", "write_whole"]


def write_whole(target: str | None, data: bytes) -> None:
    """Write a file as `replacing` does, or to stdout where `target` is None or `-`."""
    if target is None or target == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    with replacing(target) as stream:
        stream.write(data)
