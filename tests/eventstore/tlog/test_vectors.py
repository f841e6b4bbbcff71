"""No vector is left out."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.vectors import cases, group_names

TESTS = Path(__file__).resolve().parent.parent


def test_every_group_of_the_vectors_is_run() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    assert set(re.findall(r"\b(?:by_case|cases)\(\"(\w+)\"\)", sources)) >= group_names()


def test_all_the_vectors_are_there() -> None:
    assert sum(len(cases(group)) for group in group_names()) == 861
