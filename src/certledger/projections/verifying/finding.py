"""What verifying tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

_STREAM: Final = re.compile(r"certificate/(0|-?[1-9][0-9]{0,59})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    level: Literal["finding", "note"]
    """`finding`: damage, or a broken rule. `note`: legal, but worth knowing."""
    kind: str
    seq: int | None
    """The entry concerned, or the first of several; None where it is none."""
    message: str
    serial: int | None = None
    """The serial number of the certificate concerned, where it is one."""


def serial_in(subject: Any) -> int | None:
    """Return the serial number that a stream's name holds, None for any other value."""
    found = _STREAM.fullmatch(subject) if isinstance(subject, str) else None
    return int(found[1]) if found else None
