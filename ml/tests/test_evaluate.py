"""The evaluation from end to end: on a classifier that reads the drawings' lungs, and once on a tiny trained one."""

import dataclasses
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ml import evaluate, plots
from ml import report as reports
from ml.checkpoint import REFUSAL_FILE, WEIGHTS_FILE, Checkpoint, Metadata, file_sha256, write_metadata
from ml.dataset import Example, data_hash, drop_duplicates, split_by_patient
from ml.gallery import MARGIN, SIDE
from ml.heatmap import BETWEEN, PLACES
from ml.others import ALTERATIONS, made
from ml.prevalence import PREVALENCES
from ml.shifts import MEASURED, SEVERITIES
from ml.split import HELD_OUT_SHARE
from ml.tests.conftest import draw_xray

FIGURES = ("accuracy", "recall", "precision", "f1", "specificity", "npv", "auc", "auprc", "log_loss", "brier", "ece")
PLOTS = {"confusion.png", "reliability.png", "roc.png", "precision_recall.png"}

# White lungs are ill; between the two kinds of drawings lies much room.
HEALTHY, ILL = 40.0, 210.0


@dataclass(frozen=True)
class Answer:
    """What a Classification holds."""

    probability: float
    is_chest_xray: bool
    heatmap: np.ndarray


class LungReader:
    """Answers by the grey level of the right lung; what is one level all over is no chest X-ray."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.engine = checkpoint, "openvino"
        self.batches: list[int] = []

    def classify(self, pictures):
        self.batches.append(len(pictures))
        return [self._answer(picture.convert("L").resize((32, 32))) for picture in pictures]

    def _answer(self, picture: Image.Image) -> Answer:
        level = (picture.getpixel((9, 16)) - HEALTHY) / (ILL - HEALTHY)
        flat = np.ptp(np.asarray(picture)) == 0
        return Answer(float(np.clip(level, 0.02, 0.98)), not flat, np.eye(4, dtype=np.float32))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Checkpoint:
    """A checkpoint that can be verified; nobody loads its weights."""
    folder = tmp_path_factory.mktemp("checkpoint")
    for name in (WEIGHTS_FILE, REFUSAL_FILE):
        (folder / name).write_bytes(name.encode())
    metadata = Metadata(
        name="lungs",
        created="2026-01-01T00:00:00+00:00",
        image_size=32,
        temperature=1.5,
        bias=0.1,
        threshold=0.5,
        uncertain=(0.4, 0.6),
        weights_sha256=file_sha256(folder / WEIGHTS_FILE),
        refusal_sha256=file_sha256(folder / REFUSAL_FILE),
    )
    return write_metadata(folder, metadata)


@pytest.fixture
def run(checkpoint, tmp_path, monkeypatch):
    """Give a function that evaluates a folder by a LungReader and returns (exit code, the JSON or None)."""
    loaded = SimpleNamespace(load=lambda folder, **options: LungReader(Checkpoint.read(folder)))
    monkeypatch.setitem(sys.modules, "ml.classifier", SimpleNamespace(Classifier=loaded))

    def evaluated(data: Path, *flags: str, folder: Path = checkpoint.folder):
        report = tmp_path / "out" / "report.json"
        code = evaluate.main(["--data", str(data), "--checkpoint", str(folder), "--json", str(report), *flags])
        return code, json.loads(report.read_text()) if report.exists() else None

    return evaluated


def with_mistakes(folder: Path, *, count: int) -> Path:
    """Put drawings of ill lungs among the normals, each another patient's."""
    for i in range(count):
        draw_xray(ill=True, seed=500 + i).save(folder / "NORMAL" / f"IM-{900 + i:04d}-0001.jpeg")
    return folder


# --- bad input ---


def test_a_missing_folder_is_one_line_and_exit_code_1(run, tmp_path, capsys):
    assert run(tmp_path / "absent") == (1, None)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_checkpoint_is_one_line_and_exit_code_1(run, make_folder, tmp_path, capsys):
    assert run(make_folder(), folder=tmp_path / "absent") == (1, None)
    assert capsys.readouterr().err == f"There is no checkpoint in {tmp_path / 'absent'}: checkpoint.json is absent.\n"


def test_truncated_weights_are_one_line_and_exit_code_1(run, make_folder, checkpoint, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in checkpoint.folder.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / WEIGHTS_FILE).write_bytes(b"half of it")
    assert run(make_folder(), folder=broken) == (1, None)
    assert "truncated or was changed" in capsys.readouterr().err


def test_an_unreadable_picture_is_named_left_out_and_exit_code_1(run, make_folder, capsys):
    folder = make_folder(patients=3)
    (folder / "NORMAL" / "IM-0099-0001.jpeg").write_text("not a picture")
    code, report = run(folder)
    assert code == 1
    assert report["n"] == 6
    assert report["unreadable"] == ["NORMAL/IM-0099-0001.jpeg"]
    assert "NORMAL/IM-0099-0001.jpeg can't be read" in capsys.readouterr().err


def test_what_is_no_picture_file_is_named_and_left_out(run, make_folder, capsys):
    folder = make_folder(patients=2)
    (folder / "__MACOSX").mkdir()
    for name in (".DS_Store", "NORMAL/Thumbs.db", "NORMAL/._IM-0000-0001.jpeg", "PNEUMONIA/scan.dcm"):
        (folder / name).write_bytes(b"\0")
    (folder / "PNEUMONIA" / "more.jpeg").mkdir()
    code, report = run(folder)
    assert (code, report["n"], report["unreadable"]) == (0, 4, [])
    names = [
        ".DS_Store",
        "NORMAL/._IM-0000-0001.jpeg",
        "NORMAL/Thumbs.db",
        "PNEUMONIA/more.jpeg/",
        "PNEUMONIA/scan.dcm",
    ]
    assert report["left_out"] == [*names, "__MACOSX/"]
    said = f"Beside them 6 that are no picture file, left out: {', '.join(report['left_out'])}"
    assert said in capsys.readouterr().out
    assert said in reports.as_markdown(report, plots=[], errors=None)


def test_the_folder_above_the_splits_is_refused_with_their_names(run, make_folder, tmp_path, capsys):
    for name in ("data/chest_xray/test", "data/chest_xray/train", "data/__MACOSX/test"):
        make_folder(name, patients=1)
    assert run(tmp_path / "data") == (1, None)
    said = capsys.readouterr().err
    assert str(tmp_path / "data" / "chest_xray" / "test") in said
    assert str(tmp_path / "data" / "chest_xray" / "train") in said
    assert "__MACOSX" not in said


def test_a_folder_without_one_readable_picture_is_an_error(run, tmp_path, capsys):
    for label in ("NORMAL", "PNEUMONIA"):
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "a.jpeg").write_text("not a picture")
    assert run(tmp_path / "data") == (1, None)
    assert "None of the 2 files" in capsys.readouterr().err


# --- what is measured ---


def test_the_report_has_every_promised_figure_with_its_interval(run, make_folder):
    code, report = run(make_folder(patients=4))
    assert code == 0
    assert report["n"] == sum(report["confusion"].values()) == 8
    for name in FIGURES:
        assert set(report["metrics"][name]) == {"value", "low", "high"}
        assert report["metrics"][name]["low"] <= report["metrics"][name]["value"] <= report["metrics"][name]["high"]
    assert report["by_cause"]["bacteria"]["n"] == report["by_cause"]["virus"]["n"] == 2
    assert [row["prevalence"] for row in report["predictive_values"]] == list(PREVALENCES)
    assert set(report["curves"]) == {"roc", "precision_recall", "reliability"}


def test_pictures_that_would_be_refused_are_measured_and_counted_beside(run, make_folder, capsys):
    folder = make_folder(patients=3)
    Image.new("L", (80, 80), 40).save(folder / "NORMAL" / "IM-0050-0001.png")
    _, report = run(folder)
    assert report["n"] == 7
    assert (report["refused"]["count"], report["refused"]["n"]) == (1, 7)
    assert "refused as no chest X-ray: 1 of 7" in capsys.readouterr().out


def test_the_figures_without_refused_pictures_stand_beside(run, make_folder, capsys):
    folder = make_folder(patients=3)
    Image.new("L", (80, 80), 220).save(folder / "NORMAL" / "IM-0050-0001.png")
    _, report = run(folder)
    assert report["metrics"]["specificity"]["value"] == 3 / 4
    assert (report["without_refused"]["n"], report["without_refused"]["specificity"]["value"]) == (6, 1.0)
    assert "| specificity | 75.0 % (" in reports.as_markdown(report, plots=[], errors=None)
    said = capsys.readouterr().out
    assert "without them, n = 6:" in said
    assert "  specificity            100.0%" in said


@pytest.mark.parametrize("refused", [False, True], ids=["none", "all"])
def test_where_no_picture_or_every_one_is_refused_there_are_no_other_figures(checkpoint, refused):
    answers = evaluate.Answers(
        examples=[Example(Path("a.png"), label, label, label) for label in ("NORMAL", "PNEUMONIA")],
        classifications=[Answer(probability, not refused, np.zeros((2, 2))) for probability in (0.2, 0.7)],
        unreadable=[],
    )
    report = evaluate.describe(answers, checkpoint, engine="openvino")
    assert report["without_refused"] is None
    assert f"{2 * refused} of 2" in reports.table(report)
    assert f"{2 * refused} of 2" in reports.as_markdown(report, plots=[], errors=None)


def test_answers_within_the_band_of_the_checkpoint_are_counted_as_uncertain(run, make_folder):
    folder = make_folder(patients=2)
    middle = round((HEALTHY + ILL) / 2 + 5)
    Image.new("L", (80, 80), middle).save(folder / "PNEUMONIA" / "person70_virus_1.png")
    _, report = run(folder)
    assert report["uncertain"]["share"]["value"] == pytest.approx(1 / 5)
    assert report["uncertain"]["accuracy_inside"] == pytest.approx(
        {"value": 1, "low": 0.2065, "high": 1, "n": 1}, abs=1e-3
    )
    assert report["uncertain"]["accuracy_outside"]["n"] == 4


def test_wrong_answers_are_named_the_most_confident_first(run, make_folder):
    folder = with_mistakes(make_folder(patients=3), count=1)
    Image.new("L", (80, 80), 127).save(folder / "NORMAL" / "IM-0950-0001.png")
    assert [wrong["picture"] for wrong in run(folder)[1]["wrong"]] == [
        "NORMAL/IM-0900-0001.jpeg",
        "NORMAL/IM-0950-0001.png",
    ]


def test_intervals_are_by_patient(run, make_folder):
    folder = with_mistakes(make_folder("many", patients=4), count=4)
    of_many = run(folder)[1]["metrics"]
    for i in range(1, 4):
        first, other = folder / "NORMAL" / "IM-0900-0001.jpeg", folder / "NORMAL" / f"IM-{900 + i:04d}-0001.jpeg"
        other.rename(first.with_name(f"IM-0900-000{i + 1}.jpeg"))
    of_one = run(folder)[1]["metrics"]
    assert of_one["specificity"]["value"] == of_many["specificity"]["value"] == 0.5
    assert of_one["specificity"]["low"] < of_many["specificity"]["low"]


def test_the_report_names_the_checkpoint(run, make_folder, checkpoint):
    named = run(make_folder())[1]["checkpoint"]
    assert named == {
        "name": "lungs",
        "sha256": checkpoint.sha256,
        "threshold": 0.5,
        "uncertain": [0.4, 0.6],
        "temperature": 1.5,
        "bias": 0.1,
        "preprocessing": checkpoint.metadata.preprocessing,
    }


def test_the_report_says_what_answered(run, make_folder, capsys):
    assert run(make_folder())[1]["engine"] == "openvino"
    assert "answered by openvino" in capsys.readouterr().out


def test_pictures_that_the_model_was_trained_on_are_told(run, make_folder, checkpoint, tmp_path, capsys):
    folder, seen = make_folder(), tmp_path / "seen"
    assert not run(folder)[1]["trained_on"]
    capsys.readouterr()
    shutil.copytree(checkpoint.folder, seen)
    training = {"data": {"hash": data_hash(evaluate.read_folder(folder))}}
    write_metadata(seen, dataclasses.replace(checkpoint.metadata, training=training))
    _, report = run(folder, folder=seen)
    assert report["trained_on"]
    assert "trained on pictures of this folder" in capsys.readouterr().out
    assert "trained on pictures of this folder" in reports.as_markdown(report, plots=[], errors=None)


@pytest.fixture
def trained_on(checkpoint, tmp_path):
    """Give a function that writes a checkpoint which says that it was trained on a folder, and returns its own."""

    def written(data: Path) -> Path:
        shutil.copytree(checkpoint.folder, tmp_path / "trained")
        training = {"seed": 3, "data": {"hash": data_hash(drop_duplicates(evaluate.read_folder(data)))}}
        return write_metadata(tmp_path / "trained", dataclasses.replace(checkpoint.metadata, training=training)).folder

    return written


def test_of_the_training_folder_the_held_out_patients_alone_can_be_measured(run, make_folder, trained_on, capsys):
    folder = make_folder(patients=20)
    checkpoint = trained_on(folder)
    code, report = run(folder, "--held-out", folder=checkpoint)
    assert (code, report["n"], report["held_out"], report["trained_on"]) == (0, 4, True, False)
    assert "that it was not trained on; they chose its operating point" in capsys.readouterr().out
    assert "they chose its operating point" in reports.as_markdown(report, plots=[], errors=None)
    training, held_out = split_by_patient(evaluate.read_folder(folder), share=HELD_OUT_SHARE, seed=3)
    assert report["data_hash"] == data_hash(held_out)
    assert len(training) == 36


def test_no_other_folder_has_patients_held_out_of_training(run, make_folder, trained_on, capsys):
    checkpoint = trained_on(make_folder("own", patients=6))
    assert run(make_folder("other", patients=5), "--held-out", folder=checkpoint) == (1, None)
    assert "is not what lungs was trained on" in capsys.readouterr().err


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
    assert run(folder)[1]["confusion"]["true_pneumonia"] == 3


def test_a_picture_is_turned_as_its_camera_says(tmp_path):
    picture = Image.new("L", (40, 20))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpeg", exif=exif)
    assert evaluate.open_picture(tmp_path / "turned.jpeg").size == (20, 40)


def test_a_large_folder_goes_through_the_classifier_in_batches(checkpoint, train_folder):
    reader = LungReader(checkpoint)
    answers = evaluate.ask(reader, evaluate.read_folder(train_folder))
    assert reader.batches == [16, 12]
    assert len(answers.probabilities) == 28


def test_one_label_alone_is_reported_without_a_roc_curve(tmp_path, checkpoint):
    answers = evaluate.Answers(
        examples=[Example(Path("person1_virus_1.jpeg"), "PNEUMONIA", f"p{i}", str(i)) for i in range(3)],
        classifications=[Answer(probability, True, np.zeros((2, 2))) for probability in (0.2, 0.7, 0.9)],
        unreadable=[],
    )
    report = evaluate.describe(answers, checkpoint, engine="openvino")
    assert "undefined" in reports.table(report)
    assert report["predictive_values"] == []
    assert {path.name for path in reports.draw(report, tmp_path)} == {"confusion.png", "reliability.png"}
    assert "| specificity | – |" in reports.as_markdown(report, plots=[], errors=None)


# --- robustness ---


def test_robustness_measures_every_shift_at_every_severity(run, make_folder, tmp_path):
    _, report = run(make_folder(patients=2), "--robustness")
    assert set(report["robustness"]) == set(MEASURED) - {"none"}
    for points in report["robustness"].values():
        assert [point["severity"] for point in points] == [0.0, *SEVERITIES]
        assert points[0] == report["robustness"]["darker"][0]
        assert all(point["n"] == 4 for point in points)
    # Grey levels 35 and 52 lower are what a reader of grey levels sees.
    darker = [point["recall"] for point in report["robustness"]["darker"]]
    assert darker[0] == 1.0
    assert darker == sorted(darker, reverse=True)
    # Nothing but ill lungs that look healthy now can change, and half of the pictures are ill.
    assert [point["flips"] for point in report["robustness"]["darker"]] == [(1 - recall) / 2 for recall in darker]
    assert "| darker | 1.5 |" in reports.as_markdown(report, plots=[], errors=None)
    assert "| labels that change | refused | n |" in reports.as_markdown(report, plots=[], errors=None)
    # Every share has its interval, of the pictures that it is a share of.
    worst = report["robustness"]["darker"][-1]
    assert {key: found["n"] for key, found in worst["intervals"].items()} == {
        "recall": 2,
        "specificity": 2,
        "flips": 4,
        "refused": 4,
    }
    assert all(found["value"] == worst[key] for key, found in worst["intervals"].items())
    assert "| 0.0 % (0.0–49.0) | 4 |" in reports.as_markdown(report, plots=[], errors=None)
    assert plots.robustness({"darker": report["robustness"]["darker"]}, tmp_path / "robustness.png").exists()


def test_of_a_large_folder_a_part_draws_the_curves_unless_all_is_asked_for(make_folder, checkpoint, monkeypatch):
    answers = evaluate.ask(LungReader(checkpoint), evaluate.read_folder(make_folder(patients=4)))
    monkeypatch.setattr(evaluate, "MANY", 8)
    part = evaluate.robustness(LungReader(checkpoint), answers, every=False)
    assert {point["n"] for points in part.values() for point in points} == {2}
    every = evaluate.robustness(LungReader(checkpoint), answers, every=True)
    assert {point["n"] for points in every.values() for point in points} == {8}


# --- other pictures ---


def test_what_share_of_other_pictures_is_refused_is_told_by_kind(run, make_folder, capsys):
    _, report = run(make_folder(patients=2), "--robustness")
    assert set(report["others"]) == set(made()) | set(ALTERATIONS)
    # What is one level all over is all that a reader of grey levels knows to be no chest.
    assert (report["others"]["blank"]["value"], report["others"]["noise"]["value"]) == (1.0, 0.0)
    assert {report["others"][kind]["n"] for kind in ALTERATIONS} == {4}
    assert "| blank | 100.0 % (61.0–100.0) | 6 |" in reports.as_markdown(report, plots=[], errors=None)
    n = sum(found["n"] for found in report["others"].values())
    assert f"other pictures: 6 of {n} refused, of {len(report['others'])} kinds" in capsys.readouterr().out


def test_a_folder_of_ones_own_adds_kinds(run, make_folder, tmp_path):
    for kind, levels in {"hands": (30, 60, 90), "maps": (120,)}.items():
        (tmp_path / "mine" / kind).mkdir(parents=True)
        for level in levels:
            Image.new("L", (50, 40), level).save(tmp_path / "mine" / kind / f"{level}.png")
    draw_xray(ill=False).save(tmp_path / "mine" / "maps" / "chest.png")
    (tmp_path / "mine" / "hands" / "notes.txt").write_text("three hands")
    _, report = run(make_folder(patients=2), "--others", str(tmp_path / "mine"))
    assert {kind: (found["value"], found["n"]) for kind, found in report["others"].items()} == {
        "hands": (1.0, 3),
        "maps": (0.5, 2),
    }


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_a_folder_of_ones_own_without_pictures_or_with_a_broken_one_is_an_error(
    run, make_folder, tmp_path, capsys, content
):
    (tmp_path / "mine" / "hands").mkdir(parents=True)
    if content:
        (tmp_path / "mine" / "hands" / "broken.png").write_bytes(content)
    assert run(make_folder(patients=2), "--others", str(tmp_path / "mine")) == (1, None)
    error = capsys.readouterr().err
    assert ("broken.png" if content else "No pictures in the folders in") in error


# --- heatmaps ---


def test_the_report_tells_where_the_heatmaps_of_pneumonias_that_were_found_are_hottest(answered, make_folder):
    answers = answered(with_mistakes(make_folder(patients=4), count=3))
    for i, (classification, label) in enumerate(zip(answers.classifications, answers.labels, strict=True)):
        heat = np.zeros((8, 8), np.float32)
        heat[(3, 4) if label else (7, 7)] = 1
        answers.classifications[i] = dataclasses.replace(classification, heatmap=heat)
    found = evaluate.heatmaps(answers, 0.5)
    assert {place: (part["value"], part["n"]) for place, part in found.items()} == {
        place: (float(place == BETWEEN), 4) for place in PLACES
    }


# --- shortcuts ---


def test_the_answers_are_held_against_what_picture_statistics_tell_in_the_same_folder(run, make_folder):
    _, report = run(make_folder(patients=40))
    audit = report["shortcuts"]
    assert audit["statistics_auc"] > 0.9, "the drawings' levels tell their label"
    assert audit["rule_right"]["n"] + audit["rule_wrong"]["n"] == 80
    text = reports.as_markdown(report, plots=[], errors=None)
    assert "cross-validated by patient" in text
    assert "| these pictures | wrong |" in text


def test_a_folder_too_small_for_a_rule_says_so(run, make_folder):
    _, report = run(make_folder(patients=4))
    assert report["shortcuts"] is None
    assert "too few patients" in reports.as_markdown(report, plots=[], errors=None)


# --- what is written ---


def test_it_works_without_writing_anything(run, make_folder, checkpoint, tmp_path, monkeypatch):
    folder = make_folder()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert evaluate.main(["--data", str(folder), "--checkpoint", str(checkpoint.folder)]) == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_pictures_are_drawn_and_people_get_a_table(run, make_folder, tmp_path, capsys):
    run(with_mistakes(make_folder(patients=4), count=1), "--pictures", str(tmp_path / "pictures"))
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == PLOTS
    printed = capsys.readouterr().out
    assert "n = 9 pictures of 9 patients" in printed
    assert "0 exact duplicates, 0 unreadable" in printed
    assert all(name in printed for name in FIGURES)


def test_a_report_folder_gets_everything_to_read_and_to_show(run, make_folder, tmp_path):
    folder = tmp_path / "report"
    _, report = run(with_mistakes(make_folder(patients=4), count=3), "--report", str(folder))
    plots_of_all = PLOTS | {"robustness.png"}
    assert {path.name for path in folder.iterdir()} == plots_of_all | {"report.json", "report.md", "errors.png"}
    assert json.loads((folder / "report.json").read_text()) == report
    text = (folder / "report.md").read_text()
    assert "n = 11 pictures of 11 patients" in text
    assert "| NORMAL | PNEUMONIA | 3 |" in text
    assert "| bacteria | 100.0 %" in text
    assert "Refused as no chest X-ray: 0 of 11" in text
    assert "do not publish it" in text
    assert all(f"({name})" in text for name in plots_of_all | {"errors.png"})


@pytest.fixture
def answered(checkpoint):
    """Give a function that lets a LungReader answer a folder."""
    return lambda folder: evaluate.ask(LungReader(checkpoint), evaluate.read_folder(folder))


def test_the_gallery_shows_each_wrong_answer_beside_its_heatmap(answered, make_folder, tmp_path):
    answers = answered(with_mistakes(make_folder(patients=4), count=3))
    with Image.open(evaluate.show_errors(answers, 0.5, tmp_path / "errors.png")) as sheet:
        assert sheet.width > 3 * 2 * SIDE
        right = np.asarray(sheet.convert("RGB"), int)[MARGIN : MARGIN + SIDE]
    plain, heated = right[:, MARGIN : MARGIN + SIDE], right[:, MARGIN + SIDE : MARGIN + 2 * SIDE]
    assert np.ptp(plain, axis=2).max() == 0  # grey
    assert np.ptp(heated, axis=2).max() > 50  # coloured where the heat is
    assert (plain[-20:, :20] == heated[-20:, :20]).all()  # and only there: the heat lies on the diagonal


def test_without_a_wrong_answer_there_is_no_gallery(answered, make_folder, checkpoint, tmp_path):
    answers = answered(make_folder(patients=2))
    sheet = evaluate.show_errors(answers, 0.5, tmp_path / "errors.png")
    assert sheet is None
    assert not (tmp_path / "errors.png").exists()
    assert "There are none." in reports.as_markdown(
        evaluate.describe(answers, checkpoint, engine="openvino"), plots=[], errors=sheet
    )


def test_of_many_wrong_answers_the_worst_are_shown(answered, make_folder, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(evaluate, "contact_sheet", lambda errors, path: shown.extend(errors))
    monkeypatch.setattr(evaluate, "SHOWN_ERRORS", 2)
    answers = answered(with_mistakes(make_folder(patients=2), count=5))
    evaluate.show_errors(answers, 0.5, tmp_path / "errors.png")
    wrong = [
        answer.probability for answer, label in zip(answers.classifications, answers.labels, strict=True) if not label
    ]
    assert [error.probability for error in shown] == sorted(wrong, reverse=True)[:2]


def test_the_shipped_checkpoint_is_the_default():
    assert evaluate.parse_arguments(["--data", "x"]).checkpoint == evaluate.SHIPPED


# --- the network ---


def test_a_trained_network_is_measured_through_the_code_that_serves_it(train_folder, resumed_run, tmp_path):
    folder = resumed_run.folder / "checkpoint"
    assert evaluate.main(["--data", str(train_folder), "--checkpoint", str(folder), "--report", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["metrics"]["auc"]["value"] > 0.9
    assert report["checkpoint"]["sha256"] == Checkpoint.read(folder).sha256
    assert report["refused"]["n"] == 28
