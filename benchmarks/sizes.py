"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of certificates, or of calls in a round."""

    files: int
    """PEM files, half with P-256 keys and half with RSA-2048 keys."""
    one_by_one: int
    """Registered in a round, one commit each."""
    rows: int
    """In the tables that are looked up, and due in the sweep."""
    logs: tuple[int, ...]
    """The logs that are replayed, smallest first; the largest is also added to and looked up."""
    calls: int
    """Look-ups in a round."""


FULL: Final = Sizes(
    files=20_000, one_by_one=1_000, rows=10_000, logs=(50_000, 100_000, 200_000), calls=1_000
)
QUICK: Final = Sizes(
    files=4_000, one_by_one=300, rows=4_000, logs=(10_000, 20_000, 40_000), calls=300
)
TINY: Final = Sizes(files=40, one_by_one=4, rows=20, logs=(30, 60), calls=10)
"""Only to see that everything runs."""

SIZES: Final = {"full": FULL, "quick": QUICK, "tiny": TINY}
