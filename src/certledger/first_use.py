"""A value that is made when it is first asked for, by whichever thread asks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Value = TypeVar("Value")


class OnFirstUse(Generic[Value]):
    """Calls `make` once and gives its result from then on.

    Threads that ask while it is being made wait for it, and share the error where it fails; who
    asks after that tries again.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._attempt: Future[Value] | None = None

    def __call__(self) -> Value:
        """Return the value. Raises what `make` raises."""
        attempt, is_mine = self._join()
        if is_mine:
            try:
                attempt.set_result(self._make())
            except BaseException as error:
                self.forget()
                attempt.set_exception(error)
                raise
        return attempt.result()

    @property
    def is_made(self) -> bool:
        """Whether the value is there, so that asking for it does not wait."""
        attempt = self._attempt
        return attempt is not None and attempt.done()

    def forget(self) -> None:
        """Let the value be made anew by who asks next."""
        with self._lock:
            self._attempt = None

    def _join(self) -> tuple[Future[Value], bool]:
        with self._lock:
            if self._attempt is not None:
                return self._attempt, False
            self._attempt = Future()
            return self._attempt, True
