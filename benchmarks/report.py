"""The figures as tables: for a terminal, and for the document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


def number(value: float) -> str:
    """Write a value with three digits that count."""
    if value == 0 or 1e-3 <= abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2e}"


def duration(seconds: float) -> str:
    """Write a time in the unit that fits."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1 or unit == "µs":
            return f"{number(seconds * scale)} {unit}"
    return ""


def spread(figure: Json, unit: str) -> str:
    """Write the median with the lowest and the highest round."""
    low, middle, high = (number(figure[name]) for name in ("min", "median", "max"))
    return f"{middle} {unit} ({low} to {high})"


def figure_rows(result: Json) -> list[list[str]]:
    """Return a benchmark's figures as cells."""
    return [
        [
            figure["what"],
            spread(figure["wall"], figure["unit"]),
            "" if figure["cpu"] is None else f"{number(figure['cpu']['median'])} {figure['unit']}",
            f"{figure['goal']} {figure['unit']}" if figure["goal"] else "",
            figure["verdict"],
        ]
        for figure in result["figures"]
    ]


FIGURE_HEADS = ["figure", "median (lowest to highest round)", "by CPU time", "goal", "verdict"]


def contender_rows(result: Json) -> list[list[str]]:
    """Return a benchmark's contenders as cells."""
    return [
        [
            each["name"],
            f"{each['count']:,}",
            duration(each["wall"]["median"]),
            duration(each["cpu"]["median"]),
        ]
        for each in result["contenders"]
    ]


CONTENDER_HEADS = ["contender", "in a round", "each, by the clock", "CPU time"]


def text_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay cells out for a terminal."""
    lines = [heads, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    return "\n".join(
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay cells out for a document."""
    lines = [list(heads), ["---"] * len(heads), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def text_of(result: Json) -> str:
    """Write a benchmark for a terminal."""
    parts = [
        f"{result['name']}: {result['measured']}",
        text_table(CONTENDER_HEADS, contender_rows(result)),
        text_table(FIGURE_HEADS, figure_rows(result)),
        *(f"  note: {note}" for note in result["notes"]),
    ]
    return "\n\n".join(parts)


def setting_of(report: Json) -> str:
    """Say in a sentence or two what a report was measured on and with."""
    machine = report["machine"]
    names = ", ".join(f"{name} {found}" for name, found in report["versions"].items())
    return (
        f"Measured on {report['date']}: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['system']}, {machine['filesystem']} on which making 4 KiB durable takes "
        f"{machine['sync_microseconds']:,} µs; {names}; {report['rounds']} rounds."
    )
