"""tiny_ca as its package index ships it, in a virtual environment and a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from benchmarks.rounds import Sample

VERSION: Final = "0.2.1"

_HERE: Final = Path(__file__).parent
_CONSTRAINTS: Final = _HERE.parent / "constraints.txt"


class RivalMissing(Exception):
    """tiny_ca cannot be installed here."""


def install(folder: Path) -> Path:
    """Return the Python of a virtual environment with tiny_ca, which is made once.

    What it stands on has the same versions as in the project's own environment.

    Raises `RivalMissing`.
    """
    minor = ".".join(map(str, sys.version_info[:2]))
    place = folder / f"tiny_ca-{VERSION}-psycopg-python{minor}"
    python = place / "bin" / "python"
    if (place / "installed").exists():
        return python
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    constraints = ["-c", str(_CONSTRAINTS)] if _CONSTRAINTS.exists() else []
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(place)],
        [*pip, *constraints, f"tiny-ca=={VERSION}", "psycopg[binary]"],
        [str(python), "-c", "import tiny_ca.db.sync_db_manager"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            raise RivalMissing(lines[-1])
    (place / "installed").touch()
    return python


class Rival:
    """The process that drives tiny_ca; it is told line by line what to do."""

    def __init__(self, python: Path) -> None:
        # It logs every call to standard error; to no terminal, which would take longer.
        self._process = subprocess.Popen(
            [python, _HERE / "rival_worker.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()

    def tell(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            message = f"tiny_ca did not live through {do!r}; run benchmarks/rival_worker.py by hand"
            raise RuntimeError(message)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def open(self, url: str, *, quiet: bool = False) -> None:
        """Open or make a registry; `quiet` silences its logger, which it has not as shipped."""
        self.tell("open", url=url, quiet=quiet)

    def close(self) -> None:
        """Close the registry."""
        self.tell("close")

    def fill(self, files: Sequence[Path]) -> None:
        """Add certificates by the quickest way, to have something to look up."""
        self.tell("fill", files=[str(file) for file in files])

    def measure(self, do: str, **arguments: Any) -> Sample:
        """Give a command and return what it took."""
        answer = self.tell(do, **arguments)
        return Sample(answer["count"], answer["wall"], answer["cpu"])
