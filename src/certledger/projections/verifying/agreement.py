"""Whether signed checkpoints and the log agree: on the size that it had, and the root then."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping

from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.projections.verifying.finding import Finding


class Agreement:
    """Compares checkpoints with the roots that follow from the entries."""

    def __init__(self, stop: int, roots: Mapping[int, bytes]) -> None:
        """Take the log's size and its roots, which are unknown past a missing entry."""
        self._stop = stop
        self._roots = roots
        self._agreed = [0]

    def compare(self, what: str, checkpoint: Checkpoint) -> Iterator[Finding]:
        """Compare one that is believed."""
        size = checkpoint.size
        if size > self._stop:
            message = (
                f"{what} covers {size} entries, the log has {self._stop}: it was cut off, or is "
                "an old copy"
            )
            yield Finding("finding", "truncated", self._stop, message)
        elif self.contradicts(checkpoint):
            first = self._agreed[bisect_left(self._agreed, size) - 1]
            message = (
                f"{what} has the root {checkpoint.root.hex()} at size {size}, the entries give "
                f"{self._roots[size].hex()}: one of the entries {first} to {size - 1} was changed"
            )
            yield Finding("finding", "rewritten", first, message)
        elif size in self._roots and size not in self._agreed[-1:]:
            insort(self._agreed, size)

    def contradicts(self, checkpoint: Checkpoint) -> bool:
        """Tell whether the log is not what a checkpoint says."""
        known = self._roots.get(checkpoint.size, checkpoint.root)
        return checkpoint.size > self._stop or checkpoint.root != known
