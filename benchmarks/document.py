"""Putting the figures of a run into the document that quotes them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from benchmarks.report import (
    CONTENDER_HEADS,
    FIGURE_HEADS,
    Json,
    contender_rows,
    figure_rows,
    markdown_table,
    setting_of,
)

DOCUMENT: Final = Path(__file__).parent.parent / "docs" / "explanation" / "performance.md"
BEGIN: Final = "<!-- figures: begin (python -m benchmarks --document RESULTS.json) -->"
END: Final = "<!-- figures: end -->"


def renew(results: Path, document: Path = DOCUMENT) -> None:
    """Put the figures of a run between the marks of the document.

    Each benchmark has a section, with what it was measured on; those that the run did not measure
    stay as they are. Raises `ValueError` where the marks are missing.
    """
    text = document.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    there, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{document} has no marks {BEGIN} and {END}"
        raise ValueError(message)
    report = json.loads(results.read_text(encoding="utf-8"))
    sections = {name: body.strip() for name, body in _SECTION.findall(there)}
    sections |= {result["name"]: section_of(report, result) for result in report["benchmarks"]}
    figures = "\n\n".join(f"### `{name}`\n\n{body}" for name, body in sections.items())
    document.write_text(f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}", encoding="utf-8")


def section_of(report: Json, result: Json) -> str:
    """Write the figures of a benchmark in Markdown."""
    measured = result["measured"][:1].upper() + result["measured"][1:]
    parts = [
        f"{measured}.",
        markdown_table(FIGURE_HEADS, figure_rows(result)),
        markdown_table(CONTENDER_HEADS, contender_rows(result)),
        *result["notes"],
        setting_of(report),
    ]
    return "\n\n".join(parts)


_SECTION: Final = re.compile(r"^### `([^`]+)`\n(.*?)(?=^### `|\Z)", re.MULTILINE | re.DOTALL)
"""A benchmark's name, and what its section holds."""
