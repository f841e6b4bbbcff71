"""Listings as a table, JSON or CSV, written while they are read.

JSON is one list of objects, one object a line; characters that are not printable are escaped, so
that it is exact and yet harmless on a terminal. CSV is for spreadsheets: a cell that one would
compute or change (a formula, a long number) begins with an apostrophe, which a program strips.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Generic, TypeVar

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from certledger.cli.terminal import Terminal
from certledger.cli.text import safe

Item = TypeVar("Item")
Cell = str | Text
Fields = Mapping[str, object]

_PAGE: Final = 1_000
_NARROW: Final = 12
_GAP: Final = 2
_FORMULA: Final = re.compile(
    r"\s*[=+\-@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}"
    r"\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}]|['\t\r\n]"
)
# Spreadsheets keep 15 digits of a number and no leading zeros.
_ALTERED_NUMBER: Final = re.compile(r"[0-9]{16,}|0[0-9]+")


@dataclass(frozen=True)
class Listing(Generic[Item]):
    """How the items of a listing are shown in each format."""

    headings: Sequence[str]
    """Of the table."""
    cells: Callable[[Item], Sequence[Cell]]
    """One row of the table; cells must be safe for a terminal."""
    fields: Callable[[Item], Fields]
    """The JSON object."""
    columns: Sequence[str]
    """Of the CSV."""
    empty: str
    """What the table says where there are no items."""
    flat: Callable[[Item], Iterable[Fields]] | None = None
    """The CSV rows of an item, where they are not one row of `fields`."""


def format_option(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the option `--format`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(formats or ("table", "json", "csv"), case_sensitive=False),
        default="table",
        show_default=True,
        help="How to write it.",
    )


def write(listing: Listing[Item], items: Iterable[Item], form: str, terminal: Terminal) -> int:
    """Write a listing to stdout and return how many items it had."""
    counter = _Counter(items)
    if form == "json":
        _write_json(listing, counter)
    elif form == "csv":
        _write_csv(listing, counter)
    else:
        _write_tables(listing, iter(counter), terminal.out)
        if not counter.count and listing.empty:
            terminal.say(listing.empty)
    sys.stdout.flush()
    return counter.count


def write_object(fields: Fields) -> None:
    """Write one JSON object to stdout."""
    sys.stdout.write(to_json(fields, indent=2) + "\n")


def to_json(value: object, *, indent: int | None = None) -> str:
    """Encode as JSON that is exact and holds no character that a terminal would obey."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text
    )


def guarded(value: object) -> object:
    """Return a CSV cell that a spreadsheet neither computes nor changes."""
    if not isinstance(value, str):
        return value
    guard = _FORMULA.match(value) or _ALTERED_NUMBER.fullmatch(value)
    return ("'" if guard else "") + safe(value)


class _Counter(Iterable[Item]):
    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[Item]:
        for item in self._items:
            self.count += 1
            yield item


def _write_json(listing: Listing[Item], items: Iterable[Item]) -> None:
    before = "[\n"
    for item in items:
        sys.stdout.write(before + to_json(listing.fields(item)))
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def _write_csv(listing: Listing[Item], items: Iterable[Item]) -> None:
    # All is quoted: where a spreadsheet takes `;` as the separator, a part of a cell must not
    # become a cell of its own.
    writer = csv.writer(sys.stdout, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(listing.columns)
    for item in items:
        for fields in listing.flat(item) if listing.flat else (listing.fields(item),):
            writer.writerow([guarded(fields[column]) for column in listing.columns])


def _write_tables(listing: Listing[Item], items: Iterator[Item], console: Console) -> None:
    # A table's widths are known only when it is complete: a long listing comes in several.
    while page := list(islice(items, _PAGE)):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        rows = [[_text(cell) for cell in listing.cells(item)] for item in page]
        for heading, width in zip(listing.headings, _widths(listing, rows, console), strict=True):
            table.add_column(heading, overflow="fold", width=width)
        for row in rows:
            table.add_row(*row)
        console.print(table)


def _widths(listing: Listing[Item], rows: list[list[Text]], console: Console) -> list[int]:
    """Return how wide the columns are: as wide as their cells where the terminal allows it.

    The first column is what a line is found by: it is folded only when nothing else can be.
    """
    room = console.width - _GAP * (len(listing.headings) - 1)
    columns = zip(*([Text(heading) for heading in listing.headings], *rows), strict=True)
    widths = [min(max(_width(cell) for cell in column), room) for column in columns]
    while sum(widths) > max(room, len(widths)):
        others = [place for place, width in enumerate(widths) if place and width > _NARROW]
        widest = max(others or range(len(widths)), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def _width(cell: Text) -> int:
    return max((line.cell_len for line in cell.split("\n")), default=0)


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)
