"""How far a long job is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Told `done, total`, both in events of the log."""


def share(progress: Progress | None, start: float, stop: float) -> Progress:
    """Return what one stage of a job reports to: its own 0 to `total` is shown as the part of the
    whole from `start` to `stop`.
    """

    def report(done: int, total: int) -> None:
        if progress is not None:
            part = start + (stop - start) * min(done / total, 1.0) if total else stop
            progress(round(part * total), total)

    return report
