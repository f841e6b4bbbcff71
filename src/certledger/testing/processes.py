"""Processes that use a registry, and tell of every change once it is durable."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final, Self

Report = dict[str, Any]

PATIENCE: Final = 120
"""How many seconds a process has for its next report."""

_CONTEXT: Final = multiprocessing.get_context("forkserver")
# What they all import; from there a process is made in a few milliseconds.
_CONTEXT.set_forkserver_preload(["certledger.testing.tasks"])


class Channel:
    """The way from a task to the test."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def report(self, **what: Any) -> None:
        """Tell the test something, in one piece."""
        self._connection.send(what)

    def wait(self) -> Any:
        """Wait until the test says something, and return it."""
        return self._connection.recv()

    def has_news(self) -> bool:
        """Tell whether the test has said something that was not waited for yet."""
        return self._connection.poll()


Task = Callable[..., None]
"""A function of a module that takes a `Channel` and what the `Worker` was given."""


class Worker:
    """A process that carries out a task. It ends when it is left."""

    def __init__(self, task: Task, *arguments: object) -> None:
        self._connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_run, args=(task, theirs, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        self._connection.close()
        self._process.close()

    def say(self, what: object = None) -> None:
        """Say something, which the task is waiting for."""
        self._connection.send(what)

    def hear(self) -> Report:
        """Wait for the next report."""
        assert self._connection.poll(PATIENCE), "no report"
        try:
            report: Report = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            raise AssertionError(f"the process ended: {self._process.exitcode}") from None
        return report

    def rest(self) -> list[Report]:
        """All reports that are left when the task ends; it must end well unless it was killed."""
        reports = list(self._left())
        self._process.join()
        assert self._process.exitcode in {0, -9}, f"the process ended: {self._process.exitcode}"
        return reports

    def _left(self) -> Iterator[Report]:
        while True:
            assert self._connection.poll(PATIENCE), "no report"
            try:
                yield self._connection.recv()
            except (EOFError, OSError):  # at the end, or in the middle of what a kill cut off
                return

    def kill(self) -> None:
        """End it by SIGKILL, wherever it is."""
        self._process.kill()
        self._process.join()


@contextmanager
def crowd(tasks: list[tuple[Any, ...]]) -> Iterator[list[Worker]]:
    """Lend workers of these tasks with their arguments, all of which have opened the registry."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(*task)) for task in tasks]
        for worker in workers:
            assert worker.hear() == {"ready": True}
        yield workers


def rest_of(workers: list[Worker]) -> list[Report]:
    """Let all begin, and return what they all report until they end."""
    for worker in workers:
        worker.say()
    return [report for worker in workers for report in worker.rest()]


def _run(task: Task, connection: Connection, arguments: tuple[object, ...]) -> None:
    task(Channel(connection), *arguments)
