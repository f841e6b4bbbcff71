"""The verifier rests on the standard library, `cryptography` and a few modules, nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import certledger.eventstore.tlog

FOLDER = Path(certledger.eventstore.tlog.__file__).parent
PACKAGE = "certledger.eventstore.tlog"
OURS = {"certledger.errors", "certledger.eventstore.merkle"}
OTHERS = ["click", "pydantic", "rich", "sqlalchemy"]
MODULES = sorted(FOLDER.glob("*.py"))


def imported_modules(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            assert node.module is not None
            found.add(node.module)
    return found


def is_allowed(module: str) -> bool:
    top = module.split(".", maxsplit=1)[0]
    if top == "certledger":
        return module in OURS or module.startswith(f"{PACKAGE}.")
    return top in sys.stdlib_module_names or top == "cryptography"


@pytest.mark.parametrize("path", MODULES, ids=[path.stem for path in MODULES])
def test_a_module_imports_only_the_standard_library_cryptography_and_its_neighbours(
    path: Path,
) -> None:
    assert {module for module in imported_modules(path) if not is_allowed(module)} == set()


def test_what_is_imported_in_turn_needs_nothing_else_either() -> None:
    for module in OURS:
        path = FOLDER.parent.parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
        assert {name for name in imported_modules(path) if not is_allowed(name)} == set()


def test_the_verifier_runs_without_the_other_dependencies() -> None:
    """Importing certledger itself brings them; the verifier's own modules do not."""
    names = [f"{PACKAGE}.{path.stem}" for path in MODULES if path.stem != "__init__"]
    script = f"""
import importlib, sys, types
for package, folder in (("certledger", {str(FOLDER.parent.parent)!r}),
                        ("certledger.eventstore", {str(FOLDER.parent)!r})):
    bare = types.ModuleType(package)
    bare.__path__ = [folder]
    sys.modules[package] = bare
for other in {OTHERS!r}:
    sys.modules[other] = None  # importing it fails
for name in {names!r}:
    importlib.import_module(name)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
