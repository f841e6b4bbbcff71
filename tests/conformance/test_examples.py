"""The examples of the documents: the suite, run by somebody else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# Nothing here tests that files reach a disk, so they may live in memory.
ENVIRONMENT = os.environ | ({"TMPDIR": "/dev/shm"} if os.access("/dev/shm", os.W_OK) else {})
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "suite"


@pytest.mark.parametrize("name", ["test_another_database", "test_another_handler"])
def test_an_example_passes_where_there_is_nothing_but_the_package(
    tmp_path: Path, name: str
) -> None:
    """In a folder of its own, without the settings of this repository.

    The asynchronous half is left out: it is run on this kind of database beside this test.
    """
    file = tmp_path / f"{name}.py"
    file.write_text((EXAMPLES / file.name).read_text(encoding="utf-8"), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "not async",
        str(file),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)
