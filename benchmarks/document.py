"""Putting the figures of a run into the document that quotes them."""

from __future__ import annotations

import json
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
    """Replace what stands between the marks of the document by the figures of a run.

    Raises `ValueError` where the marks are missing.
    """
    text = document.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{document} has no marks {BEGIN} and {END}"
        raise ValueError(message)
    figures = figures_of(json.loads(results.read_text(encoding="utf-8")))
    document.write_text(f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}", encoding="utf-8")


def figures_of(report: Json) -> str:
    """Write the figures of a run in Markdown."""
    parts = [setting_of(report)]
    for result in report["benchmarks"]:
        measured = result["measured"][:1].upper() + result["measured"][1:]
        parts += [
            f"### `{result['name']}`",
            f"{measured}.",
            markdown_table(FIGURE_HEADS, figure_rows(result)),
            markdown_table(CONTENDER_HEADS, contender_rows(result)),
            *result["notes"],
        ]
    return "\n\n".join(parts)
