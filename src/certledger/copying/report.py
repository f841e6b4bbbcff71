"""What a copy came to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a finished copy holds, all of which was proved, and what its source was found to be."""

    source: str
    """The URL of the source without its password."""
    target: str
    """The URL of the target without its password."""
    origin: str
    """The registry's name."""
    size: int
    """How many entries the copy has."""
    root: bytes
    """The root hash over the bytes that the target gives back; the source states the same."""
    copied: int
    """How many of the entries this run wrote; the others were there from an earlier run."""
    checkpoints: int
    """How many stored checkpoints the copy has."""
    certificates: int
    """How many rows the table `certificates` of the copy has."""
    retired: int
    """How many rows the table `retired` of the copy has."""
    source_size: int
    """How many entries the source had when the copy was finished: more than `size` where others
    wrote to it meanwhile.
    """
    source_drift: int
    """In how many rows the tables of the source differ from its log, and so from the copy."""
    source_fault: str | None
    """Why the tables of the source could not be compared, where they are broken."""
    not_copied: tuple[str, ...]
    """The tables of others in the source, and columns that others added, as `table.column`."""
    seconds: float

    @property
    def behind(self) -> int:
        """How many entries the source has more: copy again before the registry is used here."""
        return self.source_size - self.size
