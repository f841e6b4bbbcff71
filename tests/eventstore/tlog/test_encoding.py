"""Base64 and numbers have one spelling each."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from certledger.errors import MalformedEvidence
from certledger.eventstore.tlog.encoding import (
    SIZE_LIMIT,
    from_base64,
    from_decimal,
    to_base64,
)


@given(st.binary(max_size=80))
def test_base64_goes_there_and_back(data: bytes) -> None:
    assert from_base64(to_base64(data), "it") == data


@given(st.text(max_size=12) | st.text("AB+/=-_ \n", max_size=12))
@example("YQ")
@example("YR==")
@example("YQ==\n")
@example("Y-_=")
def test_what_is_read_as_base64_is_written_alike(text: str) -> None:
    try:
        data = from_base64(text, "it")
    except MalformedEvidence:
        return
    assert to_base64(data) == text


@given(st.integers(0, SIZE_LIMIT - 1))
def test_numbers_go_there_and_back(number: int) -> None:
    assert from_decimal(str(number), "it") == number


OTHER_SPELLINGS = [
    *("", "00", "01", "-1", "+1", " 1", "1 ", "1\n", "1_0", "0x1", "1e3", "1.0"),
    *("\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT FIVE}", "\N{FULLWIDTH DIGIT ONE}"),
    *(str(SIZE_LIMIT), "9" * 5_000),
]


@pytest.mark.parametrize("text", OTHER_SPELLINGS, ids=lambda text: ascii(text)[1:21])
def test_other_spellings_of_numbers_are_refused(text: str) -> None:
    with pytest.raises(MalformedEvidence, match="size: "):
        from_decimal(text, "size")


def test_a_refusal_of_base64_does_not_repeat_it() -> None:
    with pytest.raises(MalformedEvidence) as caught:
        from_base64("c2VjcmV0!", "key")
    assert str(caught.value).startswith("key: ")
    assert "c2VjcmV0" not in str(caught.value)
