"""Where the lines of a handler's log go."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

import certledger
from certledger.db import SyncDBHandler
from certledger.testing.issue import Issue
from certledger.testing.rules import covers


@covers("log.default")
def test_a_logger_that_is_given_gets_the_lines(
    url: str, issue: Issue, log: pytest.LogCaptureFixture
) -> None:
    mine = logging.getLogger("application")
    with SyncDBHandler(url, mine) as handler:
        assert handler._logger is mine
        with log.at_level(logging.INFO, logger="application"):
            handler.register_cert_in_db(issue(), None)
    assert {record.name for record in log.records} == {"application"}
    with SyncDBHandler(url) as handler:
        assert handler._logger is certledger.DEFAULT_LOGGER


@covers("log.silent")
def test_nothing_is_printed_unless_the_application_asks(url: str) -> None:
    """A process of its own, as pytest's log handlers would hide Python's last resort."""
    script = f"""
from certledger.db import SyncDBHandler
handler = SyncDBHandler({url!r})
print(handler.delete_by_uuid("nobody"), handler.register_cert_in_db(None, "u"))
with handler._db._engine.begin() as connection:
    connection.exec_driver_sql("DROP TABLE certificates")
print(handler.list_all())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("False False\n[]\n", "")
