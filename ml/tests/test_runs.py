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


def test_no_file_means_no_lines(tmp_path):
    assert runs.read(tmp_path / "absent.csv") == []
