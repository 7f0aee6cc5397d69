"""The graph says what the network in TensorFlow says: answers, features for the refusal, heatmaps."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import openvino
import pytest
from PIL import Image

from diagnosis.tests.pictures import chest_like
from ml import serving_openvino
from ml.graph import ASIDE, IDENTITY, GraphError, build_graph
from ml.model import HEADS, NORMALISATIONS, build_classifier
from ml.quantisation import CANDIDATES
from ml.serving import ServingGraph
from ml.serving_openvino import CompiledGraph, as_written
from ml.tests.conftest import strengthen

PROJECT = Path(__file__).parents[2]
CHESTS = [chest_like(240, 240, seed=1), chest_like(200, 300, seed=2)]
PICTURES = [*CHESTS, Image.linear_gradient("L"), Image.new("L", (9, 9))]


def network(size=32, **options) -> keras.Model:
    """Give random weights, biases too, so that hidden units and activations of both signs occur."""
    keras.utils.set_random_seed(3)
    model = build_classifier(image_size=size, **options)
    strengthen(model)
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, rng.normal(0, 0.1, bias.shape)])
    return model


def assert_alike(model: keras.Model, pictures=PICTURES) -> None:
    expected, found = ServingGraph(model)(pictures), CompiledGraph(build_graph(model), "fp32")(pictures)
    for name, wanted, got in zip(expected._fields, expected, found, strict=True):
        assert got.shape == wanted.shape, name
        assert got.dtype == np.float32, name
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max(), err_msg=name)
    assert expected.heatmaps.any(), "nothing was compared"


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("head", HEADS)
def test_both_engines_say_the_same(head, normalisation):
    assert_alike(network(64, head=head, normalisation=normalisation))


@pytest.mark.parametrize("head", HEADS)
def test_activations_that_the_last_pooling_leaves_out_weigh_nothing(head):
    """112 pixels end in 7 × 7 activations, of which 2 × 2 poolings see 6 × 6."""
    assert_alike(network(112, head=head), CHESTS)


def test_heatmaps_are_the_same_where_the_last_pooling_finds_only_zeros():
    """The gradient of a maximum of equals goes to one of them; which one, a mean doesn't tell."""
    model = network(64)
    kernel, bias = model.get_layer("block5_conv4").get_weights()
    bias[: len(bias) // 2] = -1e6
    bias[len(bias) // 2 :] -= np.float32(np.quantile(_deepest(model), 0.9))
    model.get_layer("block5_conv4").set_weights([kernel, bias])
    cells = _deepest(model).reshape(-1, 2, 2, 2, 2, 512).transpose(0, 1, 3, 5, 2, 4).reshape(-1, 4)
    assert (cells == 0).all(axis=1).any()
    assert (cells > 0).any()

    assert_alike(model)


def _deepest(model: keras.Model) -> np.ndarray:
    from ml.preprocess import model_input

    read = keras.Model(model.input, model.get_layer("block5_conv4").output)
    return read(np.stack([model_input(picture, model.input.shape[1]) for picture in PICTURES])).numpy()


def test_a_convolution_near_the_identity_is_taken_apart_and_says_the_same():
    model = network()
    layer = model.get_layer("block4_conv4")
    kernel, bias = layer.get_weights()
    kernel *= 0.1
    kernel[1, 1] += np.eye(512)
    layer.set_weights([kernel, bias])

    names = {node.get_friendly_name() for node in build_graph(model).get_ops()}

    assert [name for name in names if name.endswith(IDENTITY)] == [f"block4_conv4/{IDENTITY}"]
    assert_alike(model)


def test_one_picture_after_the_other_gives_what_each_gives_alone():
    engine = CompiledGraph(build_graph(network()), "fp32")
    together = engine(PICTURES)
    for place, picture in enumerate(PICTURES):
        for whole, alone in zip(together, engine([picture]), strict=True):
            np.testing.assert_array_equal(whole[place : place + 1], alone)


def test_a_stream_gives_each_picture_its_own_answer_whatever_reads_at_the_same_time():
    engine = CompiledGraph(build_graph(network()), "fp32", threads=2)
    pictures = np.random.default_rng(2).uniform(0, 255, (11, 32, 32, 1)).astype(np.float32)

    streamed = list(engine.read_each(iter(pictures)))

    for picture, outputs in zip(pictures, streamed, strict=True):
        for one, other in zip(outputs, engine.read(picture[np.newaxis]), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_what_leads_to_no_answer_is_named_so():
    """Their names keep them out of quantisation."""
    nodes = {node.get_friendly_name(): node for node in build_graph(network()).get_ops()}
    products = {name for name, node in nodes.items() if node.get_type_name() == "MatMul"}

    assert {name for name in products if not name.startswith(ASIDE)} == {
        "dense_512/products",
        "dense_128/products",
        "logits/products",
    }


@pytest.mark.parametrize("changed", ["activation", "layer"])
def test_another_network_has_no_graph(changed):
    model = network()
    if changed == "activation":
        model.get_layer("dense_128").activation = keras.activations.tanh
    else:
        model = keras.Model(model.input, keras.layers.Dense(2)(keras.layers.LayerNormalization()(model.output)))
    with pytest.raises(GraphError):
        build_graph(model)


@pytest.fixture(scope="module")
def int8():
    """A graph in whole numbers; not to be changed."""
    (candidate,) = (candidate for candidate in CANDIDATES if candidate.name == "int8")
    return as_written(candidate.graph(network(), [chest_like(224, 224, seed=seed) for seed in range(8)], seed=1))


def test_a_cpu_without_byte_products_computes_the_same_whole_numbers_in_fractions(int8, monkeypatch):
    usual = CompiledGraph(int8, "fp32")(CHESTS)
    monkeypatch.setattr(serving_openvino, "multiplies_bytes", lambda: False)

    exact = CompiledGraph(int8, "fp32")

    told = [operation.get_rt_info() for operation in exact._request.get_compiled_model().get_runtime_model().get_ops()]
    products = [info for info in told if info["layerType"].astype(str) in ("Convolution", "FullyConnected")]
    assert {info["runtimePrecision"].astype(str) for info in products} == {"f32"}
    # Nineteen layers of random numbers carry each rounding far; their heatmaps are noise.
    got = exact(CHESTS)
    for name in ("logits", "features"):
        wanted = getattr(usual, name)
        np.testing.assert_allclose(getattr(got, name), wanted, atol=0.05 * np.abs(wanted).max(), err_msg=name)


def test_a_cpu_that_has_nothing_beyond_avx2_answers_too(int8, tmp_path, monkeypatch):
    openvino.save_model(int8, tmp_path / "graph.xml", compress_to_fp16=False)
    code = f"""
import openvino
from ml import serving_openvino
from ml.tests.test_graph import CHESTS
serving_openvino.multiplies_bytes = lambda: False
graph = openvino.Core().read_model({str(tmp_path / "graph.xml")!r})
print(*serving_openvino.CompiledGraph(graph, "fp32")(CHESTS).logits.ravel())
"""
    # OpenVINO's library of kernels takes this for what the CPU has.
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr(serving_openvino, "multiplies_bytes", lambda: False)

    expected = CompiledGraph(int8, "fp32")(CHESTS).logits.ravel()

    found = [float(logit) for logit in done.stdout.split()]
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_it_computes_with_as_many_threads_as_it_is_told():
    graph = build_graph(network())
    one, more = (CompiledGraph(graph, "fp32", threads=threads) for threads in (1, 2))
    assert (one.threads, more.threads) == (1, 2)
    np.testing.assert_allclose(one(CHESTS).logits, more(CHESTS).logits, rtol=1e-3, atol=1e-5)
