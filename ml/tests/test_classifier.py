"""The door to the model: what goes in, what comes out, and what a damaged checkpoint says."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from diagnosis.tests.pictures import chest_like
from ml.calibration import Calibration
from ml.checkpoint import WEIGHTS_FILE, CheckpointCorrupt, CheckpointMissing, Metadata, file_sha256, write_metadata
from ml.classifier import Classifier
from ml.labels import LABELS, NORMAL, PNEUMONIA
from ml.model import build_classifier, save_half_precision
from ml.preprocess import model_input


@pytest.fixture(scope="module")
def model():
    return build_classifier(image_size=32)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    save_half_precision(model, folder / WEIGHTS_FILE)
    write_metadata(
        folder,
        Metadata(
            name="tiny",
            created="2026-01-01T00:00:00+00:00",
            image_size=32,
            temperature=1.5,
            bias=0.2,
            threshold=0.5,
            weights_sha256=file_sha256(folder / WEIGHTS_FILE),
        ),
    )
    return folder


@pytest.fixture(scope="module")
def classifier(folder):
    return Classifier.load(folder)


def test_the_loaded_checkpoint_answers_as_the_trained_network_did(classifier, model):
    picture = chest_like(300, 260, seed=3)
    trained = model(model_input(picture, 32)[np.newaxis]).numpy()[0]

    logits = classifier.logits([picture])[0].astype(np.float64)

    # The weights travel in half precision.
    softmax = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    np.testing.assert_allclose(softmax, trained, atol=5e-3)


def test_the_probability_is_the_calibrated_one_and_the_label_follows_from_the_threshold(classifier):
    pictures = [chest_like(240, 240, seed=seed) for seed in range(4)]
    expected = Calibration(1.5, 0.2).probability(classifier.logits(pictures).astype(np.float64))

    answers = classifier.classify(pictures)

    np.testing.assert_allclose([answer.probability for answer in answers], expected, atol=1e-6)
    assert [answer.label for answer in answers] == [LABELS[int(p >= 0.5)] for p in expected]


@pytest.mark.parametrize(("threshold", "label"), [(1e-9, PNEUMONIA), (1 - 1e-9, NORMAL)])
def test_another_operating_point_gives_another_label(classifier, threshold, label):
    checkpoint = dataclasses.replace(
        classifier.checkpoint, metadata=dataclasses.replace(classifier.checkpoint.metadata, threshold=threshold)
    )
    moved = Classifier.__new__(Classifier)
    moved.__dict__.update(classifier.__dict__, checkpoint=checkpoint)

    assert moved.classify([chest_like(240, 240, seed=1)])[0].label == label


def test_pictures_in_one_batch_do_not_change_each_other(classifier):
    pictures = [chest_like(240, 240, seed=seed) for seed in range(3)]

    together = [answer.probability for answer in classifier.classify(pictures)]
    alone = [classifier.classify([picture])[0].probability for picture in pictures]

    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK"])
def test_a_picture_of_any_mode_and_size_gets_an_answer(classifier, mode):
    (answer,) = classifier.classify([Image.new(mode, (37, 411))])

    assert 0 <= answer.probability <= 1


def test_no_pictures_give_no_answers(classifier):
    assert classifier.classify([]) == []


def test_truncated_weights_are_corrupt_and_not_an_answer(folder, tmp_path):
    weights = (folder / WEIGHTS_FILE).read_bytes()
    (tmp_path / WEIGHTS_FILE).write_bytes(weights[:-1000])
    (tmp_path / "checkpoint.json").write_bytes((folder / "checkpoint.json").read_bytes())

    with pytest.raises(CheckpointCorrupt, match="truncated or was changed"):
        Classifier.load(tmp_path)


def test_weights_of_another_network_are_corrupt_and_not_an_answer(folder, tmp_path):
    keras_file = tmp_path / WEIGHTS_FILE
    save_half_precision(build_classifier(image_size=64), keras_file)
    metadata = dataclasses.replace(Classifier.load(folder).checkpoint.metadata, weights_sha256=file_sha256(keras_file))
    write_metadata(tmp_path, metadata)

    with pytest.raises(CheckpointCorrupt, match="does not fit the network"):
        Classifier.load(tmp_path)


def test_an_empty_folder_is_a_missing_checkpoint(tmp_path):
    with pytest.raises(CheckpointMissing):
        Classifier.load(tmp_path)
