"""How values are written for people, as the whole package writes them."""

from __future__ import annotations

from certledger.text import (
    counted,
    day,
    iso,
    moment,
    safe,
    safe_lines,
    serial_fields,
    serial_hex,
    serial_text,
)

__all__ = [
    "counted",
    "day",
    "iso",
    "moment",
    "safe",
    "safe_lines",
    "serial_fields",
    "serial_hex",
    "serial_text",
]
