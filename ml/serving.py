"""The engine of reference: the network itself in TensorFlow, compiled once; on a GPU where there is one."""

from contextlib import suppress

import keras
import numpy as np
import tensorflow as tf

from ml.engine import Engine, Outputs
from ml.labels import LABELS
from ml.model import LAST_CONVOLUTION
from ml.refusal import GRID

# Where the features for the refusal are taken. Of blocks 2 to 5, alone and together, this one parted other pictures
# and photographic negatives from chest X-rays by the widest margin: what training doesn't need, deeper ones forget.
FEATURE_CONVOLUTION = "block3_conv4"


def limit_threads(threads: int) -> None:
    """Let TensorFlow compute with so many threads, 0 for one on every core; once it has computed, nothing changes."""
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(threads)


class ServingGraph(Engine):
    """A network of ml.model.build_classifier, compiled once for every batch size.

    The heatmaps are Grad-CAM (Selvaraju et al. 2017, doi 10.1109/ICCV.2017.74) on the activations A of
    LAST_CONVOLUTION: ReLU(Σ_k w_k · A_k) with w_k the mean gradient of the label's logit by A_k, divided by its
    maximum; without any heat it is zero everywhere. The gradient goes through the head alone, so it costs little.
    """

    name = "tensorflow"

    def __init__(self, model: keras.Model) -> None:
        last = model.get_layer(LAST_CONVOLUTION).output
        trunk = keras.Model(model.input, [model.get_layer(FEATURE_CONVOLUTION).output, last])
        head = keras.Model(last, model.get_layer("logits").output)
        self.image_size = model.input.shape[1]

        # model.predict costs more per call, and leaks.
        @tf.function(input_signature=[tf.TensorSpec((None, self.image_size, self.image_size, 1), tf.float32)])
        def read(pictures):
            activations, deep = trunk(pictures, training=False)
            logits, heatmaps = _grad_cam(head, deep)
            return logits, _grid_means(activations), heatmaps

        self._read = read

    def read(self, inputs: np.ndarray) -> Outputs:
        """Read (n, image_size, image_size, 1) float32 grey levels 0..255, n at least 1."""
        return Outputs(*(part.numpy() for part in self._read(tf.constant(inputs))))


def _grad_cam(head: keras.Model, deep: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Give logits (n, 2) and heatmaps (n, 2, rows, columns) of the last activations `deep`."""
    # A copy for each label, so that one pass through the head gives the gradients of all: its large matrix is read
    # once forwards and once backwards, and that is what costs.
    count = len(LABELS)
    copies = tf.repeat(deep, count, axis=0)
    with tf.GradientTape() as tape:
        tape.watch(copies)
        logits = head(copies, training=False)
        own = tf.reduce_sum(logits * tf.tile(tf.eye(count), [tf.shape(deep)[0], 1]))
    # float32: under mixed precision the activations have half of its digits.
    gradients = tf.cast(tape.gradient(own, copies), tf.float32)
    weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(weights * tf.cast(copies, tf.float32), axis=-1))
    heat = tf.math.divide_no_nan(heat, tf.reduce_max(heat, axis=(1, 2), keepdims=True))
    return logits[::count], tf.reshape(heat, (-1, count, deep.shape[1], deep.shape[2]))


def _grid_means(activations: tf.Tensor) -> tf.Tensor:
    side = activations.shape[1] // GRID
    means = tf.nn.avg_pool2d(tf.cast(activations, tf.float32), side, side, "VALID")
    return tf.reshape(means, (-1, GRID**2 * activations.shape[-1]))
