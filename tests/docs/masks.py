"""What differs from run to run, and nothing else, is made equal before outputs are compared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_B64: Final = "[A-Za-z0-9+/]"
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
        # Roots and hashes; signatures and cosignatures with the key's id; key lines.
        (rf"(?<!{_B64})({_B64}{{43}}=|{_B64}{{91}}=|{_B64}{{102}}==)", "<base64>"),
        (rf"\+[0-9a-f]{{8}}\+{_B64}{{44}}(?!{_B64})", "+<key>"),
        (r"\+[0-9a-f]{8}\b", "+<key id>"),
        (r"\bin \d+\.\d s\b", "in <seconds> s"),
        (r"\b[\d,]+ bytes\b", "<size> bytes"),
        # Versions of OpenSSL write a name with blanks or without.
        (r"\b(CN|O) = ", r"\1="),
    )
]


def masked(lines: Iterable[str]) -> list[str]:
    """Return lines without trailing blanks, and with times, ids, hashes, keys, signatures,
    durations and sizes masked.
    """
    return [_masked(line) for line in lines]


def _masked(line: str) -> str:
    for pattern, mask in _MASKS:
        line = pattern.sub(mask, line)
    return line.rstrip()
