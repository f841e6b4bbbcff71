"""Registering one by one on database servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.places import places_on
from benchmarks.raw_servers import RawMariaDb, RawPostgreSql
from benchmarks.register import HANDLER, LEDGER, RIVAL, Raw, Rounds, what_is_measured
from benchmarks.results import Result, at_most
from benchmarks.rounds import Sample, interleave
from benchmarks.setting import Setting

RAW_POSTGRESQL: Final = "raw psycopg"
RAW_MARIADB: Final = "raw PyMySQL"


def run_postgresql(setting: Setting) -> Result:
    return _run(setting, "postgresql", RAW_POSTGRESQL, RawPostgreSql)


def run_mariadb(setting: Setting) -> Result:
    return _run(setting, "mariadb", RAW_MARIADB, RawMariaDb)


def _run(setting: Setting, kind: str, raw: str, make: Callable[[str], Raw]) -> Result:
    server = setting.servers.get(kind)
    name = f"register-{kind}"
    if server is None:
        missing = Result(name, f"registering on a {kind} server", {})
        missing.notes.append(f"left out: no server was given (--{kind} URL)")
        return missing
    # tiny_ca's columns have no lengths, which MariaDB and MySQL demand.
    rival = setting.rival if kind == "postgresql" else None
    rounds = Rounds(setting, places_on(kind, server), make, rival)
    samples: dict[str, list[Sample]] = interleave(rounds.contenders(raw), setting.rounds)
    result = Result(name, what_is_measured(setting, "schema, on this machine's server"), samples)
    result.ratio(f"Ledger.issue, time / {raw}", LEDGER, raw, at_most(2.0))
    result.ratio(f"SyncDBHandler, time / {raw}", HANDLER, raw, at_most(2.0))
    result.ratio("tiny_ca, time / SyncDBHandler", RIVAL, HANDLER)
    if kind == "mariadb":
        result.notes.append(
            "tiny_ca makes no tables there: its columns are VARCHAR without a length"
        )
    return result
