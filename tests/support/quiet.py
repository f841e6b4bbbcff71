"""Programs that must end without a word on standard error.

A warning is an error in them; where it has nobody to go to, as in the garbage collector, Python
prints it.
"""

from __future__ import annotations

import subprocess

from tests.support.processes import environment, python


def run_quietly(script: str, *arguments: object) -> str:
    """What a script prints in a fresh process; it must end well and say nothing else."""
    done = subprocess.run(
        python(script, *arguments),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
