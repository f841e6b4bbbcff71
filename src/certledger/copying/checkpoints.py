"""Whether a stored checkpoint is one of its log."""

from __future__ import annotations

from collections.abc import Callable

from certledger.errors import LogCorrupt, MalformedEvidence
from certledger.eventstore.checkpoints import StoredCheckpoint
from certledger.eventstore.head import Head
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.note import Note

RootAt = Callable[[int], bytes]
"""Gives the root of the first so many entries."""


def check_checkpoint(stored: StoredCheckpoint, head: Head, root_at: RootAt) -> None:
    """Hold a stored checkpoint against its own columns and against its log.

    Whose signature it is, is not looked at. Raises `LogCorrupt`, which names the checkpoint.
    """
    fault = _fault(stored, head, root_at)
    if fault is not None:
        message = f"the stored checkpoint {stored.number} {fault}"
        raise LogCorrupt(message)


def _fault(stored: StoredCheckpoint, head: Head, root_at: RootAt) -> str | None:
    try:
        signed = Checkpoint.from_text(Note.from_bytes(stored.note).text)
    except MalformedEvidence as error:
        return f"cannot be read: {error}"
    if signed.origin != head.origin:
        return f"is of the log {signed.origin!r}, not of {head.origin!r}"
    if (signed.size, signed.root) != (stored.size, stored.root):
        return "says another size or root than its columns"
    if signed.size > head.size:
        return f"is of {signed.size} entries, the log has {head.size}: it was cut off"
    root = root_at(signed.size)
    if signed.root != root:
        return (
            f"has the root {signed.root.hex()} at size {signed.size}, the log {root.hex()}: "
            "the log was rewritten"
        )
    return None
