"""Every kind of tampering is found, by its kind and at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from certledger.projections.verifying.outside import Outside
from tests.support.intruder import intruder
from tests.support.signed import LOG_KEY
from tests.tampering.damage import ENTRIES, Damage
from tests.tampering.damaged_end import END
from tests.tampering.damaged_rest import REST
from tests.tampering.registry import SIZE, SIZES, Log, findings_of

FEWEST = 20


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_clean_log_has_no_findings_and_no_notes(log: Log, file: Path, jobs: int) -> None:
    outside = Outside(
        keys=(LOG_KEY.verifier_key,),
        checkpoints=tuple(log.held(size) for size in SIZES),
        mark=log.held(SIZE),
    )
    file.write_bytes(log.image)
    assert findings_of(file, outside, jobs=jobs) == []


@pytest.mark.parametrize("damage", [*ENTRIES, *END, *REST], ids=str)
def test_it_is_found_wherever_it_is(damage: Damage, log: Log, file: Path) -> None:
    positions = damage.positions(log)
    assert len(positions) >= FEWEST
    for at in positions:
        check(damage, log, file, at)


def check(damage: Damage, log: Log, file: Path, at: int) -> None:
    for beside in ("", "-wal", "-shm"):
        Path(f"{file}{beside}").unlink(missing_ok=True)
    file.write_bytes(log.image)
    with intruder(file, log=True) as sql:
        damage.apply(sql, log, at)
    found = findings_of(file, damage.outside(log, at))
    told = {(each.kind, each.seq, each.serial) for each in found}
    wanted = damage.told(log, at)
    assert wanted <= told, (at, found)
    assert {each.level for each in found if each.kind in {kind for kind, _, _ in wanted}} == {
        damage.level
    }
    others = {each.kind for each in found} - {kind for kind, _, _ in wanted}
    assert others <= set(damage.also.split()), (at, found)
