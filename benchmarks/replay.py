"""Drift and rebuild: the whole log replayed and compared, its speed and the memory it needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.registries import large_registry
from benchmarks.results import Figure, Result, Spread, at_least, at_most
from benchmarks.rounds import Contender, Sample, interleave
from benchmarks.setting import Setting

DRIFT = "drift"
REBUILD = "rebuild"
EMPTIED = "rebuild, emptied table"
TASKS = {DRIFT: "drift", REBUILD: "rebuild", EMPTIED: "rebuild-emptied"}


def run(setting: Setting) -> Result:
    largest = setting.sizes.logs[-1]
    peaks: dict[int, dict[str, list[float]]] = {}
    with setting.scratch() as scratch:
        for size in setting.sizes.logs:
            working = scratch / f"{size}.db"
            shutil.copyfile(large_registry(setting, size), working)
            peaks[size] = {task: [] for task in TASKS}
            contenders: dict[str, Contender] = {
                name: _contender(working, task, peaks[size][name]) for name, task in TASKS.items()
            }
            samples = interleave(contenders, setting.rounds if size == largest else 1)
    result = Result(
        "replay",
        f"a log of {largest:,} issued events replayed into scratch tables, every leaf hash "
        "checked, and compared with the live tables, in a fresh process each time",
        samples,
    )
    result.rate("drift, events", DRIFT, "/s", at_least(20_000))
    result.rate("rebuild of tables that are right, events", REBUILD, "/s", at_least(20_000))
    result.rate("rebuild of an emptied table, events", EMPTIED, "/s", at_least(20_000))
    for size, by_task in peaks.items():
        for name in TASKS:
            spread = Spread.of(by_task[name])
            what = f"peak memory of {name} at {size:,} events"
            result.figures.append(Figure(what, "MB", spread, None, at_most(200)))
    return result


def _contender(file: Path, task: str, peaks: list[float]) -> Contender:
    def measure(_number: int) -> Sample:
        answer = replay(file, task)
        peaks.append(answer["peak_megabytes"])
        return Sample(answer["events"], answer["wall"], answer["cpu"])

    return measure


def replay(file: Path, task: str) -> dict[str, Any]:
    """Replay in a fresh process, whose memory nothing else has used."""
    command = [sys.executable, "-m", "benchmarks.replay_worker", task, str(file)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    if done.returncode:
        message = f"{' '.join(command)} failed:\n{done.stderr}"
        raise RuntimeError(message)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
