"""Every benchmark runs at a tiny size and gives its figures. Nothing is asserted about time."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import document
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.results import at_least, at_most
from benchmarks.rival import Rival
from benchmarks.rounds import Sample, interleave

FIGURES = {
    "register": ["Ledger.issue, time / raw sqlite3", "tiny_ca, time / SyncDBHandler"],
    "register-postgresql": [
        "Ledger.issue, time / raw psycopg",
        "SyncDBHandler, time / raw psycopg",
        "tiny_ca, time / SyncDBHandler",
    ],
    "register-mariadb": [
        "Ledger.issue, time / raw PyMySQL",
        "SyncDBHandler, time / raw PyMySQL",
    ],
    "async": [
        "register, time of tiny_ca / ours",
        "get_by_serial, time of tiny_ca / ours",
        "list_all(100), time of tiny_ca / ours",
        "burst, p99 of an answer",
        "burst, p99 of the event loop's lag",
    ],
    "bulk": ["issue_many, certificates", "issue_many, rate / raw sqlite3, same parsing"],
    "replay": ["drift, events", "peak memory of rebuild at 60 events"],
    "queries": ["get_by_serial, time of tiny_ca / ours", "get_by_name, time of tiny_ca / ours"],
    "sweep": ["20 due", "none due, time of tiny_ca / ours"],
    "large": ["history of one certificate", "status"],
    "verifying": ["verify, hashes alone", "verify, everything", "verify, time of one job / two"],
    "evidence": [
        "proof made, 30 entries",
        "proof checked, 30 entries",
        "proof made, 60 entries",
        "proof checked, 60 entries",
        "checkpoint",
        "incremental tile export",
    ],
}
"""Some of the figures that each benchmark has."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is kept from run to run."""
    return tmp_path_factory.mktemp("benchmarks")


def run(folder: Path, output: Path, *arguments: str) -> dict[str, Any]:
    """Measure at the tiny size and return what was written."""
    always = ["--size", "tiny", "--rounds", "2", "--folder", str(folder), "--output", str(output)]
    assert main([*always, *arguments]) == 0
    report: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return report


def test_every_benchmark_has_its_figures_looked_for() -> None:
    assert FIGURES.keys() == BENCHMARKS.keys()


@pytest.fixture
def server(name: str, request: pytest.FixtureRequest) -> list[str]:
    """The option that names the server of a benchmark, where it needs one."""
    kind = name.partition("-")[2]
    return [f"--{kind}", request.getfixturevalue(f"{kind}_server")] if kind else []


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_prints_its_figures_and_writes_them_as_json(
    name: str, server: list[str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tiny_ca", reason="the rival is not installed")
    rival = ["--tiny-ca-python", sys.executable]

    report = run(folder, tmp_path / "results.json", "--only", name, *rival, *server)

    (result,) = report["benchmarks"]
    figures = {figure["what"]: figure for figure in result["figures"]}
    shown = capsys.readouterr().out
    for what in FIGURES[name]:
        assert what in shown
        spread = figures[what]["wall"]
        assert 0 < spread["min"] <= spread["median"] <= spread["max"]
        assert bool(figures[what]["goal"]) == bool(figures[what]["verdict"])
    assert any(figure["goal"] for figure in result["figures"])
    assert all(each["count"] > 0 for each in result["contenders"])


def test_a_report_names_machine_versions_and_rounds(folder: Path, tmp_path: Path) -> None:
    report = run(folder, tmp_path / "results.json", "--only", "large")

    assert report["machine"]["cores"] >= 1
    assert report["machine"]["sync_microseconds"] >= 0
    assert {"Python", "SQLite", "SQLAlchemy", "tiny_ca"} <= report["versions"].keys()
    assert (report["size"], report["rounds"]) == ("tiny", 2)


def test_without_tiny_ca_the_rest_is_measured_and_the_gap_is_noted(
    folder: Path, tmp_path: Path
) -> None:
    report = run(folder, tmp_path / "results.json", "--only", "register", "--without-tiny-ca")

    (result,) = report["benchmarks"]
    assert result["notes"] == ["tiny_ca was left out"]
    assert [each["name"] for each in result["contenders"]] == [
        "raw sqlite3",
        "Ledger.issue",
        "SyncDBHandler",
    ]


def test_without_a_server_its_benchmark_says_how_to_name_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CERTLEDGER_TEST_POSTGRESQL", raising=False)
    only = ["--only", "register-postgresql", "--without-tiny-ca"]

    report = run(folder, tmp_path / "results.json", *only)

    (result,) = report["benchmarks"]
    assert "left out: no server was given (--postgresql URL)" in result["notes"]
    assert result["contenders"] == []


def test_a_rival_that_dies_is_told_of() -> None:
    with (
        Rival(Path(sys.executable)) as rival,
        pytest.raises(RuntimeError, match="did not live through 'nonsense'"),
    ):
        rival.tell("nonsense")


def test_contenders_take_turns_and_each_round_begins_with_another() -> None:
    order: list[str] = []

    def contender(name: str) -> Any:
        def measure(_number: int) -> Sample:
            order.append(name)
            return Sample(1)

        return measure

    samples = interleave({name: contender(name) for name in "abc"}, 3)

    assert order == list("abcbcacab")
    assert [len(each) for each in samples.values()] == [3, 3, 3]


def test_a_goal_is_a_limit_from_above_or_below() -> None:
    assert at_most(1.7).met_by(1.7)
    assert not at_most(1.7).met_by(1.8)
    assert at_least(6_000).met_by(6_000)
    assert not at_least(6_000).met_by(5_999)
    assert (str(at_most(1.7)), str(at_least(6_000))) == ("≤ 1.7", "≥ 6,000")


def test_the_document_is_renewed_between_its_marks_only(folder: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    run(folder, results, "--only", "large")
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{document.BEGIN}\nold\n{document.END}\nafter\n", encoding="utf-8")

    document.renew(results, page)
    once = page.read_text(encoding="utf-8")
    document.renew(results, page)

    assert page.read_text(encoding="utf-8") == once
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "old" not in once
    assert "| history of one certificate |" in once


def test_a_section_of_what_was_not_measured_stays(folder: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    run(folder, results, "--only", "large")
    page = tmp_path / "performance.md"
    kept = "### `replay`\n\nfigures of another day"
    stale = "### `large`\n\nstale figures"
    page.write_text(f"{document.BEGIN}\n\n{stale}\n\n{kept}\n\n{document.END}", encoding="utf-8")

    document.renew(results, page)

    renewed = page.read_text(encoding="utf-8")
    assert f"{kept}\n\n{document.END}" in renewed
    assert "stale" not in renewed
    assert renewed.index("### `large`") < renewed.index("### `replay`")


def test_the_document_that_quotes_the_figures_has_the_marks() -> None:
    text = document.DOCUMENT.read_text(encoding="utf-8")

    assert text.count(document.BEGIN) == text.count(document.END) == 1
