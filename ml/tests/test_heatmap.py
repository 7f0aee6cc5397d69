"""The heatmap as a picture over the X-ray, and Grad-CAM itself: that it follows weights, label and picture."""

import io

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from diagnosis.tests.pictures import chest_like
from ml.heatmap import BELOW, BESIDE, BETWEEN, LUNG_LEFT, LUNG_RIGHT, heatmap_image, hottest, smooth
from ml.model import HEADS, LAST_CONVOLUTION, build_classifier
from ml.serving import ServingGraph
from ml.tests.conftest import strengthen

# 8 × 8 cells; at 32 pixels there are 2 × 2, too few to rank.
SIZE = 128


@pytest.mark.parametrize(
    "heatmap",
    [np.zeros(5), np.zeros((0, 3)), np.full((2, 2), 1.5), np.full((2, 2), -0.1), np.array([[0.0, np.nan]])],
    ids=["one row of numbers", "empty", "above 1", "below 0", "no number"],
)
def test_what_is_no_map_is_refused(heatmap):
    with pytest.raises(ValueError, match=r"rows and columns of values 0\.\.1"):
        heatmap_image(heatmap)


def test_the_picture_has_the_size_that_was_asked_for():
    assert heatmap_image(np.zeros((4, 4)), (300, 200)).size == (300, 200)
    assert heatmap_image(np.zeros((4, 4))).size == (224, 224)


def test_no_heat_is_transparent_and_full_heat_is_light_and_opaque():
    assert heatmap_image(np.zeros((7, 7))).convert("RGBA").getextrema()[3] == (0, 0)
    assert heatmap_image(np.ones((7, 7))).convert("RGBA").getpixel((112, 112)) == (252, 255, 164, 255)


def test_a_file_of_it_keeps_colours_and_opacity():
    picture = heatmap_image(np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")

    with Image.open(buffer) as stored:
        assert np.array_equal(stored.convert("RGBA"), picture.convert("RGBA"))


def test_the_hotter_the_more_opaque_and_the_lighter():
    ramp = np.linspace(0, 1, 14, dtype=np.float32)[np.newaxis].repeat(14, axis=0)
    picture = heatmap_image(ramp).convert("RGBA")
    lightness = np.asarray(picture.convert("RGB").convert("L"), int)[112]
    alpha = np.asarray(picture, int)[112, :, 3]

    assert (np.diff(alpha) >= 0).all()
    assert alpha[-1] > 240
    assert (np.diff(lightness) >= -1).all()
    assert lightness[-1] > 200


def test_the_heat_lies_where_it_was_and_fades_smoothly():
    cell = np.zeros((4, 8), np.float32)
    cell[1, 6] = 1
    enlarged = smooth(cell, (160, 120))

    row, column = np.unravel_index(enlarged.argmax(), enlarged.shape)
    assert (row // 30, column // 20) == (1, 6)
    assert np.abs(np.diff(enlarged, axis=1)).max() < 0.2
    assert enlarged.min() >= 0
    assert enlarged.max() <= 1


@pytest.mark.parametrize(
    ("row", "column", "place"),
    [
        (3, 1, LUNG_LEFT),
        (5, 2, LUNG_LEFT),
        (2, 4, BETWEEN),
        (5, 3, BETWEEN),
        (1, 6, LUNG_RIGHT),
        (5, 5, LUNG_RIGHT),
        (6, 4, BELOW),
        (7, 1, BELOW),
        (0, 4, BESIDE),
        (3, 0, BESIDE),
        (7, 7, BESIDE),
    ],
)
@pytest.mark.parametrize("side", [8, 16])
def test_the_hottest_place_is_named_whatever_the_size_of_the_map(row, column, place, side):
    cell = np.zeros((8, 8), np.float32)
    cell[row, column] = 1

    assert hottest(cell.repeat(side // 8, axis=0).repeat(side // 8, axis=1)) == place


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(5)
    network = build_classifier(image_size=SIZE)
    strengthen(network)
    return network


@pytest.fixture(scope="module")
def pictures():
    return [chest_like(200, 240, seed=seed) for seed in range(3)]


@pytest.fixture(scope="module")
def maps(network, pictures):
    return ServingGraph(network)(pictures).heatmaps


def test_there_is_a_map_for_every_picture_and_label_with_its_maximum_at_one(maps):
    assert maps.shape == (3, 2, SIZE // 16, SIZE // 16)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    tops = maps.max(axis=(2, 3))
    np.testing.assert_allclose(tops[tops > 0], 1, rtol=1e-6)
    assert (tops > 0).any()


def test_the_map_is_the_published_formula(network, pictures, maps):
    """Grad-CAM written out for one picture and label, by the whole network's own gradient."""
    import tensorflow as tf

    from ml.preprocess import model_input

    both = keras.Model(network.input, [network.get_layer(LAST_CONVOLUTION).output, network.get_layer("logits").output])
    deep_only, _ = both(tf.constant(model_input(pictures[1], SIZE)[np.newaxis]))
    head = keras.Model(network.get_layer(LAST_CONVOLUTION).output, network.get_layer("logits").output)
    for label in (0, 1):
        with tf.GradientTape() as tape:
            tape.watch(deep_only)
            logit = head(deep_only)[0, label]
        gradient, activations = tape.gradient(logit, deep_only)[0].numpy(), deep_only[0].numpy()
        heat = np.maximum((activations * gradient.mean(axis=(0, 1))).sum(axis=-1), 0)

        np.testing.assert_allclose(maps[1, label], heat / max(heat.max(), 1e-30), atol=1e-4)


def test_a_randomised_head_gives_another_map(network, pictures, maps):
    """The sanity check of Adebayo et al. 2018, arXiv 1810.03292, by Spearman's rank correlation of the cells.

    A map that only showed the edges of the picture would stay as it is.
    """
    again = ServingGraph(network)(pictures).heatmaps
    kept = {name: network.get_layer(name).get_weights() for name in ("dense_512", "dense_128", "logits")}
    try:
        for seed, name in enumerate(kept):
            kernel, bias = kept[name]
            network.get_layer(name).set_weights(
                [np.random.default_rng(seed).permutation(kernel.ravel()).reshape(kernel.shape), bias]
            )
        randomised = ServingGraph(network)(pictures).heatmaps
    finally:
        for name, weights in kept.items():
            network.get_layer(name).set_weights(weights)

    assert mean_rank_correlation(maps, again) > 0.999
    assert mean_rank_correlation(maps, randomised) < 0.5


def mean_rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Correlate the cells of each pair of maps that both have heat; no heat at all against some counts as 0."""
    found = []
    for a, b in zip(one.reshape(-1, one.shape[-1] ** 2), other.reshape(-1, one.shape[-1] ** 2), strict=True):
        if a.any() or b.any():
            found.append(spearmanr(a, b).statistic if a.any() and b.any() else 0.0)
    return float(np.mean(found))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("corner", "box"), [((0, 0), (0, 0)), ((1, 1), (84, 84)), ((0, 1), (84, 0))])
def test_the_map_follows_the_patch_that_the_network_looks_for(head, corner, box):
    """A network whose convolutions carry brightness on, asked about a bright patch in a dark picture."""
    network = bright_patch_network(head)
    picture = Image.new("L", (SIZE, SIZE))
    picture.paste(255, (*box, box[0] + 40, box[1] + 40))

    outputs = ServingGraph(network)([picture])

    heatmap = outputs.heatmaps[0, 1]
    quarters = heatmap.reshape(2, heatmap.shape[0] // 2, 2, -1).sum(axis=(1, 3))
    assert np.unravel_index(quarters.argmax(), quarters.shape) == corner
    assert quarters[corner] > 0.9 * quarters.sum()
    assert not outputs.heatmaps[0, 0].any()  # nothing speaks for the other label


def bright_patch_network(head: str) -> keras.Model:
    """Let channel 0 carry the brightness to the end, and the head call it label 1."""
    network = build_classifier(image_size=SIZE, head=head)
    for layer in network.layers:
        if not layer.weights:
            continue
        kernel, bias = (np.zeros_like(array) for array in layer.get_weights())
        if kernel.ndim == 4:
            kernel[1, 1, 0, 0] = 1
        elif layer.name == "logits":
            kernel[0] = (-1, 1)
        elif layer.name == "dense_512":
            kernel[::512, 0] = 1  # channel 0 of every cell
        else:
            kernel[0, 0] = 1
        layer.set_weights([kernel, bias])
    return network
