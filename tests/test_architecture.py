"""Imports go one way, `cli → db, exporters, importers, ledger → projections → eventstore`, and only
`cli` prints.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"
PACKAGE = SOURCE / "certledger"

# What the modules of a room may import of certledger. `ledger` stands for the modules directly
# in the package; `__init__` (the name `certledger` itself), `__main__` and `errors` are rooms of
# their own.
ALLOWED = {
    "errors": {"errors"},
    "eventstore": {"errors", "eventstore"},
    "projections": {"errors", "eventstore", "projections"},
    "ledger": {"errors", "eventstore", "projections", "ledger"},
    "db": {"errors", "eventstore", "projections", "ledger", "db"},
    "exporters": {"errors", "eventstore", "projections", "ledger", "exporters"},
    "importers": {"errors", "eventstore", "projections", "ledger", "importers"},
    "migrations": {"errors", "eventstore", "projections", "migrations"},
    "copying": {"errors", "eventstore", "projections", "copying"},
    "doctor": {"errors", "eventstore", "projections", "ledger", "doctor"},
    "__init__": {"errors", "eventstore", "projections", "ledger", "db"},
    "cli": {
        "errors",
        "eventstore",
        "projections",
        "ledger",
        "db",
        "exporters",
        "importers",
        "copying",
        "doctor",
        "migrations",
        "__init__",
        "cli",
    },
    # What holds somebody else's database to the contract; nothing else imports it.
    "testing": {
        "errors",
        "eventstore",
        "projections",
        "ledger",
        "db",
        "exporters",
        "importers",
        "__init__",
        "testing",
    },
    "__main__": {"cli"},
}
SCREEN = {"click", "rich"}

MODULES = sorted(PACKAGE.rglob("*.py"))
every_module = pytest.mark.parametrize(
    "path", MODULES, ids=[path.relative_to(PACKAGE).as_posix() for path in MODULES]
)


def room_of(path: Path) -> str:
    inside = path.relative_to(PACKAGE)
    if len(inside.parts) > 1:
        return inside.parts[0]
    return inside.stem if inside.stem in {"__init__", "__main__", "errors"} else "ledger"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the absolute dotted name of everything that a module imports."""
    package = path.relative_to(SOURCE).parent.parts
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*start, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def imported_room(name: str) -> str:
    """The room of a dotted name that begins with certledger."""
    parts = name.split(".")[1:]
    if not parts:
        return "__init__"
    if (PACKAGE / parts[0]).is_dir():
        return parts[0]
    module = PACKAGE / f"{parts[0]}.py"
    return room_of(module) if module.exists() else "__init__"


@every_module
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    room = room_of(path)
    assert room in ALLOWED, f"give the new room {room!r} a row in ALLOWED"
    faults = [
        f"line {line}: {name}"
        for line, name in imports(path)
        if name.split(".")[0] == "certledger" and imported_room(name) not in ALLOWED[room]
    ]
    assert faults == []


@every_module
def test_nothing_below_cli_imports_click_or_rich_or_prints(path: Path) -> None:
    if room_of(path) == "cli":
        return
    faults = [
        f"line {line}: {name}" for line, name in imports(path) if name.split(".")[0] in SCREEN
    ]
    faults += [
        f"line {node.lineno}: print()"
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert faults == []


def test_the_rooms_of_the_design_are_there() -> None:
    for room in ("eventstore", "projections", "db", "cli"):
        assert (PACKAGE / room / "__init__.py").is_file(), f"{room} is missing"
