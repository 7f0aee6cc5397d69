"""The benchmark itself: what it writes, and what becomes of a part that fails."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from bench import __main__ as command
from bench import run
from bench.measure import interleaved, summary
from bench.parts import PARTS
from bench.ratios import RATIOS, Goal, Ratio, ratios
from bench.report import PROJECT, Options
from bench.table import table


def part(**medians: float) -> dict:
    """Give a part of results.json with these figures, "_" for "."."""
    figures = {
        name.replace("__", "."): {"what": f"what {name} is", "unit": "ms", **summary([value])}
        for name, value in medians.items()
    }
    return {"title": "a part", "status": "measured", "seconds": 1.0, "figures": figures, "notes": [], "failures": {}}


def found(parts: dict) -> dict:
    """Give results.json with these parts."""
    machine = {
        "cpu": "a processor",
        "cores": 2,
        "flags": ["avx2"],
        "memory_gib": 8.0,
        "system": "Linux",
        "load_at_the_start": 0.1,
        "commit": "abc",
        "date": "2026-01-31",
        "software": {"Python": "3.11"},
    }
    return {"quick": False, "machine": machine, "parts": parts, "ratios": ratios(parts)}


@pytest.fixture
def measuring(monkeypatch):
    """Let a function stand for a part called "fake"."""

    def replace(measure):
        monkeypatch.setitem(PARTS, "fake", "a part that a test made")
        monkeypatch.setitem(sys.modules, "bench.parts.fake", SimpleNamespace(measure=measure))

    return replace


def test_subjects_are_measured_in_turns_and_one_that_fails_costs_the_others_nothing():
    order: list[str] = []

    def subject(name: str, broken: bool = False):
        def once() -> float:
            order.append(name)
            if broken and order.count(name) == 2:
                raise RuntimeError("out of memory")
            return float(len(order))

        return once

    failed: dict[str, str] = {}
    values = interleaved(
        {"a": subject("a"), "b": subject("b", broken=True), "c": subject("c")},
        rounds=3,
        failed=lambda name, error: failed.update({name: str(error)}),
    )

    assert order == ["a", "b", "c", "a", "b", "c", "a", "c"]
    assert values == {"a": [1, 4, 7], "c": [3, 6, 8]}
    assert failed == {"b": "out of memory"}


def test_a_summary_is_median_smallest_largest_and_number():
    assert summary([5.0, 1.0, 2.0, 4.0]) == {"median": 3.0, "min": 1.0, "max": 5.0, "n": 4}


def test_a_part_that_raises_is_recorded_with_its_reason_and_keeps_what_it_had_measured(measuring):
    def measure(report):
        report.add("first", "the first figure", "ms", [1.0, 3.0])
        report.fail("second", f"{PROJECT}/bench is in the way")
        raise RuntimeError(f"no room in {PROJECT}/bench for https://packages.example/simple/")

    measuring(measure)

    outcome = run.measured("fake", Options())

    assert outcome["status"] == "failed"
    assert outcome["reason"] == "RuntimeError: no room in ./bench for URL"
    assert outcome["figures"]["first"]["median"] == 2.0
    assert outcome["failures"] == {"second": "./bench is in the way"}


def test_a_part_whose_process_ends_without_a_report_is_recorded(monkeypatch):
    monkeypatch.setitem(PARTS, "unheard-of", "a part that this test's process alone knows")

    outcome = command.in_its_own_process("unheard-of", Options())

    assert outcome["status"] == "failed"
    assert "ended with status 2" in outcome["reason"]


def test_ratios_come_from_the_raw_figures_of_the_run():
    given = {
        "engines": part(keras_predict__1=300, served__1=50, served_alone__1=46),
        "cold_start": part(
            tensorflow=10_000, worker=2_000, worker__pss=150, tensorflow__pss=600, worker__rss=180, tensorflow__rss=600
        ),
        "uploads": part(one__eager=140, engine=50),
        "reprocessing": part(
            engine=20, engine_stream=25, inline=19, one_worker=18, two_workers=18.9,
            one_worker__pss_start=200, one_worker__pss=204,
        ),
        "pages": part(
            history__1000=10, history__1000000=14, poll__1000=2, poll__1000000=5,
            history__1000__queries=4, history__1000000__queries=4,
            poll__1000__queries=3, poll__1000000__queries=5,
            # A full page and a few rows are no comparison.
            rare__1000=1, rare__1000000=9, rare__1000__size=20, rare__1000000__size=90,
        ),
        "dashboard": part(month__1000=20, month__1000000=22, year__1000=100, year__1000000=120),
        "intake": part(clean=250),
        "dicom": part(uncompressed=1000, jpeg_2000=1500),
    }  # fmt: skip

    expected = {
        "engine_vs_predict": 6.0,
        "heatmap_and_refusal_ms": 4.0,
        "cold_start_vs_tensorflow": 5.0,
        "memory_vs_tensorflow": 0.25,
        "memory_vs_tensorflow_rss": 0.3,
        "upload_minus_engine_ms": 90.0,
        "reprocess_vs_engine": 0.95,
        "reprocess_vs_engine_stream": 0.76,
        "reprocess_queue_vs_engine": 0.9,
        "reprocess_queue_vs_engine_stream": 0.72,
        "two_workers_vs_one": 1.05,
        "worker_memory_end_vs_start": 1.02,
        "pages_million_vs_thousand": 2.5,
        "pages_million_more_queries": 2,
        "dashboard_million_vs_thousand": 1.2,
        "dicom_vs_jpeg": 4.0,
    }
    assert {name: value for name, value in ratios(given).items() if value is not None} == expected


def test_a_ratio_without_its_figures_is_empty_and_not_a_number():
    assert ratios({"engines": part(keras_predict__1=300)}) == dict.fromkeys(RATIOS)


def test_the_table_shows_every_figure_every_ratio_and_what_failed():
    broken = part(one=1.234) | {"status": "failed", "reason": "the disk was full", "failures": {"two": "not installed"}}
    results = found({"engines": part(keras_predict__1=300, served__1=50), "uploads": broken})

    lines = table(results).splitlines()

    assert "| what keras_predict__1 is | 300 | 300 | 300 | ms | 1 |" in lines
    assert "| what one is | 1.23 | 1.23 | 1.23 | ms | 1 |" in lines
    assert "**Failed:** the disk was full" in lines
    assert "- Not measured: two. not installed" in lines
    assert f"| {RATIOS['engine_vs_predict'].what} | 6 | ≥ 5.5 |" in lines
    assert f"| {RATIOS['two_workers_vs_one'].what} | – | ≥ 1 |" in lines


@pytest.mark.parametrize(
    ("goal", "written", "kept", "missed"),
    [
        (Goal(least=5.5), "≥ 5.5", [5.5, 9], [5.4]),
        (Goal(most=1 / 3), "≤ ⅓", [0.333], [0.334]),
        (Goal(0.95, 1.05), "≥ 0.95, ≤ 1.05", [0.95, 1, 1.05], [0.9, 1.1]),
        (Goal(0, 0), "0", [0], [1]),
        (Goal(), "", [-1, 0, 1000], []),
    ],
    ids=["at least", "at most", "between", "exactly", "none"],
)
def test_a_goal_that_is_missed_is_marked(goal, written, kept, missed, monkeypatch):
    monkeypatch.setitem(RATIOS, "engine_vs_predict", Ratio("what it says", goal, lambda parts: 0))
    assert [goal.is_missed_by(value) for value in (*kept, *missed)] == [False] * len(kept) + [True] * len(missed)
    for value in missed:
        lines = table(found({}) | {"ratios": {"engine_vs_predict": value}}).splitlines()
        assert f"| what it says | **{value:g}, missed** | {written} |" in lines


def test_a_page_has_one_row_for_tables_of_all_sizes():
    pages = part(history__1000=10, history__1000000=14, history__1000__queries=7, history__1000000__queries=7)
    pages["figures"]["history.1000000.queries"]["median"] = 8
    for rows in ("1000", "1000000"):
        pages["figures"][f"history.{rows}"]["what"] = f"the history, {int(rows):,} predictions"

    lines = table(found({"pages": pages})).splitlines()

    assert "|  | 1,000 predictions | 1,000,000 predictions | n | queries |" in lines
    assert "| the history | 10 (10–10) ms | 14 (14–14) ms | 1 | 7 / 8 |" in lines


def test_what_holds_for_several_parts_is_said_once():
    one, other = part(a=1) | {"notes": ["for both", "for one"]}, part(b=1) | {"notes": ["for both"]}

    lines = table(found({"uploads": one, "intake": other})).splitlines()

    assert lines.count("- for both") == lines.count("- for one") == 1
    assert lines.index("- for both") < lines.index("## a part") < lines.index("- for one")


def test_what_was_not_measured_again_is_kept_and_says_of_which_run_it_is():
    former = found({"uploads": part(one__eager=200, engine=50), "engines": part(keras_predict__1=300, served__1=50)})
    again = found({"uploads": part(one__eager=140, engine=50)})
    again["machine"] |= {"commit": "def", "date": "2026-02-01"}

    both = command.beside(former, again)
    once_more = command.beside(both, found({}))

    assert list(both["parts"]) == ["engines", "uploads"], "in their usual order"
    assert both["machine"]["commit"] == "def"
    assert both["ratios"]["upload_minus_engine_ms"] == 90.0
    assert both["ratios"]["engine_vs_predict"] == 6.0
    lines = table(both).splitlines()
    assert [line for line in lines if line.startswith("Not of this run")] == [
        "Not of this run, but of a former one: 2026-01-31, commit abc, load 0.1 at the start."
    ]
    assert once_more["parts"]["engines"]["measured"].startswith("2026-01-31, commit abc")
    assert once_more["parts"]["uploads"]["measured"].startswith("2026-02-01, commit def")


@pytest.mark.parametrize(("what", "other"), [("cpu", "another processor"), ("cores", 4)])
def test_figures_of_another_machine_are_not_kept_beside_these(what, other):
    former = found({"engines": part(keras_predict__1=300)})
    former["machine"][what] = other

    assert "another machine" in command.not_beside(former, found({})["machine"], quick=False)
    assert command.not_beside(found({}), found({})["machine"], quick=False) == ""


def test_figures_of_a_quick_run_are_not_kept_beside_others(tmp_path):
    former = found({}) | {"quick": True}
    former["machine"] = command.machine()
    (tmp_path / "results.json").write_text(json.dumps(former))

    outcome = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "intake", "--keep", "--out", tmp_path],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )

    assert outcome.returncode == 2
    assert "a quick one" in outcome.stderr


def test_the_command_writes_both_files(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--only", "intake", "dicom", "--out", tmp_path],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )

    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results) == {"quick", "machine", "parts", "ratios"}
    assert results["quick"] is True
    assert set(found({})["machine"]) == set(results["machine"])
    intake = results["parts"]["intake"]
    assert intake["status"] == "measured"
    assert intake["figures"]["clean"]["n"] == 3
    assert 0 < intake["figures"]["clean"]["min"] <= intake["figures"]["clean"]["median"]
    dicom = results["parts"]["dicom"]
    assert (dicom["status"], set(dicom["figures"])) == ("measured", {"uncompressed", "jpeg_2000"})
    assert "uncompressed 10.5 MB" in dicom["notes"][0]
    assert results["ratios"]["dicom_vs_jpeg"] > 0
    assert (tmp_path / "RESULTS.md").read_text() == table(results)
