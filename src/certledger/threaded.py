"""Coroutines made of blocking methods, with the same arguments, each in a lane of threads.

::

    class AsyncLedger(Threaded[Ledger]):
        issue = change(Ledger.issue)
        get = read(Ledger.get)
        rebuild = job(Ledger.rebuild)
        events = stream(Ledger.events)
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import suppress
from contextvars import copy_context
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self, TypeVar

from certledger.worker_threads import Lane, WorkerThreads

Blocking = TypeVar("Blocking")
Blocking_co = TypeVar("Blocking_co", covariant=True)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_STEP_ITEMS: Final = 1_000
_STEP_SECONDS: Final = 0.05


class Threaded(Generic[Blocking_co]):
    """The asynchronous side of an object whose methods block."""

    def __init__(
        self,
        blocking: Callable[[], Blocking_co],
        threads: WorkerThreads,
        disconnect: Callable[[], None],
    ) -> None:
        """Take what gives the object and what closes its connections; both may block."""
        self.blocking = blocking
        self.threads = threads
        self.disconnect = disconnect

    async def __aenter__(self) -> Self:
        await self.threads.reads.run(self.blocking)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for the calls that have been made, end the threads and close the connections.

        A call that is made later opens what it needs anew.
        """
        await self.threads.end(self.disconnect)


def change(
    method: Callable[Concatenate[Blocking, Arguments], Result],
) -> Callable[Concatenate[Threaded[Blocking], Arguments], Coroutine[Any, Any, Result]]:
    """Return the coroutine function of a method that changes something in one transaction."""
    return _in_lane(lambda threads: threads.changes, method)


def read(
    method: Callable[Concatenate[Blocking, Arguments], Result],
) -> Callable[Concatenate[Threaded[Blocking], Arguments], Coroutine[Any, Any, Result]]:
    """Return the coroutine function of a method that reads in one transaction."""
    return _in_lane(lambda threads: threads.reads, method)


def job(
    method: Callable[Concatenate[Blocking, Arguments], Result],
) -> Callable[Concatenate[Threaded[Blocking], Arguments], Coroutine[Any, Any, Result]]:
    """Return the coroutine function of a method that may take long."""
    return _in_lane(lambda threads: threads.jobs, method)


def _in_lane(
    lane: Callable[[WorkerThreads], Lane],
    method: Callable[Concatenate[Blocking, Arguments], Result],
) -> Callable[Concatenate[Threaded[Blocking], Arguments], Coroutine[Any, Any, Result]]:
    @wraps(method)
    async def call(
        self: Threaded[Blocking], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        return await lane(self.threads).run(lambda: method(self.blocking(), *args, **kwargs))

    return call


def stream(
    method: Callable[Concatenate[Blocking, Arguments], Iterator[Result]],
) -> Callable[Concatenate[Threaded[Blocking], Arguments], AsyncGenerator[Result, None]]:
    """Return the function that gives an asynchronous generator of what a method iterates over.

    It runs in the context of the task that calls it, as the method would. A consumer that stops
    early ends the iteration after the step that has begun.
    """

    @wraps(method)
    def call(
        self: Threaded[Blocking], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> AsyncGenerator[Result, None]:
        steps = _Steps(lambda: method(self.blocking(), *args, **kwargs))
        return _items(self.threads.jobs, steps)

    return call


async def _items(lane: Lane, steps: _Steps[Result]) -> AsyncGenerator[Result, None]:
    try:
        while items := await lane.run(steps.take):
            for item in items:
                yield item
    finally:
        # Not awaited: who is cancelled need not wait for a step that has begun. No thread can be
        # started while the interpreter ends; then the iterator goes with everything else.
        with suppress(RuntimeError):
            lane.submit(steps.end)


class _Steps(Generic[Result]):
    """An iterator that threads take turns on, a handful of items at a time."""

    def __init__(self, start: Callable[[], Iterator[Result]]) -> None:
        self._start = start
        self._context = copy_context()
        self._lock = threading.Lock()
        self._iterator: Iterator[Result] | None = None
        self._error: Exception | None = None

    def take(self) -> list[Result]:
        """Return the next items, as many as come within a moment; none at the end."""
        with self._lock:
            return self._context.run(self._take)

    def end(self) -> None:
        """Close the iterator, after the step that another thread may be taking."""
        with self._lock:
            self._context.run(self._end)

    def _take(self) -> list[Result]:
        if self._error is not None:
            raise self._error
        items: list[Result] = []
        try:
            if self._iterator is None:
                self._iterator = self._start()
            until = time.monotonic() + _STEP_SECONDS
            for item in self._iterator:
                items.append(item)
                if len(items) == _STEP_ITEMS or time.monotonic() > until:
                    break
        except Exception as error:
            if not items:
                raise
            # What came before the error is not lost: the next step raises it.
            self._error = error
        return items

    def _end(self) -> None:
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()
