"""The training run as a whole: resume, refusal to mix runs, what is written down."""

import csv
import json

import numpy as np
import pytest

from ml import runs, train
from ml.checkpoint import Checkpoint
from ml.dataset import load_inputs, read_folder
from ml.fitting import MODEL_FILE
from ml.model import build_classifier
from ml.shifts import SHIFTS
from ml.tests.conftest import TINY, TINY_FLAGS, draw_xray


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_folder_without_pictures_ends_with_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["train", "--data", str(tmp_path), "--run", str(tmp_path / "run")])
    assert train.main() == 1
    assert "No pictures in" in capsys.readouterr().err


def test_missing_starting_weights_end_with_one_sentence(train_folder, tmp_path, monkeypatch, capsys):
    absent = str(tmp_path / "absent.h5")
    flags = ["--data", str(train_folder), "--run", str(tmp_path / "run"), "--weights", absent, *TINY_FLAGS]
    monkeypatch.setattr("sys.argv", ["train", *flags])
    assert train.main() == 1
    assert f"no file of starting weights at {absent}" in capsys.readouterr().err


def test_a_killed_run_goes_on_after_its_last_whole_epoch(resumed_run):
    assert resumed_run.epochs_before == 1
    assert [int(row["epoch"]) for row in rows(resumed_run.folder / "phase1.csv")] == [0, 1, 2, 3, 4, 5]
    assert [int(row["epoch"]) for row in rows(resumed_run.folder / "phase2.csv")] == [0, 1, 2]


def test_a_finished_run_leaves_a_checkpoint_that_verifies(resumed_run):
    checkpoint = Checkpoint.read(resumed_run.folder / "checkpoint")
    checkpoint.verify()
    assert checkpoint.metadata.name == "tiny"
    assert checkpoint.metadata.image_size == TINY
    metrics = checkpoint.metadata.metrics
    assert set(metrics["held_out"]) == set(SHIFTS)
    assert metrics["held_out"]["none"]["n"] == 2
    assert metrics["stress"]["n"] == 2 * len(SHIFTS)
    assert set(metrics["robustness"]) == set(SHIFTS) - {"none"}
    assert set(metrics["refusal"]["false_refusals"]) == set(SHIFTS)


def test_a_finished_run_leaves_the_whole_network_as_h5_that_answers_alike(resumed_run):
    import keras

    whole = keras.models.load_model(resumed_run.folder / MODEL_FILE, compile=False)
    shipped = build_classifier(image_size=TINY)
    shipped.load_weights(Checkpoint.read(resumed_run.folder / "checkpoint").weights_path)
    pictures = load_inputs([draw_xray(ill=ill, seed=seed) for seed in range(3) for ill in (False, True)], TINY)
    np.testing.assert_allclose(shipped(pictures), whole(pictures), atol=1e-2)


def test_a_finished_run_leaves_its_line_in_runs_csv(resumed_run):
    (line,) = runs.read(resumed_run.lines)
    assert (line["run"], line["seed"], line["image_size"]) == ("tiny", "1", str(TINY))
    assert float(line["stress_auc"]) == pytest.approx(
        Checkpoint.read(resumed_run.folder / "checkpoint").metadata.metrics["stress"]["auc"]["value"], abs=1e-4
    )
    assert int(line["passes"]) == 2 * len(SHIFTS)


def test_a_finished_run_leaves_curves_and_no_temporary_weights(resumed_run):
    assert (resumed_run.folder / "curves.png").stat().st_size > 1000
    names = {path.name for path in (resumed_run.folder / "checkpoint").iterdir()}
    assert names == {"model.weights.h5", "refusal.npz", "checkpoint.json"}


def test_the_checkpoint_names_data_and_command_but_no_folder_of_the_machine(resumed_run, train_folder):
    checkpoint = Checkpoint.read(resumed_run.folder / "checkpoint")
    text = json.dumps(checkpoint.metadata.training)
    assert checkpoint.metadata.training["data"]["hash"] == train.data_hash(read_folder(train_folder))
    assert "--image-size 32" in checkpoint.metadata.training["command"]
    assert str(train_folder) not in text
    assert str(resumed_run.folder) not in text


def test_a_run_folder_in_use_is_refused_without_resume(resumed_run, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["train", *resumed_run.arguments])
    assert train.main() == 1
    assert "--resume goes on with it" in capsys.readouterr().err


def test_a_start_from_a_network_that_has_seen_other_patients_is_refused(resumed_run, tmp_path, monkeypatch, capsys):
    whole = resumed_run.folder / MODEL_FILE
    flags = ["--data", resumed_run.arguments[1], "--run", str(tmp_path / "next"), "--weights", str(whole), *TINY_FLAGS]
    monkeypatch.setattr("sys.argv", ["train", *flags, "--seed", "2"])
    assert train.main() == 1
    assert "patients that the network has seen" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["train", *flags, "--seed", "2", "--weights", str(whole.parent / "checkpoint")])
    assert train.main() == 1
    assert "patients that the network has seen" in capsys.readouterr().err
    lonely = tmp_path / "lonely.h5"
    lonely.write_bytes(whole.read_bytes())
    monkeypatch.setattr("sys.argv", ["train", *flags, "--weights", str(lonely)])
    assert train.main() == 1
    assert "has no run.json beside it" in capsys.readouterr().err


# Another seed or other data would hold out other patients: the run would be calibrated on what it was trained on.
@pytest.mark.parametrize("changed", [("--batch-size", "4"), ("--seed", "7"), ("--limit", "9")])
def test_a_resume_with_another_recipe_seed_or_data_is_refused(resumed_run, changed):
    changed = [*resumed_run.arguments, "--resume", *changed]
    with pytest.raises(FileExistsError, match="another recipe"):
        train.train(train.parse_arguments(changed))


def test_a_flag_overrides_one_field_of_the_recipe():
    arguments = train.parse_arguments(["--data", "d", "--run", "r", "--recipe", "classic", "--batch-size", "4"])
    recipe = train.recipe_of(arguments)
    assert recipe.batch_size == 4
    assert recipe.head_epochs == train.RECIPES["classic"].head_epochs


def test_the_classic_recipe_is_the_described_one():
    recipe = train.RECIPES["classic"]
    assert (recipe.head_learning_rate, recipe.fine_tune_learning_rate) == (1e-4, 1e-5)
    assert recipe.patience is not None


def test_a_limit_keeps_both_labels(train_folder):
    few = train.thin_out(read_folder(train_folder), 6)
    assert {example.label for example in few} == {"NORMAL", "PNEUMONIA"}
    assert len(few) <= 8
