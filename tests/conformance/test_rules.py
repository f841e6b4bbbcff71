"""Every rule of the contract has its test: in the suite, or here where only our package has it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import certledger.testing.contract
from certledger.testing.contract import Contract, Managing
from certledger.testing.rules import RULES

SUITE = Path(certledger.testing.contract.__file__).parent
OURS = Path(__file__).parent.parent / "db"

OF_OUR_PACKAGE = (
    "names.",
    "call.abstract",
    "drop_in.",
    "handler.in_memory",
    "key_type.values",
    "log.",
    "manager.defaults",
    "record.unknown_keyword",
    "revoke_status.",
    "status.",
)
"""What is no behaviour of a database."""


def claims(folder: Path) -> set[str]:
    """The rules that the tests of a folder claim to show, read from their decorators."""
    return {rule for path in folder.glob("*.py") for rule in _claims(path)}


def _claims(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "covers":
                    yield from (str(ast.literal_eval(argument)) for argument in call.args)


def test_every_rule_of_the_contract_has_a_test() -> None:
    assert sorted(set(RULES) - claims(SUITE) - claims(OURS)) == []


def test_the_suite_shows_every_rule_that_a_database_could_break() -> None:
    missing = set(RULES) - claims(SUITE)
    assert sorted(rule for rule in missing if not rule.startswith(OF_OUR_PACKAGE)) == []


@pytest.mark.parametrize("part", [Contract, Managing])
def test_every_test_of_the_contract_shows_a_rule(part: type) -> None:
    tests = [getattr(part, name) for name in dir(part) if name.startswith("test_")]
    assert [test.__name__ for test in tests if not getattr(test, "rules", ())] == []


@pytest.mark.parametrize("rule", ["no.such.rule", "register"])
def test_no_test_can_claim_a_rule_that_there_is_not(rule: str) -> None:
    with pytest.raises(AssertionError, match=rule):
        certledger.testing.rules.covers(rule)
