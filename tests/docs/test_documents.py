"""Every command and every program in the documents is run, and prints what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.page import ROOT, blocks, commands, pages, read_lines
from tests.docs.runner import programs_missing, run_page

PAGES = pages()

LANGUAGES = {
    "console": "commands after `$ ` and their output: run",
    "python": "a program: run",
    "output": "what the program before it printed: compared",
    "sql": "statements for a database server: run by tests/backends/",
    "json": "an entry of the log: read by test_reference.py",
    "text": "neither command nor output: a drawing, a line of a file",
    "{toctree}": "Sphinx's",
    "{eval-rst}": "Sphinx's",
    "{literalinclude}": "a file of the source, which has a test of its own",
}
"""What a fenced block may be, so that no command escapes being run."""

_POSTGRESQL = "docs/how-to/set-up-postgresql.md"
_COMPLETION = "docs/how-to/complete-in-the-shell.md"
_BASH = '$ eval "$(_CERTLEDGER_COMPLETE=bash_source certledger)"'
_ZSH = '$ eval "$(_CERTLEDGER_COMPLETE=zsh_source certledger)"'
_FISH = "$ _CERTLEDGER_COMPLETE=fish_source certledger > ~/.config/fish/completions/certledger.fish"
_ASKED = "test_reference.py checks the script that it asks for"
_PUBLISH = "docs/how-to/publish-checkpoints.md"
_FASTAPI = "docs/how-to/use-from-fastapi.md"
_ASK_THE_SERVICE = (
    '$ curl -H "X-Actor: ops@example.org" -H "Content-Type: application/x-pem-file" \\'
)
_UPGRADE = "docs/how-to/upgrade.md"
_OLD = "needs a registry that an earlier version made"
_SUITE = "docs/how-to/hold-a-backend-to-the-suite.md"
NOT_RUN = {
    (_SUITE, "$ pip install certledger[testing,postgresql]"): "it installs packages",
    (_SUITE, "import os"): "it needs your server",
    ("README.md", "$ make demo"): "needs a clone and installs packages",
    (_COMPLETION, _BASH): f"a line for ~/.bashrc; {_ASKED}",
    (_COMPLETION, _ZSH): f"a line for ~/.zshrc; {_ASKED}",
    (_COMPLETION, _FISH): f"for fish; {_ASKED}",
    ("docs/explanation/performance.md", "$ make bench"): "it measures for minutes",
    (_FASTAPI, "$ pip install certledger fastapi uvicorn"): (
        "it serves until it is stopped; tests/examples runs it"
    ),
    (_FASTAPI, _ASK_THE_SERVICE): "it asks the service above",
    (_PUBLISH, "$ ssh audit@other.example.org < log.checkpoint"): "needs another host",
    (
        _POSTGRESQL,
        (
            "$ certledger --db postgresql://registry_owner@db.example.org/pki init "
            "--origin ca.example.org/registry"
        ),
    ): "needs a server of PostgreSQL",
    (
        "docs/how-to/set-up-mariadb.md",
        (
            '$ certledger --db "mariadb://registry_owner@db.example.org/registry'
            '?read_default_file=owner.cnf" init --origin ca.example.org/registry'
        ),
    ): "needs a server of MariaDB",
    (_UPGRADE, "$ certledger --db sqlite:///old.db db current"): _OLD,
    (_UPGRADE, "$ certledger --db sqlite:///old.db db upgrade"): _OLD,
    (_PUBLISH, "$ rclone copy mirror store:registry --exclude /checkpoint --immutable"): (
        "needs an object store"
    ),
    (
        "docs/how-to/move-between-databases.md",
        (
            "$ certledger copy sqlite:///ca_repository.db "
            "postgresql://registry_owner@db.example.org/pki"
        ),
    ): "needs servers",
}
"""Page and first command of the blocks that are not run, with the reason that the page gives."""

every_page = pytest.mark.parametrize("page", PAGES, ids=[page.as_posix() for page in PAGES])


@every_page
def test_what_a_page_runs_prints_what_it_shows(page: Path, tmp_path: Path) -> None:
    missing = programs_missing(page)
    if missing:
        pytest.skip(f"there is no {' and no '.join(missing)} on the path")
    folder, scratch = tmp_path / "folder", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    wrong = [ran for ran in run_page(page, folder, scratch) if not ran.agrees]
    told = [
        f"{page}:{ran.start + 1}: {ran.what}\n--- shown\n"
        + "\n".join(ran.shown)
        + "\n--- printed\n"
        + "\n".join(ran.actual)
        for ran in wrong
    ]
    assert not told, "\n".join([*told, "`python -m tests.docs --update` writes what is printed"])


@every_page
def test_every_block_says_what_it_is(page: Path) -> None:
    faults = [
        f"line {block.start}: {block.language!r}"
        for block in blocks(read_lines(page))
        if block.language not in LANGUAGES
    ]
    assert faults == []


@every_page
def test_output_stands_after_the_command_or_program_that_printed_it(page: Path) -> None:
    before = None
    for block in blocks(read_lines(page)):
        if block.language == "console":
            list(commands(block))
        if block.language == "output":
            assert before == "python", f"line {block.start}"
        before = block.language


def test_only_the_listed_blocks_are_not_run() -> None:
    found = {
        (page.as_posix(), block.lines[0]): block.not_run
        for page in PAGES
        for block in blocks(read_lines(page))
        if block.not_run is not None
    }
    assert found == NOT_RUN


def test_no_page_shows_the_temporary_folder_that_it_was_run_in() -> None:
    faults = [
        f"{page}:{number}"
        for page in PAGES
        for number, line in enumerate(read_lines(page), 1)
        if "/tmp/" in line
    ]
    assert faults == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_the_links_of_the_pages_outside_of_sphinx_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_page_of_the_documents_but_decisions_is_linked_from_another() -> None:
    linked = {
        (ROOT / page.parent / link).resolve()
        for page in PAGES
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", "\n".join(read_lines(page)))
    }
    alone = [
        page.as_posix()
        for page in PAGES
        if "docs" in page.parts
        and "decisions" not in page.parts
        and page.name != "index.md"
        and (ROOT / page).resolve() not in linked
    ]
    assert alone == []


def test_no_command_hides_in_a_block_of_text() -> None:
    faults = [
        f"{page}:{block.start + 1 + at}"
        for page in PAGES
        for block in blocks(read_lines(page))
        if block.language in {"text", "output"}
        for at, line in enumerate(block.lines)
        if line.startswith("$ ")
    ]
    assert faults == []
