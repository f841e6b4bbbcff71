"""What every benchmark is given."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.rival import Rival
from benchmarks.sizes import Sizes


@dataclass(frozen=True, slots=True)
class Setting:
    """Sizes, rounds, and where things lie."""

    sizes: Sizes
    rounds: int
    folder: Path
    """On a real disk; what costs time to make is kept here."""
    rival: Rival | None = None
    """None where tiny_ca cannot be installed."""
    servers: Mapping[str, str] = field(default_factory=dict)
    """URLs by kind: postgresql, mariadb. Schemas and databases are made there, and dropped."""

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Lend an empty folder on the same disk."""
        with tempfile.TemporaryDirectory(prefix="scratch-", dir=self.folder) as name:
            yield Path(name)

    def say(self, text: str) -> None:
        """Tell a waiting person what goes on."""
        print(f"  {text} …", file=sys.stderr, flush=True)
