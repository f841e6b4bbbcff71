"""The texts for people in an evidence archive: harmless, complete, and honest."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from certledger.eventstore.event import Event, make_event, sequence_text
from certledger.eventstore.events import UnknownData
from certledger.exporters.bundle import Bundle
from tests.support.evidence_texts import EVIL, GOLDEN, bundle_of, known_bundle, texts_of
from tests.support.given import MINUTE, SERIAL, START, event, issued
from tests.support.log import ORIGIN

BUNDLE = known_bundle()
TEXTS = texts_of(BUNDLE)


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("name", TEXTS)
def test_the_texts_are_those_of_this_form(name: str) -> None:
    """`check` refuses a text that is not what its form gives.

    Where the wording is to change, raise the number in `readme.FORM` first, then write the golden
    files with `python -m tests.support.evidence_texts`.
    """
    assert TEXTS[name] == (GOLDEN / name).read_text(encoding="utf-8")


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = Page(TEXTS["summary.html"])
    known = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "section", "ul", "li"}
    assert page.tags == known | {"table", "tr", "th", "td", "bdi"}
    assert page.attributes == {"lang", "charset", "http-equiv", "content", "name", "class", "scope"}
    assert "default-src 'none'" in TEXTS["summary.html"]
    for reference in ("://", "url(", "@import", "javascript:"):
        assert reference not in TEXTS["summary.html"]


def test_what_came_from_a_comment_or_certificate_is_only_words_of_the_page() -> None:
    page = Page(TEXTS["summary.html"])
    assert "<b>device</b>.example.org" in page.words
    assert "Bob <script>alert('x')</script>\nwho (asserted)" in page.words
    assert "<script" not in TEXTS["summary.html"]


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_holds_a_control_or_invisible_character(name: str) -> None:
    assert EVIL not in TEXTS[name]
    assert all(char.isprintable() for char in TEXTS[name].replace("\n", ""))


def test_a_line_of_a_comment_cannot_pass_for_one_of_the_summary() -> None:
    lines = TEXTS["summary.txt"].splitlines()
    actors = [line for line in lines if line.startswith("who (asserted)")]
    assert len(actors) == 3
    assert all("alice" in line for line in actors)
    assert [line.strip() for line in lines if "carol" in line] == [
        "| who (asserted)  carol\\u202e\\x1b[2J&amp;"
    ]


def test_the_readme_repeats_nothing_that_a_stranger_may_have_written() -> None:
    for text in ("device", "TICKET", "script", "carol", "alice", "folder-1"):
        assert text not in TEXTS["README.txt"]


def test_text_and_page_tell_the_same() -> None:
    words = " ".join(Page(TEXTS["summary.html"]).words.split())
    for line in TEXTS["summary.txt"].splitlines():
        for part in line.removeprefix("- ").split("  "):
            if part.strip(" =-") and not part.startswith("|"):
                assert " ".join(part.split()).removeprefix("| ") in words


def test_they_say_what_is_not_shown() -> None:
    text = " ".join(TEXTS["summary.txt"].split())
    for limit in (
        "the actor is asserted, not authenticated",
        "the times are those of the registry's clock",
        "a false statement is recorded as faithfully as a true one",
        "further events of this certificate may follow",
        "the key in this archive proves nothing by itself",
        "That everybody is shown the same log",
    ):
        assert limit in text


def test_every_value_of_an_event_is_told() -> None:
    """But for the certificate, which is a file of its own."""
    for name in ("summary.txt", "summary.html"):
        for one in BUNDLE.events:
            for member, value in one.data.fields().items():
                if member not in {"certificate_pem", "comment"}:
                    assert str(value).replace("<", "").split(">")[0] in TEXTS[name].replace(
                        "&lt;", ""
                    ).replace("&gt;", ">")
            assert one.id in TEXTS[name]


def unknown(version: int, raw: dict[str, object]) -> Event:
    """An event of a type that a newer version may have."""
    registered = event(issued())
    fields = registered.model_dump() | {
        "type": "certledger.certificate.praised.v1",
        "sequence": sequence_text(version),
        "streamversion": version,
        "id": f"00000000-0000-0000-0000-00000000000{version}",
        "data": UnknownData.model_construct(raw=raw),
    }
    return Event.model_validate(fields)


def told(*events: Event, size: int = 10) -> tuple[Bundle, dict[str, str]]:
    bundle = bundle_of(*events, size=size)
    return bundle, texts_of(bundle)


def test_an_event_of_an_unknown_type_is_told_as_it_is() -> None:
    raw = {"serial_number": str(SERIAL), "stars": 5, "by": {"<i>": ["x"]}, "comment": "well done"}
    _, texts = told(event(issued()), unknown(1, raw))
    assert "event of the type certledger.certificate.praised.v1" in texts["summary.txt"]
    for text in ("stars", '{"<i>": ["x"]}', "well done", "a state that this version cannot tell"):
        assert text in " ".join(texts["summary.txt"].split())
    assert "<i>" not in texts["summary.html"]


def test_attributes_that_are_seldom_there_are_told() -> None:
    one = make_event(
        data=issued(),
        recorded=START + MINUTE,
        occurred=START,
        id="00000000-0000-0000-0000-000000000001",
        source=ORIGIN,
        subject=f"certificate/{SERIAL}",
        sequence=sequence_text(0),
        streamversion=0,
        authtype="api_key",
        authid="importer",
        timesource="notbefore",
        clocktime=START,
        correlationid="request-1",
        causationid="order-2",
        extensions={"batch": 17},
    )
    _, texts = told(one)
    for text in (
        "importer (api_key)",
        "request-1",
        "order-2",
        "17",
        "the beginning of its validity",
    ):
        assert text in texts["summary.txt"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9])
def test_the_example_in_the_readme_has_one_line_a_hash(size: int) -> None:
    bundle, texts = told(event(issued()), size=size)
    assert texts["README.txt"].count("    h=$(node") == 1 + len(bundle.proofs[0].proof.hashes)
