"""A secret under a passphrase: strict reading, and limits on what a file may cost."""

from __future__ import annotations

import json
import time
import traceback
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import InvalidValue, KeyRefused
from certledger.eventstore.tlog.sealed import Cost, seal, unseal
from tests.support.evidence import flipped

CHEAP = Cost(n=2, r=1, p=1)
SECRET = "PRIVATE+KEY+a+b+c2VjcmV0"
WRONG = b"battery staple"
SEALED = seal(SECRET, b"horse", CHEAP)


def horse() -> bytes:
    return b"horse"


def never() -> bytes:
    raise AssertionError("the passphrase is not needed to refuse this")


def changed(**members: Any) -> bytes:
    return json.dumps(json.loads(SEALED) | members).encode()


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(min_size=1))
def test_a_secret_goes_there_and_back(secret: str, passphrase: bytes) -> None:
    assert unseal(seal(secret, passphrase, CHEAP), lambda: passphrase) == secret


def test_the_default_cost_is_128_mib_a_guess() -> None:
    cost = Cost()
    assert 128 * cost.n * cost.r == 128 * 2**20
    sealed = seal(SECRET, b"horse", cost)
    assert {name: json.loads(sealed)[name] for name in "nrp"} == {"n": 2**17, "r": 8, "p": 1}
    assert unseal(sealed, horse) == SECRET


def test_the_secret_and_the_passphrase_are_not_in_the_file() -> None:
    assert b"c2VjcmV0" not in SEALED
    assert b"horse" not in SEALED


def test_salt_and_nonce_are_new_each_time_and_come_from_the_given_randomness() -> None:
    assert seal(SECRET, b"horse", CHEAP) != SEALED
    drawn: list[int] = []

    def random(size: int) -> bytes:
        drawn.append(size)
        return bytes(size)

    assert seal(SECRET, b"horse", CHEAP, random) == seal(SECRET, b"horse", CHEAP, random)
    assert drawn == [16, 12, 16, 12]


def test_a_wrong_passphrase_is_refused_without_a_hint() -> None:
    with pytest.raises(KeyRefused, match="the passphrase is wrong, or") as caught:
        unseal(SEALED, lambda: WRONG)
    assert WRONG.decode() not in "".join(traceback.format_exception(caught.value))


def test_an_empty_passphrase_is_none() -> None:
    with pytest.raises(InvalidValue):
        seal(SECRET, b"", CHEAP)


@given(st.integers(0, 8 * len(SEALED) - 1))
def test_no_flipped_bit_yields_another_secret(bit: int) -> None:
    try:
        assert unseal(flipped(SEALED, bit), horse) == SECRET
    except KeyRefused:
        return


DAMAGED = {
    "no JSON": b"{",
    "a list": b"[1]",
    "deep nesting": b"[" * 16_000,
    "a long number": b'{"n": ' + b"9" * 5_000 + b"}",
    "no UTF-8": b'{"\xff": 1}',
    "a member more": changed(comment="x"),
    "a member twice": SEALED.replace(b'"n"', b'"r": 1, "n"'),
    "a member missing": SEALED.replace(b'"p": 1,', b""),
    "another format": changed(format="certledger-key-2"),
    "another kdf": changed(kdf="pbkdf2"),
    "another cipher": changed(cipher="aes-128-gcm"),
    "n as text": changed(n="2"),
    "n as boolean": changed(r=True),
    "n as fraction": changed(n=2.0),
    "NaN": changed(n=float("nan")),
    "salt as number": changed(salt=1),
    "a short salt": changed(salt=""),
    "a long nonce": changed(nonce="A" * 40),
    "bad base64": changed(ciphertext="AAA"),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_refused_before_the_passphrase_is_asked_for(data: bytes) -> None:
    with pytest.raises(KeyRefused, match="damaged"):
        unseal(data, never)


@given(st.binary())
def test_on_any_bytes_only_our_error_escapes(data: bytes) -> None:
    with pytest.raises(KeyRefused):
        unseal(data, horse)


@pytest.mark.parametrize(
    "numbers",
    [
        {"n": 2**40},
        {"n": 2**22, "r": 8},
        {"n": 2**17, "r": 17},
        {"r": 2**30},
        {"p": 5},
        {"p": 10**9},
        {"n": 0},
        {"n": 1},
        {"n": 3},
        {"n": -2},
        {"r": 0},
        {"r": -1},
        {"p": 0},
        {"n": 2**17, "r": 1},
        {"n": 10**4000},
    ],
    ids=str,
)
def test_a_hostile_file_costs_neither_memory_nor_time(numbers: dict[str, int]) -> None:
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(KeyRefused, match="is refused"):
        unseal(changed(**numbers), never)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20
    assert time.perf_counter() - started < 1


@given(st.integers(1, 12), st.integers(1, 20), st.integers(1, 4))
def test_every_cost_that_is_allowed_can_be_computed(bits: int, r: int, p: int) -> None:
    cost = Cost(2**bits, r, p)
    assert unseal(seal(SECRET, b"horse", cost), horse) == SECRET


def test_the_highest_n_for_the_smallest_r_can_be_computed() -> None:
    cost = Cost(n=2**15, r=1, p=1)
    assert unseal(seal(SECRET, b"horse", cost), horse) == SECRET
