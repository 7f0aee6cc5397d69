"""The table of docs/scaling.md: it follows from measured rates, and from nothing that was not measured."""

import json

import pytest

from bench import capacity

RESULTS = {
    "quick": False,
    "machine": {"cpu": "A processor", "cores": 2, "date": "2026-01-31 12:00 UTC"},
    "parts": {"reprocessing": {"figures": {"one_worker": {"median": 10.0}, "singly": {"median": 5.0}}}},
}


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "scaling.md"
    path.write_text(capacity.PAGE.read_text())
    return path


def run(page, results=None, *arguments) -> int:
    file = page.with_name("results.json")
    if results is not None:
        file.write_text(json.dumps(results))
    return capacity.main(["--results", str(file), "--page", str(page), *arguments])


def cells(text: str, workers: int) -> list[str]:
    [line] = [line for line in text.splitlines() if line.startswith(f"| {workers} |")]
    return [cell.strip() for cell in line.strip("| ").split("|")]


def test_the_rates_of_one_worker_give_those_of_many(page, monkeypatch):
    monkeypatch.setattr(capacity, "INTAKE_SECONDS", 0.1)
    assert run(page, RESULTS) == 0
    written = page.read_text()
    assert (
        "At 100 ms for a picture of a batch and 200 ms for a person's (2 cores of A processor, 2026-01-31 12:00 UTC):"
    ) in written
    # 10 a second: 95 % of 86,400 s. 5 a second: 70 % of 36,000 s.
    assert cells(written, 1)[1:5] == ["820,000", "130,000", "5", "0.5"]
    assert cells(written, 64)[1:5] == ["53,000,000", "8,100,000", "320", "32"]


def test_a_fast_machine_gives_numbers_that_a_person_reads(page):
    assert run(page, None, "--milliseconds", "28") == 0
    assert cells(page.read_text(), 64)[1:4] == ["190,000,000", "58,000,000", "2,300"]


def test_only_the_table_is_written_and_twice_is_as_once(page):
    before = page.read_text()
    run(page, RESULTS)
    once = page.read_text()
    run(page, RESULTS)
    assert page.read_text() == once
    start, end = "<!-- python -m bench.capacity writes this -->", "<!-- up to here -->"
    assert once.split(start)[0] == before.split(start)[0]
    assert once.split(end)[1] == before.split(end)[1]


@pytest.mark.parametrize(
    ("results", "words"),
    [
        (None, "No such file"),
        (RESULTS | {"quick": True}, "without --quick"),
        (RESULTS | {"parts": {}}, "the part reprocessing"),
        (
            RESULTS | {"parts": {"reprocessing": {"figures": {"one_worker": {"median": 10.0}}}}},
            "the part reprocessing",
        ),
    ],
)
def test_without_a_measured_rate_the_page_stays_as_it_is(page, capsys, results, words):
    before = page.read_text()
    assert run(page, results) == 1
    assert words in capsys.readouterr().err
    assert page.read_text() == before


def test_a_rate_given_by_hand_is_called_so(page):
    assert run(page, None, "--milliseconds", "50") == 0
    assert "and 50 ms for a person's (given by hand, not a measurement)" in page.read_text()


@pytest.mark.parametrize("milliseconds", ["0", "-5", "nan"])
def test_no_time_at_all_is_no_rate(page, milliseconds):
    assert run(page, None, "--milliseconds", milliseconds) == 1


def test_sizes_are_said_in_the_unit_that_fits():
    assert [capacity.size(count) for count in (950, 2.4e8, 2.2e11, 1.4e13, 1.1e14)] == [
        "950 B",
        "240 MB",
        "220 GB",
        "14 TB",
        "110 TB",
    ]
