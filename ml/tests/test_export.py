"""A checkpoint gets its graph: compared, chosen, fitted anew; and a worker that has nothing but that graph answers."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ml import engine, export
from ml.checkpoint import (
    GRAPH_FILE,
    GRAPH_WEIGHTS_FILE,
    METADATA_FILE,
    Checkpoint,
    CheckpointCorrupt,
    CheckpointMissing,
    file_sha256,
    write_metadata,
)
from ml.classifier import Classifier
from ml.engine import EngineUnavailable
from ml.parity import Parity
from ml.quantisation import PICTURES, expected_inputs
from ml.tests.conftest import TINY, draw_xray

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(resumed_run, tmp_path_factory) -> Path:
    """A checkpoint as ml.train leaves it; not to be written to."""
    return shutil.copytree(resumed_run.folder / "checkpoint", tmp_path_factory.mktemp("trained") / "checkpoint")


@pytest.fixture(scope="module")
def exported(trained, train_folder, tmp_path_factory) -> Path:
    """The same with a graph; not to be written to."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("exported") / "checkpoint")
    flags = ["--checkpoint", str(folder), "--data", str(train_folder), "--candidates", "int8", "bf16", "fp32", "--all"]
    assert export.main(flags) == 0
    return folder


@pytest.fixture
def copied(exported, tmp_path) -> Path:
    """A copy to be damaged."""
    return shutil.copytree(exported, tmp_path / "checkpoint")


def in_a_fresh_process(code: str, **environment: str) -> str:
    """Run `code` in a fresh interpreter and give what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_writes_a_new_version_that_verifies_and_says_how_its_graph_was_chosen(exported, trained):
    before, after = Checkpoint.read(trained), Checkpoint.read(exported)
    after.verify()

    assert after.has_graph
    assert after.sha256 != before.sha256
    assert after.metadata.weights_sha256 == before.metadata.weights_sha256
    assert after.metadata.training == before.metadata.training
    table = after.metadata.metrics["serving"]["table"]
    assert [row["engine"] for row in table] == ["tensorflow", "int8", "bf16", "fp32"]
    assert sum(row["serves"] for row in table) == 1
    assert all(row["milliseconds"] > 0 for row in table)
    assert table[3]["held_out"] == pytest.approx(
        {"n": 2, "flips": 0, "auc_loss": 0, "largest_change": 0, "usual_change": 0}, abs=1e-3
    )
    assert after.metadata.metrics["stress"]["n"] == before.metadata.metrics["stress"]["n"]


def test_nothing_but_the_files_of_a_checkpoint_is_left(exported, trained):
    assert {path.name for path in exported.iterdir()} == {path.name for path in trained.iterdir()} | {
        GRAPH_FILE,
        GRAPH_WEIGHTS_FILE,
    }


def test_the_operating_point_is_the_one_that_its_graph_asks_for(exported, train_folder):
    """Fitted to the graph's own logits, so that the share of pneumonias that are found is what was promised."""
    metadata = Checkpoint.read(exported).metadata
    stress = metadata.metrics["stress"]["confusion"]
    found = stress["true_pneumonia"] / (stress["true_pneumonia"] + stress["false_normal"])
    assert found >= metadata.metrics["targets"]["sensitivity"]


def test_a_worker_without_tensorflow_answers(exported, tmp_path):
    draw_xray(ill=True).save(tmp_path / "xray.png")
    code = f"""
import sys
from pathlib import Path
from PIL import Image
from ml.classifier import Classifier
(answer,) = Classifier.load(Path({str(exported)!r})).classify([Image.open({str(tmp_path / "xray.png")!r})])
assert 0 <= answer.probability <= 1 and answer.heatmap.max() <= 1
print(*{{name.partition(".")[0] for name in sys.modules}})
"""
    loaded = set(in_a_fresh_process(code).split())
    assert "openvino" in loaded
    assert loaded & {"tensorflow", "keras", "sklearn", "scipy", "matplotlib", "h5py", "nncf"} == set()


@pytest.mark.parametrize("name", engine.ENGINES)
def test_both_engines_answer_from_the_same_checkpoint(exported, name):
    picture = draw_xray(ill=True, seed=5)
    usual = Classifier.load(exported)
    assert type(usual._graph).__name__ == "CompiledGraph"
    logits = Classifier.load(exported, engine=name).logits([picture])
    np.testing.assert_allclose(logits, usual.logits([picture]), atol=0.1 * np.abs(logits).max())


def test_the_environment_chooses_the_engine(exported, trained, monkeypatch):
    monkeypatch.setenv("INFERENCE_ENGINE", "tensorflow")
    assert type(Classifier.load(exported)._graph).__name__ == "ServingGraph"
    monkeypatch.setenv("INFERENCE_ENGINE", "openvino")
    with pytest.raises(CheckpointMissing, match=r"python -m ml\.export"):
        Classifier.load(trained)
    monkeypatch.setenv("INFERENCE_ENGINE", "onnx")
    with pytest.raises(EngineUnavailable, match="one of openvino, tensorflow"):
        Classifier.load(exported)


@pytest.mark.parametrize("name", [GRAPH_FILE, GRAPH_WEIGHTS_FILE])
def test_a_truncated_graph_is_corrupt_and_not_an_answer(copied, name):
    (copied / name).write_bytes((copied / name).read_bytes()[:-100])
    with pytest.raises(CheckpointCorrupt, match="truncated or was changed"):
        Classifier.load(copied)


@pytest.mark.parametrize("name", [GRAPH_FILE, GRAPH_WEIGHTS_FILE])
def test_an_absent_graph_is_missing_and_tensorflow_does_not_step_in(copied, name):
    (copied / name).unlink()
    with pytest.raises(CheckpointMissing, match=name):
        Classifier.load(copied)


def test_a_graph_that_is_none_is_corrupt(copied):
    (copied / GRAPH_FILE).write_text("<net/>")
    metadata = Checkpoint.read(copied).metadata
    write_metadata(copied, dataclasses.replace(metadata, graph_sha256=file_sha256(copied / GRAPH_FILE)))
    with pytest.raises(CheckpointCorrupt, match="can't be compiled"):
        Classifier.load(copied)


@pytest.mark.parametrize(
    ("absent", "asked", "folder", "hint"),
    [
        ("tensorflow", "", "trained", r"ml\.export.*requirements\.txt"),
        ("tensorflow", "tensorflow", "exported", r"requirements\.txt.*leave INFERENCE_ENGINE empty"),
        ("openvino", "", "exported", r"requirements-serve\.txt"),
    ],
)
def test_an_engine_that_is_not_installed_says_what_to_do(absent, asked, folder, hint, request, monkeypatch):
    found = engine.importlib.util.find_spec
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None if name == absent else found(name))
    with pytest.raises(EngineUnavailable, match=hint):
        Classifier.load(request.getfixturevalue(folder), engine=asked)


def test_other_data_than_it_was_trained_on_are_refused(copied, make_folder, capsys):
    before = (copied / METADATA_FILE).read_text()
    assert export.main(["--checkpoint", str(copied), "--data", str(make_folder())]) == 1
    assert "it would be measured on pictures that it has seen" in capsys.readouterr().err
    assert (copied / METADATA_FILE).read_text() == before


def test_where_no_candidate_keeps_the_answers_the_checkpoint_stays_as_it_was(
    trained, train_folder, tmp_path, monkeypatch, capsys
):
    folder = shutil.copytree(trained, tmp_path / "checkpoint")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(export, "compare", lambda *passes, **by: Parity(2, 1, 0.0, 0.4, 0.2))
    flags = ["--checkpoint", str(folder), "--data", str(train_folder), "--candidates", "fp32"]

    assert export.main(flags) == 1

    assert "No candidate keeps the answers" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("changed", "keeps"),
    [
        ({}, True),
        ({"flips": 2}, True),
        ({"flips": 3}, False),
        ({"auc_loss": 0.002}, False),
        ({"largest_change": 0.051}, False),
    ],
)
def test_each_limit_of_parity_binds(changed, keeps):
    usual = Parity(n=490, flips=0, auc_loss=0.0, largest_change=0.01, usual_change=0.001)
    assert dataclasses.replace(usual, **changed).keeps_answers is keeps


def test_ranges_are_learned_from_training_pictures_plain_and_varied_and_always_the_same():
    pictures = [draw_xray(ill=bool(seed % 2), seed=seed, size=(224, 224)) for seed in range(4)]
    once, again = (expected_inputs(pictures, TINY, seed=1) for _ in range(2))
    assert len(once) == min(PICTURES, 4)
    assert {picture.shape for picture in once} == {(1, TINY, TINY, 1)}
    np.testing.assert_array_equal(np.concatenate(once), np.concatenate(again))


def test_a_checkpoint_of_the_format_before_keeps_its_name(trained):
    """Versions are registered by it."""
    written = json.loads((trained / METADATA_FILE).read_text())
    earlier = dataclasses.replace(Checkpoint.read(trained).metadata, format_version=2)
    assert Checkpoint(trained, earlier).sha256 == _sha256_of_format_2(written)


def _sha256_of_format_2(written: dict) -> str:
    import hashlib

    later = {key for key in written if key.startswith("graph_")} | {"reference"}
    kept = {key: value for key, value in written.items() if key not in later} | {"format_version": 2}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
