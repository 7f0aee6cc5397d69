"""The trained network as an OpenVINO graph: answer, features for the refusal and heatmaps leave it together.

The heatmaps are the Grad-CAM of ml.serving without automatic differentiation. Whatever gradient a cell after the last
pooling gets goes to one of the activations that it was the maximum of, so that its mean over the activations is the
sum over the cells, divided by the number of activations. That sum needs the head's matrices alone: the first one is
summed over the cells once, when the graph is made, and what is left at each picture are products of small matrices.
"""

from collections.abc import Callable

import keras
import numpy as np
import openvino as ov
from keras import layers
from openvino import opset1
from openvino import opset15 as ops

from ml.labels import LABELS
from ml.model import LAST_CONVOLUTION
from ml.refusal import GRID
from ml.serving import FEATURE_CONVOLUTION

# What the names of nodes begin with that lead to no answer: rounding them more coarsely would gain no time.
ASIDE = ("features", "heat")

# A convolution that was begun as the identity stays near it: ones in a row of small numbers. Whole numbers that reach
# up to one would leave nothing of the small ones, so where no change is as large as this, the picture before is added
# to what the changes make of it.
NEAR_IDENTITY = 0.5
IDENTITY = "identity"


class GraphError(Exception):
    """The network has a part that no graph can be made of; the text names it."""


def build_graph(model: keras.Model) -> ov.Model:
    """Make the graph of a network of ml.model.build_classifier, for one picture a call.

    Input "picture": (1, size, size, 1) float32 grey levels 0..255. Outputs, float32: "logits" (1, 2), "features"
    (1, f) and "heatmaps" (1, 2, rows, columns), as in ml.engine.Outputs. The node that ends a layer bears the layer's
    name; names of nodes that lead to no logits begin with one of ASIDE. Raises GraphError.
    """
    size = model.input.shape[1]
    picture = ops.parameter([1, size, size, 1], np.float32, name="picture")
    trunk, head = _parts(model)
    x = ops.reshape(picture, _shape(1, 1, size, size), special_zero=False)
    found = {}
    for layer in trunk:
        x = found[layer.name] = _named(_converter(layer)(layer, x), layer.name)
    deep = x
    pool, dense = head[0], [layer for layer in head if isinstance(layer, layers.Dense)]
    pooled = _named(_converter(pool)(pool, deep), pool.name)
    if any(isinstance(layer, layers.Flatten) for layer in head):
        vector, first = _flattened(pooled, dense[0])
    else:
        vector, first = _averaged(pooled, dense[0])
    hidden = _dense(vector, dense, first)
    outputs = {
        "logits": hidden[-1],
        "features": _grid_means(found[FEATURE_CONVOLUTION]),
        "heatmaps": _heatmaps(deep, hidden[:-1], dense, _channels_by_unit(pooled, dense[0], first)),
    }
    for name, node in outputs.items():
        node.output(0).get_tensor().set_names({name})
    return ov.Model(list(outputs.values()), [picture], "vgg19_pneumonia")


def _parts(model: keras.Model) -> tuple[list[layers.Layer], list[layers.Layer]]:
    """Split the layers after the input: up to LAST_CONVOLUTION, and the pooling and the head before the softmax."""
    chain = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer | layers.Dropout)]
    end = [layer.name for layer in chain].index(LAST_CONVOLUTION) + 1
    trunk, head = chain[:end], [layer for layer in chain[end:] if not isinstance(layer, layers.Softmax)]
    kinds = [type(layer) for layer in head]
    flat = kinds[:2] in ([layers.MaxPooling2D, layers.Flatten], [layers.MaxPooling2D, layers.GlobalAveragePooling2D])
    if not flat or set(kinds[2:]) != {layers.Dense}:
        raise GraphError(f"A head of {', '.join(kind.__name__ for kind in kinds)} has no heatmap here.")
    if any(layer.activation is not keras.activations.relu for layer in head[2:-1]):
        raise GraphError("The hidden layers of the head have to be ReLU.")
    return trunk, head


# --- layers: (layer, node in NCHW) → node ---


def _three_channels(layer: layers.Concatenate, x: ov.Node) -> ov.Node:
    return ops.concat([x] * len(layer.input), axis=1)


def _rescaling(layer: layers.Rescaling, x: ov.Node) -> ov.Node:
    scale, offset = (np.reshape(np.asarray(value, np.float32), (1, -1, 1, 1)) for value in (layer.scale, layer.offset))
    return ops.add(ops.multiply(x, scale) if np.any(scale != 1) else x, offset)


def _same_levels(layer: layers.GroupNormalization, x: ov.Node) -> ov.Node:
    if layer.groups != 1 or layer.center or layer.scale:
        raise GraphError(f"{layer.name} is another normalisation than that of whole pictures.")
    axes = np.array([1, 2, 3])
    return ops.mvn(x, axes, normalize_variance=True, eps=layer.epsilon, eps_mode="inside_sqrt")


def _convolution(layer: layers.Conv2D, x: ov.Node) -> ov.Node:
    if layer.padding != "same" or set(layer.strides) != {1} or layer.activation is not keras.activations.relu:
        raise GraphError(f"{layer.name} is no convolution of VGG19.")
    kernel, bias = layer.get_weights()
    around = [side // 2 for side in layer.kernel_size]
    changes = _changes(kernel)
    weights = np.ascontiguousarray((kernel if changes is None else changes).transpose(3, 2, 0, 1), np.float32)
    products = ops.convolution(x, weights, [1, 1], around, around, [1, 1], name=f"{layer.name}/products")
    y = ops.add(products, bias.reshape(1, -1, 1, 1).astype(np.float32))
    if changes is not None:
        y = _named(ops.add(y, x), f"{layer.name}/{IDENTITY}")
    return ops.relu(y)


def _changes(kernel: np.ndarray) -> np.ndarray | None:
    """Give a (rows, columns, channels, filters) kernel less the identity, or None where it is not near that."""
    if kernel.shape[2] != kernel.shape[3]:
        return None
    changes = kernel.copy()
    changes[kernel.shape[0] // 2, kernel.shape[1] // 2] -= np.eye(kernel.shape[2], dtype=kernel.dtype)
    return changes if np.abs(changes).max() < NEAR_IDENTITY else None


def _pooling(layer: layers.MaxPooling2D, x: ov.Node) -> ov.Node:
    # The first version of the operation: the later ones give the places of the maxima too.
    return opset1.max_pool(x, list(layer.strides), [0, 0], [0, 0], list(layer.pool_size))


CONVERTERS: dict[type, Callable[[layers.Layer, ov.Node], ov.Node]] = {
    layers.Concatenate: _three_channels,
    layers.Conv2D: _convolution,
    layers.GroupNormalization: _same_levels,
    layers.MaxPooling2D: _pooling,
    layers.Rescaling: _rescaling,
}


def _converter(layer: layers.Layer) -> Callable[[layers.Layer, ov.Node], ov.Node]:
    if type(layer) not in CONVERTERS:
        raise GraphError(f"{layer.name} is a {type(layer).__name__}, of which no graph can be made.")
    return CONVERTERS[type(layer)]


# --- the head ---


def _flattened(pooled, dense: layers.Dense) -> tuple[ov.Node, np.ndarray]:
    """Flatten (1, channels, rows, columns), and bring the kernel's rows, which count channels last, in that order."""
    _, channels, rows, columns = pooled.shape
    kernel = dense.get_weights()[0].reshape(rows, columns, channels, -1).transpose(2, 0, 1, 3)
    vector = ops.reshape(pooled, _shape(1, channels * rows * columns), special_zero=False)
    return vector, kernel.reshape(channels * rows * columns, -1)


def _averaged(pooled, dense: layers.Dense) -> tuple[ov.Node, np.ndarray]:
    """Average each channel over the picture."""
    return ops.reduce_mean(pooled, np.array([2, 3]), keep_dims=False), dense.get_weights()[0]


def _dense(vector: ov.Node, dense: list[layers.Dense], first: np.ndarray) -> list[ov.Node]:
    """Give the activations of every Dense; the last ones are the logits. `first` is the kernel of the first one."""
    hidden, x = [], vector
    for layer, kernel in zip(dense, [first, *(layer.get_weights()[0] for layer in dense[1:])], strict=True):
        products = ops.matmul(x, _constant(kernel.T), False, True, name=f"{layer.name}/products")
        x = ops.add(products, _constant(layer.get_weights()[1][np.newaxis]))
        x = _named(x if layer is dense[-1] else ops.relu(x), layer.name)
        hidden.append(x)
    return hidden


# --- what leads to no logits ---


def _grid_means(activations: ov.Node) -> ov.Node:
    _, channels, rows, _ = activations.shape
    side = rows // GRID
    means = ops.avg_pool(activations, [side] * 2, [0, 0], [0, 0], [side] * 2, True, name="features/means")
    last = _named(ops.transpose(means, np.array([0, 2, 3, 1])), "features/channels_last")
    return _named(ops.reshape(last, _shape(1, GRID**2 * channels), special_zero=False), "features")


def _channels_by_unit(pooled, dense: layers.Dense, first: np.ndarray) -> np.ndarray:
    """Give (channels, units): how much each activation of the last convolution adds to the first Dense, on average.

    Averaged over the places of the last pooling's cells, and thinned by the places that reach no cell.
    """
    channels = pooled.shape[1]
    return first.reshape(channels, -1, first.shape[1]).sum(axis=1)


def _heatmaps(deep: ov.Node, hidden: list[ov.Node], dense: list[layers.Dense], by_unit: np.ndarray) -> ov.Node:
    """Give (1, 2, rows, columns) of Grad-CAM, 0..1: the gradient goes back through the masks of the hidden layers."""
    _, channels, rows, columns = deep.shape
    kernels = [by_unit / (rows * columns), *(layer.get_weights()[0] for layer in dense[1:])]
    gradient: ov.Node = _constant(kernels[-1].T)  # (2, units): of each logit by the last hidden layer
    for place, activations in reversed(list(enumerate(hidden))):
        above_zero = ops.convert(ops.greater(activations, _constant(np.zeros(1))), np.float32)
        gradient = _named(ops.multiply(gradient, above_zero), f"heat/masked_{place}")
        gradient = _named(ops.matmul(gradient, _constant(kernels[place].T), False, False), f"heat/back_{place}")
    flat = _named(ops.reshape(deep, _shape(channels, rows * columns), special_zero=False), "heat/activations")
    heat = ops.relu(_named(ops.matmul(gradient, flat, False, False), "heat/products"))
    most = ops.reduce_max(heat, np.array([1]), keep_dims=True)
    none = ops.equal(most, _constant(np.zeros(1)))
    heat = _named(ops.divide(heat, ops.select(none, _constant(np.ones(1)), most)), "heat/relative")
    return _named(ops.reshape(heat, _shape(1, len(LABELS), rows, columns), special_zero=False), "heatmaps")


def _constant(array: np.ndarray) -> ov.Node:
    return ops.constant(np.ascontiguousarray(array, np.float32))


def _shape(*sides: int) -> np.ndarray:
    return np.array(sides, np.int64)


def _named(node: ov.Node, name: str) -> ov.Node:
    node.set_friendly_name(name)
    return node
