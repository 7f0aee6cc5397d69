"""runs.csv: one header, a line for each run, nothing that is not a column."""

import pytest

from ml import runs


def test_lines_are_appended_below_one_header(tmp_path):
    file = tmp_path / "runs.csv"
    for seed in (1, 2):
        runs.append({"run": "first", "seed": seed, "auc": 0.99}, file)
    assert [(line["run"], line["seed"], line["auc"]) for line in runs.read(file)] == [
        ("first", "1", "0.99"),
        ("first", "2", "0.99"),
    ]
    assert file.read_text().startswith("run,changed,date,")
    assert file.read_text().count("changed") == 1


def test_a_figure_without_a_column_is_refused(tmp_path):
    with pytest.raises(ValueError, match="flavour"):
        runs.append({"run": "first", "flavour": 1}, tmp_path / "runs.csv")


def test_the_end_of_a_run_may_be_repeated_without_a_second_line(tmp_path):
    file = tmp_path / "runs.csv"
    for commit in ("abc", "abc", "def"):
        runs.append({"run": "first", "seed": 1, "commit": commit}, file)
    assert [line["commit"] for line in runs.read(file)] == ["abc", "def"]


def test_a_file_with_other_columns_is_refused_and_stays_as_it_is(tmp_path):
    file = tmp_path / "runs.csv"
    file.write_text("run,seed\nfirst,1\n")
    with pytest.raises(ValueError, match="other columns"):
        runs.append({"run": "second"}, file)
    assert file.read_text() == "run,seed\nfirst,1\n"


def test_no_file_means_no_lines(tmp_path):
    assert runs.read(tmp_path / "absent.csv") == []
