"""The commands that hold the tables against the log: rebuild, drift."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import click
from rich.text import Text

from certledger.cli.failures import FAILED, CheckingCommand
from certledger.cli.output import Listing, format_option, write
from certledger.cli.session import Session, pass_session
from certledger.cli.text import counted, safe, serial_fields
from certledger.projections.compare import Difference

_LONGEST: Final = 40
_TIMES: Final = frozenset({"not_valid_before", "not_valid_after", "revocation_date"})
_STORED_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", re.ASCII)


@click.command()
@click.option(
    "--recreate",
    is_flag=True,
    help="Make the tables themselves anew, where their structure is broken.",
)
@pass_session
def rebuild(session: Session, recreate: bool) -> None:
    """Make the tables what the log says.

    Only rows that differ are changed, and each is named. Others may read and write meanwhile.
    """
    terminal = session.terminal
    with session.ledger() as ledger, terminal.bar("rebuilding") as bar:

        def tell(difference: Difference) -> None:
            bar.hide()
            terminal.say(f"mended {_in_words(difference)}")

        report = ledger.rebuild(bar, tell, recreate=recreate)
    found = (
        f"{report.missing:,} missing, {report.unexpected:,} unexpected, {report.changed:,} changed"
    )
    terminal.say(
        f"replayed {counted(report.events, 'entry', 'entries')} in {report.seconds:.1f} s: "
        + (
            f"{counted(report.differences, 'row')} mended ({found})"
            if report.differences
            else "every row is what the log says, nothing to mend"
        )
    )


@click.command(cls=CheckingCommand)
@format_option()
@pass_session
def drift(session: Session, form: str) -> None:
    """Show where the tables differ from the log.

    Names every row and column; changes nothing. Exits with 0 when there is no difference, 1 when
    there are some, 2 when it could not run.
    """
    with session.ledger() as ledger, session.terminal.bar("comparing") as bar:
        count = write(DRIFT, bar.aside(ledger.drift(bar)), form, session.terminal)
        if form == "table" and count:
            rows = "1 row differs" if count == 1 else f"{count:,} rows differ"
            session.terminal.say(f"{rows}; `certledger rebuild` makes them what the log says")
    if count:
        click.get_current_context().exit(FAILED)


def _in_words(difference: Difference) -> str:
    number = _both(difference)
    if difference.kind == "changed":
        columns = ", ".join(difference.columns)
        return f"{difference.table}: serial {number}, row {difference.key}: changed {columns}"
    return f"{difference.table}: serial {number}, row {difference.key}: {difference.kind}"


def _both(difference: Difference) -> str:
    fields = serial_fields(difference.serial_number)
    shown = f" ({fields['serial_hex']})" if fields["serial_hex"] else ""
    return f"{difference.serial_number}{shown}"


def _difference_fields(difference: Difference) -> dict[str, object]:
    return {
        "table": difference.table,
        "key": difference.key,
        **serial_fields(difference.serial_number),
        "kind": difference.kind,
        "columns": {
            name: {"in_table": _plain(name, stored), "by_log": _plain(name, wanted)}
            for name, (stored, wanted) in difference.columns.items()
        },
    }


def _difference_rows(difference: Difference) -> Iterator[dict[str, object]]:
    fields = _difference_fields(difference)
    for name, (stored, wanted) in (difference.columns or {"": (None, None)}).items():
        yield {
            **fields,
            "column": name,
            "in_table": _plain(name, stored),
            "by_log": _plain(name, wanted),
        }


def _plain(column: str, value: object) -> object:
    """Return a stored value as JSON can hold it; times of the usual form as ISO 8601."""
    if isinstance(value, bytes):
        return value.hex()
    if column in _TIMES and _STORED_TIME.fullmatch(str(value)):
        # By letters, so that two spellings of one instant stay two.
        return f"{str(value).replace(' ', 'T')}Z"
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _difference_cells(difference: Difference) -> tuple[str, str, str, Text]:
    lines = [
        f"{name}: {_short(_plain(name, stored))} should be {_short(_plain(name, wanted))}"
        for name, (stored, wanted) in difference.columns.items()
    ]
    meaning = {
        "missing": "missing: the log has it, the table has not",
        "unexpected": "unexpected: the table has it, the log has not",
    }
    return (
        difference.table,
        str(difference.key),
        safe(_both(difference)),
        Text("\n".join(lines) or meaning[difference.kind], "red"),
    )


def _short(value: object) -> str:
    text = "nothing" if value is None else safe(str(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


DRIFT: Final = Listing[Difference](
    headings=("table", "row", "serial", "difference"),
    cells=_difference_cells,
    fields=_difference_fields,
    columns=(
        "table",
        "key",
        "serial_number",
        "serial_hex",
        "kind",
        "column",
        "in_table",
        "by_log",
    ),
    flat=_difference_rows,
    empty="no drift: the tables are what the log says",
)
