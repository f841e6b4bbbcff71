"""What the doctor finds, and doing what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import sqlalchemy
from sqlalchemy import make_url
from sqlalchemy.pool import NullPool

from certledger.doctor import Mend, Symptom, examine
from certledger.eventstore.database import Database
from certledger.eventstore.times import Clock, utc_now
from certledger.eventstore.urls import sync_url

OF_THE_MACHINE = frozenset({"sqlite-bug", "file-system"})
"""Kinds that say something of where the tests run, and not of the registry."""


def symptoms(url: str, clock: Clock = utc_now, *, but: Iterable[str] = ()) -> list[Symptom]:
    """What weakens a registry, but for some kinds and those of the machine."""
    database = Database(url)
    try:
        found = examine(database, clock)
    finally:
        database.close()
    left_out = OF_THE_MACHINE | set(but)
    return [symptom for symptom in found if symptom.kind not in left_out]


def kinds(found: Iterable[Symptom], level: Literal["weak", "note"] | None = None) -> list[str]:
    return [symptom.kind for symptom in found if level in {None, symptom.level}]


def weak(url: str, clock: Clock = utc_now, *, but: Iterable[str] = ()) -> list[str]:
    """The kinds of what is weak."""
    return kinds(symptoms(url, clock, but=but), "weak")


def only(found: Iterable[Symptom], kind: str) -> Symptom:
    """The one symptom of a kind."""
    (symptom,) = [each for each in found if each.kind == kind]
    return symptom


def mend(symptom: Symptom, url: str, folder: Path | None = None) -> None:
    """Do what a symptom says, step by step: SQL as the user of `url`, commands in a folder."""
    assert symptom.mending
    for step in symptom.mending:
        match step.language:
            case "sql":
                statements(url, step.command)
            case "shell":
                shell(step, folder)
            case "ini":
                raise AssertionError(f"the test must do this itself: {step.command}")


def mend_by_sql(symptom: Symptom, url: str) -> None:
    """Do what a symptom says to be done by SQL."""
    statements(url, *(step.command for step in symptom.mending if step.language == "sql"))


def statements(url: str, *texts: str) -> None:
    """Run statements, each of which takes effect at once."""
    engine = sqlalchemy.create_engine(
        sync_url(make_url(url)), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        for text in texts:
            connection.exec_driver_sql(text.replace("%", "%%") if "sqlite" not in url else text)


def shell(step: Mend, folder: Path | None) -> None:
    """Run a command, with `certledger` and `python` of these tests on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-c", step.command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
