"""The evaluation from end to end, on a tiny checkpoint."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml import evaluate
from ml.checkpoint import WEIGHTS_FILE, Checkpoint
from ml.dataset import Example
from ml.tests.conftest import draw_xray

FIGURES = ("accuracy", "recall", "precision", "f1", "specificity", "auc", "log_loss", "ece")


@pytest.fixture
def run(resumed_run, tmp_path):
    """Give a function that evaluates a folder and returns (exit code, the JSON or None)."""

    def evaluated(data: Path, *, checkpoint: Path = resumed_run.folder / "checkpoint", flags: tuple[str, ...] = ()):
        report = tmp_path / "out" / "report.json"
        code = evaluate.main(["--data", str(data), "--checkpoint", str(checkpoint), "--json", str(report), *flags])
        return code, json.loads(report.read_text()) if report.exists() else None

    return evaluated


def test_a_missing_folder_is_one_line_and_exit_code_1(run, tmp_path, capsys):
    assert run(tmp_path / "absent") == (1, None)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_checkpoint_is_one_line_and_exit_code_1(run, make_folder, tmp_path, capsys):
    assert run(make_folder(), checkpoint=tmp_path / "absent") == (1, None)
    assert capsys.readouterr().err == f"There is no checkpoint in {tmp_path / 'absent'}: checkpoint.json is absent.\n"


def test_truncated_weights_are_one_line_and_exit_code_1(run, make_folder, resumed_run, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "checkpoint.json").write_bytes((resumed_run.folder / "checkpoint" / "checkpoint.json").read_bytes())
    (broken / WEIGHTS_FILE).write_bytes(b"half of it")
    assert run(make_folder(), checkpoint=broken) == (1, None)
    assert "truncated or was changed" in capsys.readouterr().err


def test_an_unreadable_picture_is_named_left_out_and_exit_code_1(run, make_folder, capsys):
    folder = make_folder(patients=3)
    (folder / "NORMAL" / "IM-0099-0001.jpeg").write_text("not a picture")
    code, report = run(folder)
    assert code == 1
    assert report["n"] == 6
    assert report["unreadable"] == ["NORMAL/IM-0099-0001.jpeg"]
    assert "NORMAL/IM-0099-0001.jpeg can't be read" in capsys.readouterr().err


def test_a_folder_without_one_readable_picture_is_an_error(run, tmp_path, capsys):
    for label in ("NORMAL", "PNEUMONIA"):
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "a.jpeg").write_text("not a picture")
    assert run(tmp_path / "data") == (1, None)
    assert "None of the 2 files" in capsys.readouterr().err


def test_the_report_has_every_promised_figure_with_its_interval(run, make_folder):
    code, report = run(make_folder(patients=4))
    assert code == 0
    assert report["n"] == sum(report["confusion"].values()) == 8
    for name in FIGURES:
        assert set(report["metrics"][name]) == {"value", "low", "high"}
        assert report["metrics"][name]["low"] <= report["metrics"][name]["value"] <= report["metrics"][name]["high"]
    assert report["by_cause"]["bacteria"]["n"] == report["by_cause"]["virus"]["n"] == 2
    assert [row["prevalence"] for row in report["predictive_values"]] == list(evaluate.PREVALENCES)


def test_the_tiny_network_learned_to_tell_the_drawings_apart(run, train_folder):
    assert run(train_folder)[1]["metrics"]["auc"]["value"] > 0.9


def test_the_report_names_the_checkpoint(run, make_folder, resumed_run):
    checkpoint = Checkpoint.read(resumed_run.folder / "checkpoint")
    named = run(make_folder())[1]["checkpoint"]
    assert named["sha256"] == checkpoint.sha256
    assert named["threshold"] == checkpoint.metadata.threshold
    assert named["temperature"] == checkpoint.metadata.temperature
    assert named["name"] == "tiny"


def test_duplicates_count_and_are_reported(run, make_folder):
    folder = make_folder(patients=3)
    (folder / "NORMAL" / "IM-0099-0001.jpeg").write_bytes((folder / "NORMAL" / "IM-0000-0001.jpeg").read_bytes())
    _, report = run(folder)
    assert (report["n"], report["duplicates"]) == (7, 1)


def test_full_size_pictures_of_any_mode_are_answered(run, make_folder):
    folder = make_folder(patients=1)
    large = draw_xray(ill=True, size=(1800, 1300))
    large.convert("RGB").save(folder / "PNEUMONIA" / "person8_virus_1.jpg")
    large.convert("RGBA").save(folder / "PNEUMONIA" / "person9_virus_1.png")
    assert run(folder)[1]["n"] == 4


def test_a_picture_is_turned_as_its_camera_says(tmp_path):
    picture = Image.new("L", (40, 20))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpeg", exif=exif)
    assert evaluate.open_picture(tmp_path / "turned.jpeg").size == (20, 40)


def test_pictures_are_drawn_and_people_get_a_table(run, make_folder, tmp_path, capsys):
    run(make_folder(patients=4), flags=("--pictures", str(tmp_path / "pictures")))
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert names == {"confusion.png", "reliability.png", "roc.png"}
    printed = capsys.readouterr().out
    assert "n = 8 pictures of 8 patients" in printed
    assert "0 exact duplicates, 0 unreadable" in printed
    assert all(name in printed for name in FIGURES)


def test_it_works_without_writing_anything(make_folder, resumed_run, tmp_path, monkeypatch):
    folder = make_folder()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert evaluate.main(["--data", str(folder), "--checkpoint", str(resumed_run.folder / "checkpoint")]) == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_the_shipped_checkpoint_is_the_default():
    assert evaluate.parse_arguments(["--data", "x"]).checkpoint == evaluate.SHIPPED


def test_one_label_alone_is_reported_without_a_roc_curve(tmp_path, resumed_run):
    answers = evaluate.Answers(
        examples=[Example(Path("person1_virus_1.jpeg"), "PNEUMONIA", f"p{i}", str(i)) for i in range(3)],
        probabilities=np.array([0.2, 0.7, 0.9]),
        unreadable=[],
    )
    report = evaluate.describe(answers, Checkpoint.read(resumed_run.folder / "checkpoint"))
    assert "undefined" in evaluate.table(report)
    assert report["predictive_values"] == []
    assert {path.name for path in evaluate.draw(answers, report, tmp_path)} == {"confusion.png", "reliability.png"}
