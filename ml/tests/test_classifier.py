"""The door to the model: what goes in, what comes out, and what a damaged checkpoint says."""

import dataclasses

import keras
import numpy as np
import pytest
from PIL import Image

from diagnosis.tests.pictures import chest_like
from ml.calibration import Calibration
from ml.checkpoint import (
    METADATA_FILE,
    REFUSAL_FILE,
    WEIGHTS_FILE,
    CheckpointCorrupt,
    CheckpointMissing,
    Metadata,
    file_sha256,
    write_metadata,
)
from ml.classifier import Classifier
from ml.drift import statistics
from ml.labels import LABELS, NORMAL, PNEUMONIA
from ml.model import build_classifier, save_half_precision
from ml.preprocess import canonical, model_input
from ml.refusal import fit_for, fit_refusal
from ml.serving import ServingGraph
from ml.tests.conftest import draw_xray, strengthen


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    model = build_classifier(image_size=32)
    strengthen(model)
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    save_half_precision(model, folder / WEIGHTS_FILE)
    chests = [chest_like(240, 240, seed=seed) for seed in range(100, 124)]
    fit_for(ServingGraph(model).features, chests, seed=1).save(folder / REFUSAL_FILE)
    write_metadata(
        folder,
        Metadata(
            name="tiny",
            created="2026-01-01T00:00:00+00:00",
            image_size=32,
            temperature=1.5,
            bias=0.2,
            threshold=0.5,
            uncertain=(0.4, 0.6),
            weights_sha256=file_sha256(folder / WEIGHTS_FILE),
            refusal_sha256=file_sha256(folder / REFUSAL_FILE),
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
def test_another_operating_point_gives_another_label_and_its_heatmap(classifier, threshold, label):
    checkpoint = dataclasses.replace(
        classifier.checkpoint, metadata=dataclasses.replace(classifier.checkpoint.metadata, threshold=threshold)
    )
    moved = Classifier.__new__(Classifier)
    moved.__dict__.update(classifier.__dict__, checkpoint=checkpoint)
    pictures = [chest_like(240, 240, seed=seed) for seed in range(2)]

    answers = moved.classify(pictures)

    assert [answer.label for answer in answers] == [label, label]
    expected = moved._graph(pictures).heatmaps[:, LABELS.index(label)]
    np.testing.assert_allclose([answer.heatmap for answer in answers], expected, atol=1e-6)


def test_a_chest_passes_and_another_picture_in_the_same_batch_is_refused(classifier):
    chest, other = chest_like(240, 240, seed=7), Image.linear_gradient("L")
    # Random weights see no difference worth a refusal: this detector is made to part just these two.
    near, far = np.sqrt(classifier.features([chest, other]))
    normal = 2 * (far - near) / np.square(far - near).sum()
    parting = dataclasses.replace(
        classifier._refusal,
        whitening=np.zeros_like(classifier._refusal.whitening),
        normal=normal,
        offset=-normal @ near,
    )
    strict = Classifier.__new__(Classifier)
    strict.__dict__.update(classifier.__dict__, _refusal=parting)

    answers = strict.classify([chest, other, chest])

    assert [answer.is_chest_xray for answer in answers] == [True, False, True]


def test_a_picture_with_colours_is_refused_whatever_is_on_it(classifier):
    tinted = Image.merge("RGB", [chest_like(240, 240), chest_like(240, 240).rotate(180), chest_like(240, 240)])

    assert [answer.is_chest_xray for answer in classifier.classify([chest_like(240, 240), tinted])] == [True, False]


def test_the_heatmap_is_a_coarse_map_of_the_whole_picture(classifier):
    (answer,) = classifier.classify([chest_like(500, 240, seed=2)])

    assert answer.heatmap.shape == (2, 2)  # 32 pixels after four poolings
    assert answer.heatmap.dtype == np.float32
    assert answer.heatmap.min() >= 0
    assert answer.heatmap.max() <= 1


def test_pictures_in_one_batch_do_not_change_each_other(classifier):
    pictures = [chest_like(240, 240, seed=seed) for seed in range(3)]

    together = [answer.probability for answer in classifier.classify(pictures)]
    alone = [classifier.classify([picture])[0].probability for picture in pictures]

    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK"])
def test_a_picture_of_any_mode_and_size_gets_an_answer(classifier, mode):
    (answer,) = classifier.classify([Image.new(mode, (37, 411))])

    assert 0 <= answer.probability <= 1


def test_a_stream_of_pictures_gives_the_same_answers_in_the_same_order(classifier):
    pictures = [chest_like(60, 60, seed=seed) for seed in range(7)]

    streamed = list(classifier.classify_each(canonical(picture) for picture in pictures))

    for one, other in zip(streamed, classifier.classify(pictures), strict=True):
        assert one.probability == pytest.approx(other.probability, abs=1e-5)
        assert (one.label, one.is_chest_xray) == (other.label, other.is_chest_xray)
        np.testing.assert_allclose(one.heatmap, other.heatmap, atol=1e-5)


def test_what_is_canonical_already_is_read_as_it_is(classifier):
    picture = chest_like(500, 240, seed=2)

    (once,), (again,) = classifier.classify([picture]), classifier.classify_canonical([canonical(picture)])

    assert (once.probability, once.statistics) == (again.probability, again.statistics)


def test_a_stream_that_breaks_off_says_why_and_the_next_one_works(classifier):
    def pictures():
        yield chest_like(224, 224)
        raise OSError("no further picture")

    with pytest.raises(OSError, match="no further picture"):
        list(classifier.classify_each(pictures()))

    answers = classifier.classify_each(chest_like(224, 224, seed=seed) for seed in range(9))
    next(answers)
    answers.close()
    assert len(list(classifier.classify_each([chest_like(224, 224)] * 3))) == 3


def test_the_statistics_are_those_of_what_the_network_sees(classifier):
    picture = draw_xray(ill=False, seed=4, size=(500, 400))
    (answer,), (streamed,) = classifier.classify([picture]), classifier.classify_each([canonical(picture)])
    assert answer.statistics == streamed.statistics == statistics(canonical(picture))


def test_no_pictures_give_no_answers(classifier):
    assert list(classifier.classify_each([])) == []
    assert classifier.classify([]) == []


def copied(folder, target):
    """Copy a checkpoint, so that it can be damaged."""
    for name in (WEIGHTS_FILE, REFUSAL_FILE, METADATA_FILE):
        (target / name).write_bytes((folder / name).read_bytes())
    return target


@pytest.mark.parametrize("name", [WEIGHTS_FILE, REFUSAL_FILE])
def test_a_truncated_file_is_corrupt_and_not_an_answer(folder, tmp_path, name):
    damaged = copied(folder, tmp_path) / name
    damaged.write_bytes(damaged.read_bytes()[:-1000])

    with pytest.raises(CheckpointCorrupt, match="truncated or was changed"):
        Classifier.load(tmp_path)


def test_a_checkpoint_that_can_refuse_nothing_is_missing_a_part(folder, tmp_path):
    (copied(folder, tmp_path) / REFUSAL_FILE).unlink()

    with pytest.raises(CheckpointMissing, match=REFUSAL_FILE):
        Classifier.load(tmp_path)


def test_a_detector_of_another_network_is_corrupt_and_not_an_answer(folder, tmp_path, classifier):
    path = copied(folder, tmp_path) / REFUSAL_FILE
    narrow = np.ones((40, 8), np.float32) + np.random.default_rng(0).random((40, 8), np.float32)
    fit_refusal(narrow[:20], unseen=narrow[20:30], turned=narrow[30:] + 1).save(path)
    write_metadata(tmp_path, dataclasses.replace(classifier.checkpoint.metadata, refusal_sha256=file_sha256(path)))

    with pytest.raises(CheckpointCorrupt, match="does not fit the network"):
        Classifier.load(tmp_path)


def test_weights_of_another_network_are_corrupt_and_not_an_answer(folder, tmp_path, classifier):
    keras_file = copied(folder, tmp_path) / WEIGHTS_FILE
    save_half_precision(build_classifier(image_size=64), keras_file)
    metadata = dataclasses.replace(classifier.checkpoint.metadata, weights_sha256=file_sha256(keras_file))
    write_metadata(tmp_path, metadata)

    with pytest.raises(CheckpointCorrupt, match="does not fit the network"):
        Classifier.load(tmp_path)


def test_an_empty_folder_is_a_missing_checkpoint(tmp_path):
    with pytest.raises(CheckpointMissing):
        Classifier.load(tmp_path)
