"""Running the blocks of a page, in order, in one folder, one shell and one Python namespace."""

from __future__ import annotations

import contextlib
import io
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.docs.masks import masked
from tests.docs.page import ROOT, Block, blocks, commands, read_lines

PROGRAMS: Final = ("openssl", "sqlite3", "git", "sha256sum")
"""What pages may use beyond Python and a shell; where it is missing, the page is skipped."""

_SECONDS: Final = 60
_WIDTH: Final = "80"


@dataclass(frozen=True)
class Ran:
    """A command or a program, and what it printed."""

    what: str
    start: int
    stop: int
    """The place of the shown output in the page's lines."""
    shown: list[str]
    actual: list[str]

    @property
    def agrees(self) -> bool:
        """Whether the output is the one shown, but for what differs from run to run."""
        return masked(self.shown) == masked(self.actual)


class Shell:
    """A bash that runs one command after another and keeps variables and folder between them."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        """Start in `folder`; `scratch` is for files of the shell's own."""
        self._command = scratch / "command.sh"
        self._output = scratch / "output.txt"
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=_environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._say("status=0")

    def run(self, command: str) -> list[str]:
        """Run a command and return the lines of its output, errors among it.

        Raises `TimeoutError`.
        """
        self._command.write_text(command + "\n", encoding="utf-8")
        # `$?` is that of the command before.
        self._say(
            f"(exit $status); . '{self._command}' </dev/null >'{self._output}' 2>&1; "
            "status=$?; echo done"
        )
        stdout = self._bash.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], _SECONDS)[0] or not stdout.readline():
            message = f"no end of the command: {command}"
            raise TimeoutError(message)
        return self._output.read_text(encoding="utf-8").splitlines()

    def _say(self, line: str) -> None:
        stdin = self._bash.stdin
        assert stdin is not None
        stdin.write(line.encode() + b"\n")

    def close(self) -> None:
        """End the shell."""
        self._bash.kill()
        self._bash.communicate()


def _environment(folder: Path) -> dict[str, str]:
    binaries = Path(sys.executable).parent
    return {
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "COLUMNS": _WIDTH,
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",  # output and errors in their order, as on a terminal
    }


def programs_needed(page: Path) -> list[str]:
    """Return which of `PROGRAMS` a page runs."""
    words = {
        word
        for block in _run_blocks(read_lines(page))
        if block.language == "console"
        for command in commands(block)
        for word in command.text.split()
    }
    return [program for program in PROGRAMS if program in words]


def programs_missing(page: Path) -> list[str]:
    """Return which programs a page needs and this machine lacks."""
    return [program for program in programs_needed(page) if shutil.which(program) is None]


def run_page(page: Path, folder: Path, scratch: Path) -> list[Ran]:
    """Run a page's blocks and return what they printed."""
    lines = read_lines(page)
    results: list[Ran] = []
    namespace: dict[str, Any] = {"__name__": "__main__"}
    shell = Shell(folder, scratch)
    try:
        for block in _run_blocks(lines):
            if block.language == "console":
                results += _run_console(shell, block, lines)
            elif block.language == "python":
                results.append(_run_python(page, block, lines, folder, namespace))
    finally:
        shell.close()
    return results


def _run_blocks(lines: list[str]) -> Iterator[Block]:
    return (block for block in blocks(lines) if block.not_run is None)


def _run_console(shell: Shell, block: Block, lines: list[str]) -> Iterator[Ran]:
    for command in commands(block):
        shown = lines[command.start : command.stop]
        yield Ran(command.text, command.start, command.stop, shown, shell.run(command.text))


def _run_python(
    page: Path, block: Block, lines: list[str], folder: Path, namespace: dict[str, Any]
) -> Ran:
    """Run a program; what it prints is shown in the block `output` that follows, if anywhere."""
    # So that a traceback names the line of the page.
    source = "\n" * block.start + "\n".join(block.lines)
    code = compile(source, str(ROOT / page), "exec", dont_inherit=True)
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(code, namespace)  # noqa: S102 # running the documents is the purpose
    output = _output_after(block, lines)
    start, stop = (output.start, output.stop) if output else (block.stop + 1, block.stop + 1)
    what = f"the Python block at line {block.start}"
    return Ran(what, start, stop, lines[start:stop], printed.getvalue().splitlines())


def _output_after(block: Block, lines: list[str]) -> Block | None:
    for other in blocks(lines):
        if other.start > block.stop:
            between = "".join(lines[block.stop + 1 : other.start - 1]).strip()
            return other if other.language == "output" and not between else None
    return None
