"""Processes that use a registry and tell of every change once it is durable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]

Report = dict[str, Any]


class Worker:
    """A process of `tests.crash.worker`: it has opened nothing before it is told to go on."""

    def __init__(self, task: str, *arguments: object, tracer: tuple[str, ...] = ()) -> None:
        self._process = subprocess.Popen(
            [*tracer, sys.executable, "-m", "tests.crash.worker", task, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def say(self, line: str = "") -> None:
        """Send a line, which the worker is waiting for."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def hear(self) -> Report:
        """Wait for the next report."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.endswith(b"\n"), f"the worker ended: {self._process.wait()}"
        return dict(json.loads(line))

    def go(self) -> Self:
        """Let it begin, and wait until its registry is open."""
        self.begin()
        assert self.hear() == {"ready": True}
        return self

    def begin(self) -> None:
        """Wait until it has imported everything, and let it begin."""
        assert self.hear() == {"imported": True}
        self.say()

    def kill(self) -> None:
        """End it by SIGKILL, wherever it is."""
        self._process.kill()
        self._process.wait()

    def rest(self) -> list[Report]:
        """All reports that are left when the worker ends, cut-off ones excepted."""
        assert self._process.stdout is not None
        lines = self._process.stdout.read().splitlines(keepends=True)
        self._process.wait()
        return [json.loads(line) for line in lines if line.endswith(b"\n")]
