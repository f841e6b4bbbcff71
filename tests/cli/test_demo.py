"""The demonstration runs, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "certledger", "demo", *options]
    environment = {**os.environ, "TMPDIR": str(folder), "CERTLEDGER_DB": "sqlite:///other.db"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_demonstration_runs_to_its_end_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for shown in (
        "rows are equal to those of before",
        "1 row differs",
        "keyCompromise",
        "no findings",
    ):
        assert shown in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_every_command_shown_names_what_a_user_can_run(tmp_path: Path) -> None:
    lines = [line for line in run(tmp_path).stdout.splitlines() if line.startswith("$ ")]
    assert len(lines) > 20
    assert all(line.startswith(("$ certledger ", "$ export CERTLEDGER_DB=")) for line in lines)


def test_the_folder_stays_where_the_user_wants_to_look_at_it(tmp_path: Path) -> None:
    assert run(tmp_path, "--keep").returncode == 0
    (folder,) = tmp_path.iterdir()
    assert {"issuing.db", "crl.pem", "ca.pem"} <= {path.name for path in folder.iterdir()}
