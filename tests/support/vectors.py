"""The vectors of the log formats; `tests/eventstore/vectors.md` says what they are."""

from __future__ import annotations

import json
from base64 import b64decode
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from certledger.eventstore.tlog.cosignature import CosignatureVerifier
from certledger.eventstore.tlog.keys import KeyKind, SigningKey, VerifierKey
from certledger.eventstore.tlog.note import NoteVerifier, Verifier

Case = dict[str, Any]

_FILE = Path(__file__).resolve().parent.parent / "eventstore" / "vectors.json"


@cache
def _groups() -> dict[str, Any]:
    groups: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))["groups"]
    return groups


def group_names() -> set[str]:
    return set(_groups())


def cases(group: str) -> list[Case]:
    found: list[Case] = _groups()[group]["cases"]
    return found


def by_case(group: str) -> pytest.MarkDecorator:
    """Run a test once for each case of a group."""
    found = cases(group)
    return pytest.mark.parametrize("case", found, ids=[_id_of(case) for case in found])


def _id_of(case: Case) -> str:
    for member in ("name", "label", "path", "hash"):
        if member in case:
            return ascii(case[member])[1:61]
    return "-".join(f"{name}{value}" for name, value in case.items() if isinstance(value, int))


def leaf(index: int) -> bytes:
    """The entry that the vectors' `leaf_rule` puts at a position."""
    return f"certledger test leaf {index}".encode("ascii")


def octets(case: Case, member: str) -> bytes:
    """A byte string of a case, given as text or as base64."""
    if f"{member}_b64" in case:
        return b64decode(case[f"{member}_b64"], validate=True)
    return str(case[member]).encode()


def hashes(found: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in found]


def accepted(case: Case, *, either: bool = False) -> bool:
    """The verdict of a case; `either` is ours where the specifications leave it open."""
    return bool({"accept": True, "reject": False, "either": either}[case["expect"]])


def signing_key(label: str) -> SigningKey:
    case = _key_case(label)
    return SigningKey(case["name"], KeyKind(case["type"]), bytes.fromhex(case["seed"]))


def verifier(label: str) -> Verifier:
    key = VerifierKey.from_text(_key_case(label)["vkey"])
    return NoteVerifier(key) if key.kind is KeyKind.ED25519 else CosignatureVerifier(key)


def label_of(name: str, key_id: bytes) -> str:
    """The label of the key that a signature line names."""
    for case in cases("keys"):
        if (case["name"], case["key_id"]) == (name, key_id.hex()):
            return str(case["label"])
    raise AssertionError(name, key_id)


def _key_case(label: str) -> Case:
    (case,) = (case for case in cases("keys") if case["label"] == label)
    return case
