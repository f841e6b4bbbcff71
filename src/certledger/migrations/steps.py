"""The steps as Alembic knows them: which there are, and running them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_FOLDER: Final = Path(__file__).parent
_alembic = threading.Lock()
"""Alembic's `context` and `op` are the process's: one upgrade at a time can use them."""


@dataclass(frozen=True, slots=True)
class Step:
    """What leads to a version of the tables."""

    version: str
    what: str


def steps_after(version: str) -> tuple[Step, ...]:
    """Return the steps from a version, which must be a known one, to the newest."""
    scripts = ScriptDirectory.from_config(_config())
    found = scripts.iterate_revisions("head", version)
    return tuple(Step(script.revision, script.doc.rstrip(".")) for script in found)[::-1]


def run_steps(connection: Connection) -> None:
    """Bring the tables from the version that they record to the newest.

    The transaction is the caller's, and so is the lock that keeps others out.
    """
    config = _config()
    config.attributes["connection"] = connection
    with _alembic:
        command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
