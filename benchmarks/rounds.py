"""Measuring side by side: contenders take turns, round after round."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Sample:
    """What one round of one contender took."""

    count: int
    """How many things were done."""
    wall: float = 0.0
    """Seconds by the clock on the wall."""
    cpu: float = 0.0
    """Seconds of processor time of the process, waiting for the disk left out."""


Contender = Callable[[int], Sample]
"""Prepares and measures a round, whose number it is given."""


@contextmanager
def timed(count: int) -> Iterator[Sample]:
    """Time the block, in which `count` things are done."""
    sample = Sample(count)
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    yield sample
    sample.cpu = time.process_time() - cpu
    sample.wall = time.perf_counter() - wall


def interleave(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[Sample]]:
    """Measure round after round, so that a slow minute of the machine meets all contenders.

    Each round begins with another contender, as the first may find the disk in another state.
    """
    names = list(contenders)
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(contenders[name](number))
    return samples
