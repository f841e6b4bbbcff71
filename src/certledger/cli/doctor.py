"""The command that tells what weakens the promise of a registry: doctor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click
from rich.text import Text

from certledger.cli.failures import FAILED, CheckingCommand
from certledger.cli.output import Listing, format_option, write
from certledger.cli.session import Session, pass_session
from certledger.cli.terminal import Terminal
from certledger.cli.text import counted, safe, safe_lines
from certledger.doctor import Mend, Symptom, examine

_LANGUAGES: Final = {"sql": "SQL", "shell": "shell", "ini": "configuration"}


@click.command(cls=CheckingCommand)
@format_option()
@pass_session
def doctor(session: Session, form: str) -> None:
    """Tell what weakens the registry, and what mends it.

    Looks at the settings of the database, at the connection, at what the role may do, at triggers,
    clocks and files, and changes nothing. Something weak keeps the registry from what it promises;
    a note is good to know. Exits with 0 when nothing is weak, 1 when something is, 2 when it could
    not run.
    """
    with session.database() as database:
        found = examine(database)
    weak = sum(symptom.level == "weak" for symptom in found)
    write(SYMPTOMS, found, form, session.terminal)
    if form == "table":
        _tell_mending(found, session.terminal)
        result = counted(weak, "weak symptom") if weak else "nothing is weak"
        notes = counted(len(found) - weak, "note")
        session.terminal.say(f"{result}, {notes}" if len(found) > weak else result)
    if weak:
        click.get_current_context().exit(FAILED)


def _tell_mending(found: Sequence[Symptom], terminal: Terminal) -> None:
    """Write the steps below the table, in its order, where each can be copied whole."""
    for symptom in found:
        for language, steps in _by_language(symptom.mending):
            terminal.out.print()
            heading = Text(f"to mend {symptom.kind}, {_LANGUAGES[language]}:", "bold")
            terminal.out.print(heading, soft_wrap=True)
            for step in steps:
                lines = safe_lines(step.command).split("\n")
                terminal.out.print(Text("\n".join(f"  {line}" for line in lines)), soft_wrap=True)
    if found:
        terminal.out.print()


def _by_language(steps: Iterable[Mend]) -> Iterator[tuple[str, list[Mend]]]:
    """Yield the steps in their order, those that follow in one language together."""
    together: list[Mend] = []
    for step in steps:
        if together and together[0].language != step.language:
            yield together[0].language, together
            together = []
        together.append(step)
    if together:
        yield together[0].language, together


def _fields(symptom: Symptom) -> dict[str, object]:
    return {
        "level": symptom.level,
        "kind": symptom.kind,
        "message": symptom.message,
        "mending": [
            {"language": step.language, "command": step.command} for step in symptom.mending
        ],
    }


def _flat(symptom: Symptom) -> Iterator[dict[str, object]]:
    fields = _fields(symptom)
    for step in symptom.mending or (None,):
        language, command = (step.language, step.command) if step else ("", "")
        yield {**fields, "language": language, "command": command}


SYMPTOMS: Final = Listing[Symptom](
    headings=("level", "kind", "message"),
    cells=lambda symptom: (
        Text(symptom.level, "red" if symptom.level == "weak" else "yellow"),
        symptom.kind,
        safe(symptom.message),
    ),
    fields=_fields,
    columns=("level", "kind", "message", "language", "command"),
    flat=_flat,
    empty="",
)
