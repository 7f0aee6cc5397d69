"""The network: its layers, what is frozen, and that the normalisation travels with the weights."""

import h5py
import keras
import numpy as np
import pytest

from ml import model, train
from ml.model import (
    CONVOLUTIONS,
    StartingWeightsError,
    build_classifier,
    freeze_convolutions,
    save_half_precision,
    unfreeze_from,
)
from ml.tests.conftest import TINY

HEAD = ["dense_512", "dense_128", "logits"]


def trainable(network):
    return [layer.name for layer in network.layers if layer.trainable_weights]


def test_a_missing_file_of_starting_weights_is_named(tmp_path):
    with pytest.raises(StartingWeightsError, match=r"absent\.h5"):
        build_classifier(image_size=TINY, starting_weights=tmp_path / "absent.h5")


def test_a_file_that_holds_other_weights_is_refused(tmp_path):
    (tmp_path / "text.weights.h5").write_text("not weights")
    with pytest.raises(StartingWeightsError, match="does not hold the weights"):
        build_classifier(image_size=TINY, starting_weights=tmp_path / "text.weights.h5")


def test_imagenet_offline_says_to_give_a_file(monkeypatch):
    def offline(**options):
        raise Exception("URL fetch failure on https://example.org: None -- no route to host")

    monkeypatch.setattr(model.keras.applications, "VGG19", offline)
    with pytest.raises(StartingWeightsError, match="--weights path/to"):
        build_classifier(image_size=TINY, starting_weights="imagenet")


def test_the_head_is_the_described_one(untrained):
    head = untrained.layers[untrained.layers.index(untrained.get_layer("flatten")) :]
    kinds = [type(layer).__name__ for layer in head]
    assert kinds == ["Flatten", "Dense", "Dropout", "Dense", "Dense", "Softmax"]
    assert [layer.units for layer in head if isinstance(layer, keras.layers.Dense)] == [512, 128, 2]
    assert untrained.get_layer("dropout").rate == 0.5


def test_the_network_takes_grey_levels_and_gives_two_probabilities(untrained):
    answers = untrained(np.full((3, TINY, TINY, 1), 128.0, np.float32)).numpy()
    assert answers.shape == (3, 2)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)


def test_grey_levels_reach_vgg19_as_its_own_preprocessing_makes_them(untrained):
    grey = np.random.default_rng(0).integers(0, 256, (2, TINY, TINY, 1)).astype(np.float32)
    centred = keras.Model(untrained.input, untrained.get_layer("imagenet_centred").output)(grey)
    expected = keras.applications.vgg19.preprocess_input(np.repeat(grey, 3, axis=-1))
    np.testing.assert_allclose(centred, expected, atol=1e-4)


def test_the_named_convolutions_are_those_of_vgg19(untrained):
    assert [layer.name for layer in untrained.layers if isinstance(layer, keras.layers.Conv2D)] == CONVOLUTIONS
    assert len(CONVOLUTIONS) == 16


def test_freezing_leaves_the_head_alone(untrained):
    freeze_convolutions(untrained)
    assert trainable(untrained) == HEAD


@pytest.mark.parametrize("first", ["block5_conv1", "block3_conv1", "block1_conv1"])
def test_unfreezing_opens_exactly_the_deeper_convolutions(untrained, first):
    freeze_convolutions(untrained)
    unfreeze_from(untrained, first)
    assert trainable(untrained) == CONVOLUTIONS[CONVOLUTIONS.index(first) :] + HEAD


def test_unfreezing_from_an_unknown_layer_is_refused(untrained):
    with pytest.raises(ValueError, match="no convolution of VGG19"):
        unfreeze_from(untrained, "block6_conv1")


def test_half_precision_weights_give_a_fresh_network_the_same_answers(untrained, tmp_path):
    path = tmp_path / "model.weights.h5"
    save_half_precision(untrained, path)
    fresh = build_classifier(image_size=TINY)
    pictures = np.random.default_rng(0).uniform(0, 255, (4, TINY, TINY, 1)).astype(np.float32)
    before = fresh(pictures).numpy()
    fresh.load_weights(path)
    assert not np.allclose(before, untrained(pictures), atol=0.05), "random networks must differ, or nothing is tested"
    np.testing.assert_allclose(fresh(pictures), untrained(pictures), atol=1e-2)
    parameters = sum(int(np.prod(weight.shape)) for weight in untrained.weights)
    assert path.stat().st_size < 2.1 * parameters
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_the_h5_of_a_run_starts_the_next_one(untrained, tmp_path):
    path = tmp_path / train.MODEL_FILE
    untrained.save(path, include_optimizer=False)
    again = build_classifier(image_size=TINY, starting_weights=path)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, TINY, TINY, 1)).astype(np.float32)
    np.testing.assert_allclose(again(pictures), untrained(pictures), atol=1e-6)


def test_a_network_goes_on_at_another_image_size_with_the_same_answer_to_an_even_picture(untrained, tmp_path):
    path = tmp_path / train.MODEL_FILE
    untrained.save(path, include_optimizer=False)
    larger = build_classifier(image_size=3 * TINY, starting_weights=path)
    kernels = [network.get_layer("block5_conv4").kernel for network in (untrained, larger)]
    np.testing.assert_array_equal(*kernels)
    # One feature map of ones: every place counts the same, so the sums over all places have to agree.
    dense = [
        network.get_layer("dense_512").kernel.numpy().reshape(-1, 512, 512).sum(axis=0)
        for network in (untrained, larger)
    ]
    np.testing.assert_allclose(*dense, atol=1e-5)


def test_the_head_keeps_its_places_at_another_image_size():
    kernel = np.zeros((2 * 2 * 512, 1), np.float32)
    kernel[0] = 1  # the first feature at the upper left
    resized = model.resampled_kernel(kernel, 4 * 4 * 512).reshape(4, 4, 512)
    assert resized[0, 0, 0] == resized.max() == 0.25
    assert resized[0, 0, 0] > resized[1, 1, 0] > resized[3, 3, 0] == 0
    assert not resized[..., 1:].any()


def test_a_network_with_another_head_goes_on_with_the_convolutions(untrained, tmp_path):
    path = tmp_path / train.MODEL_FILE
    untrained.save(path, include_optimizer=False)
    pooling = build_classifier(image_size=TINY, head="pooling", starting_weights=path)
    np.testing.assert_array_equal(pooling.get_layer("block1_conv1").kernel, untrained.get_layer("block1_conv1").kernel)


def test_a_checkpoint_starts_the_next_run(resumed_run):
    checkpoint = resumed_run.folder / "checkpoint"
    again = build_classifier(image_size=TINY, starting_weights=checkpoint)
    whole = keras.models.load_model(resumed_run.folder / train.MODEL_FILE, compile=False)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, TINY, TINY, 1)).astype(np.float32)
    np.testing.assert_allclose(again(pictures), whole(pictures), atol=1e-2)


def test_a_damaged_network_to_go_on_from_is_named(untrained, tmp_path):
    path = tmp_path / train.MODEL_FILE
    untrained.save(path, include_optimizer=False)
    with h5py.File(path, "a") as file:
        del file["model_weights"]
    with pytest.raises(StartingWeightsError, match="no network to go on from"):
        build_classifier(image_size=TINY, starting_weights=path)
