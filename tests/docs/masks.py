"""What differs from run to run, and nothing else, is made equal before outputs are compared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_MASKS: Final = [
    (re.compile(pattern), mask)
    for pattern, mask in (
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?", "<time>"),
        (r"\b\d{4}-\d\d-\d\d\b", "<date>"),
        (r"\b\d\d:\d\d:\d\dZ", "<clock>"),  # folded into the next line of a table
        (r"\b[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} GMT\b", "<time>"),
        (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<uuid>"),
        (r"\b[0-9a-f]{64}\b", "<sha256>"),
        (r"\b[0-9a-f]{40}\b", "<key id>"),
        (r"\b[0-9a-f]{16}…", "<hash>…"),
        (r"\bin \d+\.\d s\b", "in <seconds> s"),
        (r"\b[\d,]+ bytes\b", "<size> bytes"),
        # Versions of OpenSSL write a name with blanks or without.
        (r"\b(CN|O) = ", r"\1="),
    )
]


def masked(lines: Iterable[str]) -> list[str]:
    """Return lines with times, ids, hashes, durations and sizes masked, without trailing blanks."""
    return [_masked(line) for line in lines]


def _masked(line: str) -> str:
    for pattern, mask in _MASKS:
        line = pattern.sub(mask, line)
    return line.rstrip()
