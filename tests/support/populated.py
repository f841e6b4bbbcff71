"""The past of `certledger.testing`, for the tests of everything else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from certledger import Ledger
from certledger.testing.populated import Populated, populate

__all__ = ["Populated", "Registry", "populate"]


@dataclass(frozen=True)
class Registry:
    """An open registry and its file."""

    ledger: Ledger
    file: Path
