"""What verifying tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    level: Literal["finding", "note"]
    """`finding`: damage, or a broken rule. `note`: legal, but worth knowing."""
    kind: str
    seq: int | None
    """The entry concerned, where it is one."""
    message: str
