"""Real processes that use the library: fresh ones, and ones for which permissions count."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT = 120


def python(script: str, *arguments: object) -> list[str]:
    """The command line of a fresh Python process that runs a script."""
    return [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


def run(script: str, *arguments: object) -> str:
    """What a script prints; it must end well."""
    done = subprocess.run(
        python(script, *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_unprivileged(script: str, *arguments: object) -> str:
    """What a script prints in a process for which permissions of files count, even as root."""
    return run(f"from tests.support import privileges\nprivileges.drop()\n{script}", *arguments)


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that can be talked to over its standard input and output."""
    return subprocess.Popen(
        python(script, *arguments),
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """What started processes print until their end; all must end well."""
    outputs = []
    for process in processes:
        output, errors = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, errors
        outputs.append(output)
    return outputs
