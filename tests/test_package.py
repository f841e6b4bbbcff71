"""The distributions and the layout of the repository."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

import certledger

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "certledger"
LINKS = ("cli", "eventstore", "projections")

needs_checkout = pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None,
    reason="needs git and a checkout: an sdist has no links at its root",
)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_built_from_the_sdist_has_every_module(distributions: tuple[Path, Path]) -> None:
    modules = {path.relative_to(PACKAGE.parent).as_posix() for path in PACKAGE.rglob("*.py")}
    expected = modules | {"certledger/py.typed"}
    assert expected <= wheel_names(distributions[1])


def test_the_wheel_installs_no_name_but_certledger(distributions: tuple[Path, Path]) -> None:
    tops = {PurePosixPath(name).parts[0] for name in wheel_names(distributions[1])}
    assert tops == {"certledger", f"certledger-{certledger.__version__}.dist-info"}


def test_the_wheel_has_the_command_and_the_licence(distributions: tuple[Path, Path]) -> None:
    info = f"certledger-{certledger.__version__}.dist-info"
    with zipfile.ZipFile(distributions[1]) as archive:
        assert "certledger = certledger.cli.main:main" in archive.read(
            f"{info}/entry_points.txt"
        ).decode("utf-8")
        assert archive.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_the_sdist_has_the_tests_and_the_documents(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[0]) as archive:
        names = {PurePosixPath(*PurePosixPath(name).parts[1:]) for name in archive.getnames()}
    expected = ("Makefile", "constraints.txt", ".ci/run", "docs/conf.py", "tests/test_package.py")
    assert {PurePosixPath(name) for name in expected} <= names
    assert not {name for name in names if name.parts and name.parts[0] in LINKS}


@needs_checkout
@pytest.mark.parametrize("name", LINKS)
def test_a_link_at_the_root_is_relative_and_leads_to_the_real_folder(name: str) -> None:
    link = ROOT / name
    assert link.readlink() == Path("src", "certledger", name)
    assert link.resolve() == PACKAGE / name
    assert link.is_dir()


@needs_checkout
def test_no_file_imports_the_bare_names_of_the_links() -> None:
    faults = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in repository_files()
        for name in imported_names(path)
        if name.split(".")[0] in LINKS
    ]
    assert faults == []


def repository_files() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    # A file deleted but not yet committed is still listed.
    return [ROOT / name for name in listing.split("\0") if (ROOT / name).is_file()]


def imported_names(path: Path) -> list[str]:
    """The absolute names that a Python file, or a code block of a document, imports."""
    if path.suffix == ".md":
        text = path.read_text(encoding="utf-8")
        pattern = r"^\s*(?:>>> )?(?:from\s+([\w.]+)\s+import|import\s+([\w.]+)\s*(?:$|,| as ))"
        return [one or other for one, other in re.findall(pattern, text, re.MULTILINE)]
    if path.suffix != ".py":
        return []
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.append(node.module)
    return names
