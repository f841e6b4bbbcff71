"""The reference is complete: what exists is in it, and what is in it exists."""

from __future__ import annotations

import csv
import inspect
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from sqlalchemy import Table

import certledger
from certledger import Ledger, errors, testing
from certledger.cli.main import cli
from certledger.db import async_db_manager, base_db, const, models, sync_db_manager
from certledger.eventstore.canonical import canonical
from certledger.eventstore.certificates import describe_certificate, load_certificate
from certledger.eventstore.event import Event, read_event
from certledger.eventstore.events import EVENT_TYPES, Issued
from certledger.eventstore.reasons import CODE_BY_NAME
from certledger.eventstore.tables import (
    alembic_version,
    log_checkpoint,
    log_copy,
    log_entry,
    log_head,
)
from certledger.eventstore.triggers.sqlite import TRIGGERS
from certledger.projections.models import CERTIFICATES, projection, retired
from certledger.testing.certificates import make_ca, pem
from tests.docs.page import ROOT, blocks, read_lines

REFERENCE = ROOT / "docs" / "reference"
BINARIES = Path(sys.executable).parent


def text_of(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """The text under a heading, down to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {heading!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The rows of all tables in a text whose first cell is code; that without its backticks."""
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    return [[row[0].strip("`"), *row[1:]] for row in cells]


def names(text: str) -> list[str]:
    return [row[0] for row in rows(text)]


# The command line


def commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield name, command
        if isinstance(command, click.Group):
            yield from commands(command)


def test_the_reference_has_every_command_with_all_of_its_options() -> None:
    assert re.search(
        r"\.\. click:: certledger\.cli\.main:cli\n +:prog: certledger\n +:nested: full\n",
        text_of("cli"),
    )
    for name, command in [("certledger", cli), *commands(cli)]:
        # sphinx-click leaves out what is hidden.
        assert not command.hidden, name
        assert command.help, name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert not parameter.hidden, f"{name} {parameter.opts}"
                assert parameter.help, f"{name} {parameter.opts}"


@pytest.mark.skipif(find_spec("sphinx_click") is None, reason="Sphinx is not installed")
def test_the_built_documents_show_every_command_option_and_public_name(tmp_path: Path) -> None:
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "text"]
    folders: list[str | Path] = ["-d", tmp_path / "trees", ROOT / "docs", tmp_path / "text"]
    run = subprocess.run([*sphinx, *folders], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    shown = (tmp_path / "text" / "reference" / "cli.txt").read_text(encoding="utf-8")
    for name, command in commands(cli):
        usage = rf"certledger (\w+ )*{name}\b"
        assert re.search(usage, shown), name
        for parameter in command.params:
            assert parameter.opts[-1] in shown, f"{name} {parameter.opts}"
    api = (tmp_path / "text" / "reference" / "python-api.txt").read_text(encoding="utf-8")
    assert [name for name in certledger.__all__ if f"certledger.{name}" not in api] == [
        "LedgerError"  # with the errors
    ]


def test_the_options_before_the_command_are_in_the_synopsis() -> None:
    synopsis = set(re.findall(r"\[(--[a-z-]+)", section(text_of("cli"), "Command line")))
    # click's own --help and --version do not go together with a command.
    assert synopsis == {parameter.opts[-1] for parameter in cli.params} - {"--version"}


def test_every_reason_is_in_the_table_of_values() -> None:
    values = section(text_of("cli"), "Values")
    for name, code in CODE_BY_NAME.items():
        assert f"`{name}` {code}" in values


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry in which every listing has something to list."""
    file = tmp_path_factory.mktemp("registry") / "registry.db"
    url = f"sqlite:///{file}"
    with Ledger(url) as ledger:
        ledger.issue(pem(make_ca().issue("web.example.org", serial=1001)))
    with sqlite3.connect(file) as database:
        database.execute("UPDATE certificates SET status = 'expired'")
    database.close()
    return url


def output(url: str, *arguments: str) -> str:
    run = subprocess.run(
        [BINARIES / "certledger", "--db", url, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout, run.stderr
    return run.stdout


LISTINGS = {
    "list": "`list` and `expiring`",
    "history 1001": "`history` and `log`",
    "log": "`history` and `log`",
    "drift": "`drift`",
    "verify": "`verify`",
    "doctor": "`doctor`",
}


@pytest.mark.parametrize("command", LISTINGS)
def test_the_members_of_a_listing_are_those_of_its_table(command: str, edited: str) -> None:
    documented = [
        row for row in rows(section(text_of("cli"), LISTINGS[command])) if "JSON" in row[1]
    ]
    members = [name for name, where, _ in documented if "JSON" in where]
    assert list(json.loads(output(edited, *command.split(), "--format", "json"))[0]) == members


@pytest.mark.parametrize("command", LISTINGS)
def test_the_columns_of_a_listing_are_those_of_its_table(command: str, edited: str) -> None:
    documented = [
        row[0] for row in rows(section(text_of("cli"), LISTINGS[command])) if "CSV" in row[1]
    ]
    lines = output(edited, *command.split(), "--format", "csv").splitlines()
    # The order of columns is the header's to tell.
    assert sorted(next(csv.reader(lines))) == sorted(documented)


def test_the_members_of_show_and_status_are_those_of_their_tables(edited: str) -> None:
    shown = list(json.loads(output(edited, "show", "1001", "--format", "json")))
    assert shown == names(section(text_of("cli"), "`list` and `expiring`")) + names(
        section(text_of("cli"), "`show`")
    )
    status = list(json.loads(output(edited, "status", "--format", "json")))
    assert status == names(section(text_of("cli"), "`status`"))


@pytest.mark.parametrize("command", ["db current", "db upgrade"])
def test_the_members_of_db_are_those_of_its_tables(command: str, edited: str) -> None:
    members = list(json.loads(output(edited, *command.split(), "--format", "json")))
    assert members == names(section(text_of("cli"), f"`{command}`"))


def test_the_members_of_copy_are_those_of_its_table(edited: str, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path / 'copy.db'}"
    told = output(edited, "copy", edited, target, "--format", "json")
    assert list(json.loads(told)) == names(section(text_of("cli"), "`copy`"))


def test_every_kind_of_finding_is_in_the_reference() -> None:
    documented = {
        (row[1], row[0])
        for row in rows(section(text_of("cli"), "`verify`"))
        if row[1] in {"finding", "note"}
    }
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "src" / "certledger" / "projections").rglob("*.py"))
    )
    found = set(re.findall(r'Finding\(\s*"(finding|note)",\s*"([a-z-]+)"', source))
    found |= {("finding", f"head-{kind}") for kind in ("root", "frontier")}
    assert documented == found - {("note", "drift")}  # told in the row of the finding


def test_every_kind_of_symptom_is_in_the_reference() -> None:
    documented = {
        (level, row[0])
        for row in rows(section(text_of("cli"), "`doctor`"))
        for level in row[1].split(", ")
        if level in {"weak", "note"}
    }
    source = "".join(
        path.read_text(encoding="utf-8")
        for room in ("doctor", "eventstore")
        for path in sorted((ROOT / "src" / "certledger" / room).rglob("*.py"))
    )
    found = set(re.findall(r'Symptom\(\s*"(weak|note)",\s*"([a-z-]+)"', source))
    assert documented == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_lines_for_shell_completion_get_a_script(shell: str) -> None:
    run = subprocess.run(
        [BINARIES / "certledger"],
        env={"_CERTLEDGER_COMPLETE": f"{shell}_source", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "_CERTLEDGER_COMPLETE" in run.stdout
    page = (ROOT / "docs" / "how-to" / "complete-in-the-shell.md").read_text(encoding="utf-8")
    assert f"_CERTLEDGER_COMPLETE={shell}_source" in page


# Python


def test_every_public_name_is_in_the_reference() -> None:
    documented = set(
        re.findall(r"^\.\. \w+:: certledger\.(\w+)(?:\(\))?$", text_of("python-api"), re.MULTILINE)
    )
    assert documented == set(certledger.__all__) - {"LedgerError"}


def test_every_error_is_in_the_reference() -> None:
    assert ".. automodule:: certledger.errors\n   :members:\n" in text_of("errors")
    classes = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    tree = set(re.findall(r"── (\w+)", errors.__doc__ or ""))
    assert tree | {"LedgerError"} == classes
    assert [name for name in classes if not getattr(errors, name).__doc__] == []


def test_the_modules_of_the_facade_have_the_names_that_the_reference_lists() -> None:
    modules = {
        module.__name__: set(module.__all__)
        for module in (certledger.db, async_db_manager, base_db, const, models, sync_db_manager)
    }
    listed = {
        row[0]: set(re.findall(r"`(\w+)`", row[1]))
        for row in rows(section(text_of("python-api"), "The facade"))
    }
    assert listed == modules


def test_every_name_of_the_suite_is_in_the_reference() -> None:
    page = text_of("suite")
    documented = set(re.findall(r"^\.\. [\w:]+:: certledger\.testing\.(\w+)", page, re.MULTILINE))
    assert documented == set(testing.__all__)


def test_every_rule_of_the_contract_is_in_the_reference() -> None:
    documented = rows(section(text_of("suite"), "Rules"))
    assert {row[0]: row[1] for row in documented} == testing.RULES


# The event format


def examples() -> dict[str, Event]:
    """The examples, read strictly from the bytes that they stand for."""
    page = Path("docs/reference/event-format.md")
    found = [
        read_event(canonical(json.loads("\n".join(block.lines))))
        for block in blocks(read_lines(page))
        if block.language == "json"
    ]
    return {event.type: event for event in found}


def test_every_event_type_has_an_example_that_is_a_valid_entry() -> None:
    assert set(examples()) == set(EVENT_TYPES)


def test_the_examples_are_of_one_log() -> None:
    events = list(examples().values())
    assert len({event.source for event in events}) == 1
    assert len({event.id for event in events}) == len(events)
    in_order = sorted(events, key=lambda event: event.seq)
    assert [event.recordedtime for event in in_order] == sorted(
        event.recordedtime for event in events
    )


def test_the_example_of_an_issued_event_is_what_its_certificate_gives() -> None:
    data = examples()[Issued.event_type].data
    assert isinstance(data, Issued)
    again = describe_certificate(
        load_certificate(data.certificate_pem),
        key_type=data.key_type,
        uuid=data.uuid,
    )
    assert again == data


def test_every_attribute_is_in_the_table_of_attributes() -> None:
    documented = names(section(text_of("event-format"), "Attributes"))
    assert set(documented) == set(Event.model_fields) - {"extensions"}


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_every_member_of_data_is_in_the_table_of_its_type(name: str) -> None:
    documented = rows(section(text_of("event-format"), f"`{name}`"))
    fields = EVENT_TYPES[name].model.model_fields
    assert {row[0] for row in documented} == set(fields)
    optional = {row[0] for row in documented if "optional" in row[2]}
    assert optional == {field for field, info in fields.items() if not info.is_required()}


# The tables

TABLES = (
    log_entry,
    log_head,
    log_checkpoint,
    log_copy,
    alembic_version,
    CERTIFICATES,
    retired,
    projection,
)


@pytest.mark.parametrize("table", TABLES, ids=[table.name for table in TABLES])
def test_every_column_is_in_the_reference(table: Table) -> None:
    documented = rows(section(text_of("tables"), f"`{table.name}`"))
    assert [row[0] for row in documented] == list(table.columns.keys())
    nullable = [row[0] for row in documented if "NULL" in row[1]]
    assert nullable == [column.name for column in table.columns if column.nullable]


def test_a_new_registry_has_the_documented_tables_and_triggers(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    Ledger(f"sqlite:///{file}").close()
    database = sqlite3.connect(file)
    found = set(database.execute("SELECT type, name FROM sqlite_master WHERE type != 'index'"))
    database.close()
    assert {name for kind, name in found if kind == "table"} == {table.name for table in TABLES}
    triggers = {name for kind, name in found if kind == "trigger"}
    assert triggers == set(TRIGGERS) == set(names(section(text_of("tables"), "Triggers")))
